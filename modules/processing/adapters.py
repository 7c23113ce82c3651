"""How one layer of a loaded model is changed for a while: beside its output (`Adapter`) or in its weight (`Patch`).

Knows a torch module and tensors; knows nothing about LoRA files. Start reading at `Adapter.install` and `Patch.write`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from modules.faults import ModelFault
from modules.weights.lora.maths import Factors
from modules.weights.quantisers.component import MARK, full_weight


class Adapter:
    """What is added to a layer's output: up(down(x)) of all its low-rank changes at once, whole changes, and biases.

    The layer's own weight is not touched. Once removed, the layer answers bit for bit as before.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._handle: Any = None
        self._pairs: list[Factors] = []
        self._cores: list[Factors] = []
        self._dense: torch.Tensor | None = None
        self._bias: torch.Tensor | None = None
        self._ready: tuple[torch.device, torch.dtype] | None = None

    def add(self, factors: Factors, weight: float) -> None:
        """Add one low-rank change; weight multiplies it."""
        weighted = Factors(down=factors.down, up=factors.up * weight, mid=factors.mid)
        (self._pairs if factors.mid is None else self._cores).append(weighted)

    def add_dense(self, delta: torch.Tensor) -> None:
        """Add a change of the weight's shape."""
        self._dense = delta if self._dense is None else self._dense + delta

    def add_bias(self, bias: torch.Tensor, weight: float) -> None:
        """Add (out,) values to the output."""
        self._bias = bias * weight if self._bias is None else self._bias + bias * weight

    def install(self) -> None:
        """Begin to answer. Call once, after everything was added."""
        if len(self._pairs) > 1:
            down = torch.cat([f.down for f in self._pairs])
            self._pairs = [Factors(down=down, up=torch.cat([f.up for f in self._pairs], dim=1))]
        self._handle = self._module.register_forward_hook(self)

    def remove(self) -> None:
        """Stop answering."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = None

    def tensors(self) -> list[torch.Tensor]:
        """Everything that is added with. Whoever asks may take this for a part of the layer's weight."""
        factors = [t for f in (*self._pairs, *self._cores) for t in (f.down, f.up, f.mid) if t is not None]
        return [*factors, *(t for t in (self._dense, self._bias) if t is not None)]

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        """torch's forward hook: args[0] is the layer's input."""
        self._move(output.device, output.dtype)
        x = args[0].to(device=output.device, dtype=output.dtype)
        for pair in self._pairs:
            output = output + _small(self._apply(module, x, pair.down), pair.up)
        for core in self._cores:
            if core.mid is not None:
                output = output + _small(self._apply(module, _small(x, core.down), core.mid), core.up)
        if self._dense is not None:
            output = output + self._apply(module, x, self._dense)
        if self._bias is not None:
            shape = [1, -1, 1, 1] if isinstance(module, nn.Conv2d | nn.GroupNorm) and output.ndim == 4 else [-1]
            output = output + self._bias.reshape(shape)
        return output

    @staticmethod
    def _apply(module: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """The layer with another weight and no bias; a convolution keeps its stride and its padding."""
        if isinstance(module, nn.Conv2d):
            return module._conv_forward(x, weight, None)  # pyright: ignore[reportPrivateUsage]  # the one way that keeps the padding mode
        return functional.linear(x, weight)

    def _move(self, device: torch.device, dtype: torch.dtype) -> None:
        """To where and what the layer computes in; once, unless the layer moves."""
        if self._ready == (device, dtype):
            return
        self._pairs = [_moved(f, device, dtype) for f in self._pairs]
        self._cores = [_moved(f, device, dtype) for f in self._cores]
        self._dense = None if self._dense is None else self._dense.to(device, dtype)
        self._bias = None if self._bias is None else self._bias.to(device, dtype)
        self._ready = (device, dtype)


class Patch:
    """A weight that carries changes for a while. The original is kept on the CPU and put back bit for bit."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._kept: torch.Tensor | None = None

    @property
    def possible(self) -> bool:
        """Can the weight be written to? Not when it is kept quantised."""
        if hasattr(self._module, MARK):
            return False
        weight = self._store()
        return weight.is_floating_point() and not hasattr(weight, "quant_type")

    def original(self) -> torch.Tensor:
        """The unchanged weight, float32, on the CPU."""
        if self._kept is not None:
            return self._kept.float()
        if (whole := full_weight(self._module)) is not None:
            return whole
        weight = self._store()
        if hasattr(weight, "quant_type"):
            from diffusers.quantizers.gguf.utils import dequantize_gguf_tensor

            weight = dequantize_gguf_tensor(weight)
        return weight.detach().to("cpu", torch.float32)

    def write(self, delta: torch.Tensor) -> None:
        """Make the weight original + delta, added in float32 and rounded once."""
        weight = self._store()
        if self._kept is None:
            self._kept = weight.detach().to("cpu", copy=True)
        with torch.no_grad():
            weight.copy_((self._kept.float() + delta).to(weight.dtype))

    def restore(self) -> None:
        """Put the original back."""
        if self._kept is not None:
            with torch.no_grad():
                self._store().copy_(self._kept)
        self._kept = None

    def _store(self) -> torch.Tensor:
        """The tensor that holds the weight. Under sequential offloading the module has an empty one, and accelerate's hook the real one."""
        weight: Any = self._module.weight
        if not weight.is_meta:
            return weight
        held = getattr(getattr(self._module, "_hf_hook", None), "weights_map", None)
        if held is None:
            raise ModelFault("A LoRA cannot be added to weights that are not in memory. Start without --lowvram.")
        return held["weight"]


def layers(component: nn.Module) -> dict[str, tuple[int, ...]]:
    """Path -> shape of the weight as torch computes with it, of every layer that has one; quantised ones included."""
    found: dict[str, tuple[int, ...]] = {}
    for path, module in component.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, nn.Linear):
            found[path] = (module.out_features, module.in_features)
        elif isinstance(weight, torch.Tensor):
            found[path] = tuple(weight.shape)
    return found


def _small(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A 1 x 1 convolution for kernels, else a matrix."""
    return functional.conv2d(x, weight) if weight.ndim == 4 else functional.linear(x, weight)


def _moved(factors: Factors, device: torch.device, dtype: torch.dtype) -> Factors:
    return Factors(
        down=factors.down.to(device, dtype),
        up=factors.up.to(device, dtype),
        mid=None if factors.mid is None else factors.mid.to(device, dtype),
    )
