"""Counting the bytes of tensors that are alive at once, operation by operation: on real tensors, and on empty ones of the meta device.

It sees what torch's operations leave behind, not what a kernel needs inside itself. On the meta device nothing is computed, so the
memory of a network's call is known in a moment, for any size. Start reading at `Live`.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_CONVOLUTIONS = (torch.ops.aten.convolution.default, torch.ops.aten.conv2d.default)


class Live(TorchDispatchMode):
    """Inside, every new tensor counts as long as it lives. peak_bytes: the most that lived at once; now_bytes: what lives at present.

    known: tensors that do not count, such as weights. on_cpu: a convolution holds its input once more meanwhile, as oneDNN's kernels
    do, which turn it into a layout of their own (measured: SD 1.5's VAE needs this and nothing else beyond its tensors). Attention is
    one operation that leaves its result only, as torch's kernels for it do on CUDA, ROCm and the CPU.
    """

    def __init__(self, known: Iterable[torch.Tensor] = (), *, on_cpu: bool = False) -> None:
        super().__init__()
        self._on_cpu = on_cpu
        self._sizes = {_name(tensor.untyped_storage()): 0 for tensor in known}
        self._composite: dict[Any, bool] = {}
        self.now_bytes = self.peak_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and counts what it made."""
        named: dict[str, Any] = kwargs or {}
        if func is _ATTENTION and args[0].is_meta:
            found = args[0].new_empty((*args[0].shape[:-1], args[2].shape[-1]))
        else:
            if torch.is_inference_mode_enabled() and self._is_made_of_others(func):
                with self:
                    return func.decompose(*args, **named)
            found = func(*args, **named)
        within = args[0].nbytes if self._on_cpu and func in _CONVOLUTIONS else 0
        for value in pytree.tree_leaves(found):
            if isinstance(value, torch.Tensor):
                self._count(value, within)
        return found

    def _is_made_of_others(self, func: Any) -> bool:
        """Only without gradients does such an operation come here whole."""
        if func not in self._composite:
            has = torch._C._dispatch_has_kernel_for_dispatch_key  # pyright: ignore[reportPrivateUsage]
            self._composite[func] = func is not _ATTENTION and has(func.name(), "CompositeImplicitAutograd")
        return self._composite[func]

    def _count(self, tensor: torch.Tensor, within: int) -> None:
        """within: bytes that the operation held inside itself."""
        storage = tensor.untyped_storage()
        name = _name(storage)
        if name in self._sizes:
            return
        self._sizes[name] = storage.nbytes()
        self.now_bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self.now_bytes + within)
        weakref.finalize(storage, self._gone, name)

    def _gone(self, name: int) -> None:
        self.now_bytes -= self._sizes.pop(name)


def _name(storage: torch.UntypedStorage) -> int:
    """Of a piece of memory, as long as it is there."""
    return storage._cdata  # pyright: ignore[reportPrivateUsage]


def tensors_of(module: torch.nn.Module) -> list[torch.Tensor]:
    """Its weights and buffers."""
    return [*module.parameters(), *module.buffers()]
