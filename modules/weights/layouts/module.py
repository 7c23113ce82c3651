"""A component as a torch module with its weights in it: built without memory from its config, then filled tensor by tensor.

Imports torch, diffusers and transformers when called. Start reading at `load_component`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.faults import ModelFault
from modules.weights.layouts.component import Component, open_component
from modules.weights.layouts.files import Tensors, torch_dtype
from modules.weights.layouts.kinds import KINDS
from modules.weights.layouts.table import Part

_NO_ARGUMENTS = ("architectures", "dtype", "torch_dtype", "model_type", "transformers_version", "quantization_config")
_MAY_LACK = "text_projection.weight"
_PACKED = ("U8", "I8", "I32")
_BROKEN = (TypeError, ValueError, KeyError, IndexError, AttributeError, ZeroDivisionError, RuntimeError)


def load_component(path: Path, layout: str, name: str, dtype: str, *, published: Path | None = None) -> Any:
    """One component ("vae", "text_encoder", ...) of a file or folder as a module of its class; eval mode, on the CPU.

    dtype: "float32", "float16", "bfloat16". published: as in `open_component`. Raises ModelFault.
    """
    return build(open_component(path, layout, name, published), dtype, path.name)


def build(component: Component, dtype: str, file: str) -> Any:
    """The module of a component. file: its name, for messages. Raises ModelFault when tensors and config do not agree."""
    try:
        module = empty(component)
    except _BROKEN as error:
        why = (str(error) or type(error).__name__)[:300]
        raise ModelFault(f"{file}: its {component.name.replace('_', ' ')} does not fit its description ({why}).") from error
    return _filled(module, component, dtype, file)


def empty(component: Component) -> Any:
    """The module of a component without numbers; see `empty_module`."""
    return empty_module(component.part, component.config)


def empty_module(part: Part, config: Mapping[str, Any]) -> Any:
    """A module of a part's class: its weights lie on the meta device, and what it computes for itself where that is not in files."""
    import diffusers
    import transformers
    from accelerate import init_empty_weights

    library = KINDS[part.kind].library
    kind: Any = getattr(diffusers if library == "diffusers" else transformers, part.model)
    # The buffers of diffusers' models all come from the file, and SD3's table of places takes long to compute; CLIP's do not.
    with init_empty_weights(include_buffers=library == "diffusers"):
        if library == "diffusers":
            return kind(**_known(kind, config))
        return kind(kind.config_class(**{k: v for k, v in config.items() if k not in _NO_ARGUMENTS}))


def _known(kind: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Only what the class knows: a config may come from an older or newer version of diffusers."""
    names = inspect.signature(kind.__init__).parameters
    return {name: value for name, value in config.items() if name in names}


def _filled(module: Any, component: Component, dtype: str, file: str) -> Any:
    """The module with the component's tensors in it. Names and shapes must agree to the last one."""
    wanted = _wanted(module, component)
    lacking = sorted(name for name in wanted if name not in component.tensors and name != _MAY_LACK)
    if lacking:
        what = component.name.replace("_", " ")
        raise ModelFault(f"{file} is not whole: its {what} lacks {len(lacking)} of {len(wanted)} tensors, the first is {lacking[0]}.")
    packed = next((info.dtype for name, info in component.tensors.items() if name in wanted and info.dtype in _PACKED), None)
    if packed:
        raise ModelFault(
            f"{file} holds weights packed into {packed} numbers (bitsandbytes or similar), which this version cannot read. "
            "Take the float16, float8 or GGUF form of the model."
        )
    spare = len(component.tensors.keys() - wanted.keys()) + len(component.unknown)
    if spare:
        logging.getLogger(__name__).info("%s: %d tensors of its %s are of no use here", file, spare, component.name)
    for name, (_, place) in wanted.items():
        if name in component.tensors and component.tensors[name].shape != tuple(place.shape):
            shapes = f"{component.tensors[name].shape} instead of {tuple(place.shape)}"
            raise ModelFault(f"{file}: {name} of its {component.name.replace('_', ' ')} has the shape {shapes}.")
    module.load_state_dict(_state(module, component, wanted, dtype), strict=False, assign=True)
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    return module.eval()


def _wanted(module: Any, component: Component) -> dict[str, tuple[str, Any]]:
    """Canonical name -> (the module's own name, its empty tensor)."""
    canonical = KINDS[component.part.kind].canonical
    named = [(canonical(own), own, value) for own, value in module.state_dict().items()]
    return {name: (own, value) for name, own, value in named if name is not None}


def _state(module: Any, component: Component, wanted: Mapping[str, tuple[str, Any]], dtype: str) -> dict[str, Any]:
    import torch

    exact = tuple(getattr(module, "_keep_in_fp32_modules", None) or ()) if dtype == "float16" else ()
    state: dict[str, Any] = {}
    with Tensors() as files:
        for name, (own, place) in wanted.items():
            if name in component.tensors:
                value = component.read(files, name)
            else:  # published without one: its pooled output is not projected
                value = torch.eye(*place.shape)
            kept = any(word in own.split(".") for word in exact)
            # A copy: what still lies in the mapped file is not aligned, which slows kernels and changes their last digits.
            state[own] = value.to(torch.float32 if kept else torch_dtype(dtype), copy=True).contiguous()
    return state
