"""Components that work on the CPU although the pipeline works on a device: what they are given travels there, what they say comes back.

Through accelerate's module hooks, so that whoever calls the component need not know. Half precision, in which most processors are slow,
is calculated in another number type, layer by layer: the weights keep theirs, bit for bit. Start reading at `keep`, then `OnCpu`.
Source: https://huggingface.co/docs/accelerate/package_reference/big_modeling (add_hook_to_module)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from modules.hardware.policies.row import VAE, modules_of


class OnCpu:
    """The hook of one module, in the shape of accelerate's ModelHook. numbers: what half precision is calculated in.

    door: what is called from outside, so that its results go back to where and into the number type its input came from. It has no
    execution_device on purpose: by those diffusers finds out where a pipeline works.
    """

    no_grad = False

    def __init__(self, numbers: str, *, door: bool) -> None:
        self._numbers = numbers
        self._door = door
        self._home: tuple[Any, Any] | None = None
        self._own: list[tuple[Any, Any]] = []

    def init_hook(self, module: Any) -> Any:
        return module

    def detach_hook(self, module: Any) -> Any:
        self._put_back()
        return module

    def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """The arguments on the CPU; the module's own weights in the number type that it calculates in."""
        import torch
        from torch.utils import _pytree as pytree

        self._put_back()  # a call that failed half-way left them
        numbers = getattr(torch, self._numbers)
        given = [value for value in pytree.tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        changed = [weight for weight in module.parameters(recurse=False) if _is_half(weight) and weight.dtype != numbers]
        self._home = self._home_of(module, given, changes=bool(changed))

        def here(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            calculates = value.is_floating_point() and (bool(changed) or (self._door and _is_half(value)))
            return value.to("cpu", numbers) if calculates else value.to("cpu")

        arguments = pytree.tree_map(here, (args, kwargs)) if given else (args, kwargs)
        for weight in changed:
            self._own.append((weight, weight.data))
            weight.data = weight.data.to(numbers)
        return arguments

    def _home_of(self, module: Any, given: list[Any], *, changes: bool) -> tuple[Any, Any] | None:
        """(device, number type) that results are to have; None: as they are, since the call comes from within."""
        if not given:
            return None
        floating = next((value.dtype for value in given if value.is_floating_point()), None)
        if floating is None and self._door:  # tokens: the answer is in the number type of the weights
            floating = next((weight.dtype for weight in module.parameters() if weight.is_floating_point()), None)
        outside = self._door or given[0].device.type != "cpu" or (changes and floating is not None and floating.itemsize == 2)
        return (given[0].device, floating) if outside else None

    def post_forward(self, module: Any, output: Any) -> Any:
        """The results, where the input came from."""
        import torch
        from torch.utils import _pytree as pytree

        self._put_back()
        if self._home is None:
            return output
        device, floating = self._home

        def home(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            return value.to(device, floating) if value.is_floating_point() and floating is not None else value.to(device)

        return pytree.tree_map(home, output)

    def _put_back(self) -> None:
        for weight, own in self._own:
            weight.data = own
        self._own = []


def _is_half(tensor: Any) -> bool:
    return bool(tensor.is_floating_point()) and tensor.dtype.itemsize == 2


def keep(pipeline: Any, names: Collection[str], numbers: str) -> None:
    """These components of a pipeline lie on the CPU and work there. They must not be moved until their hooks are off."""
    from accelerate.hooks import add_hook_to_module

    for name, module in modules_of(pipeline).items():
        if name not in names:
            continue
        module.to("cpu")
        doors = list(module.children()) if name == VAE else [module]  # diffusers calls a VAE's halves, not itself
        for one in module.modules():
            hook: Any = OnCpu(numbers, door=any(one is door for door in doors))
            add_hook_to_module(one, hook)


def without(pipeline: Any, names: Iterable[str], act: Callable[[], None]) -> None:
    """Do something to a pipeline as if it had no such components, so that none of them visits the device.

    Past diffusers' own way of setting a component, which would note in the pipeline's configuration that there is none.
    """
    fields = vars(pipeline)
    hidden = {name: fields[name] for name in names}
    fields.update(dict.fromkeys(hidden))
    try:
        act()
    finally:
        fields.update(hidden)


def offload_without(pipeline: Any, names: Collection[str]) -> None:
    """Model offloading is set anew at the end of each call of the pipeline: let that leave these components out too."""
    if getattr(pipeline, "_all_hooks", None):
        again = pipeline.enable_model_cpu_offload
        vars(pipeline)["enable_model_cpu_offload"] = lambda **told: without(pipeline, names, lambda: again(**told))


def forget(pipeline: Any) -> None:
    """Undo `offload_without`; `Policy.lift` takes the hooks off."""
    vars(pipeline).pop("enable_model_cpu_offload", None)
