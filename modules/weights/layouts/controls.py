"""ControlNets, union ControlNets and T2I-Adapters as components: which one a file holds, and its description from its own header.

As `component` for parts of models, with what two more sources say: the config.json that lies beside the file, and the network that it
is for, whose way down it is a copy of. A folder with an index stands for the pieces of one file. Start reading at `recognise`, then
`open_control`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import ModelFault
from modules.weights.header import Header
from modules.weights.layouts import control_lora
from modules.weights.layouts.component import Component, assembled, config_beside, find
from modules.weights.layouts.files import header_of, headers_of
from modules.weights.layouts.table import Config, Part
from modules.weights.layouts.text import HEAD_WIDTH
from modules.weights.layouts.unet import heads

# What shapes do not tell, and a ControlNet shares with the network that it was copied from.
SHARED = (
    "attention_head_dim", "num_attention_heads", "norm_num_groups", "norm_eps", "act_fn", "flip_sin_to_cos", "freq_shift",
    "addition_time_embed_dim", "upcast_attention", "sample_size", "axes_dims_rope",
)  # fmt: skip
POOLED = "shuffle"  # in its name: its residuals are averaged over the picture. Source: lllyasviel/ControlNet-v1-1-nightly


@dataclass(frozen=True, kw_only=True)
class Control:
    """kind: "controlnet", "union" or "t2i_adapter", as `ResolvedUnit` has it. part: how it is read; needs: a name that a file must have
    beside the mark of its naming."""

    id: str
    kind: str
    part: Part
    needs: str = ""


def _guess(found: Config) -> Config:
    """Heads as the families with UNets have them: eight, or as many as are 64 wide."""
    width = found["block_out_channels"]
    extra = {"addition_time_embed_dim": 256} if found.get("addition_embed_type") else {}
    return {"attention_head_dim": heads(HEAD_WIDTH, width) if found["use_linear_projection"] else 8, **extra}


def _part(kind: str, model: str, *homes: tuple[str, str], guess: Callable[[Config], Config] = lambda _: {}, **published: Any) -> Part:
    return Part(kind=kind, model=model, homes=homes, guess=guess, published=published)


# In the order in which they are tried: a union ControlNet has the marks of a plain one too.
CONTROLS: tuple[Control, ...] = (
    Control(id="union", kind="union", part=_part("controlnet_union", "ControlNetUnionModel", ("same", ""), guess=_guess)),
    Control(id="flux", kind="controlnet", part=_part("controlnet_flux", "FluxControlNetModel", ("xlabs", "controlnet."), ("xlabs", ""))),
    Control(
        id="sd3",
        kind="controlnet",
        part=_part("controlnet_sd3", "SD3ControlNetModel", ("sai", "controlnet."), ("sai", ""), sample_size=128),
        needs="pos_embed_input.proj.weight",
    ),
    Control(
        id="unet", kind="controlnet", part=_part("controlnet", "ControlNetModel", ("ldm", "control_model."), ("ldm", ""), guess=_guess)
    ),
    Control(id="t2i", kind="t2i_adapter", part=_part("t2i_adapter", "T2IAdapter", ("tencent", ""), ("light", ""))),
)


def recognise(header: Header) -> Control | None:
    """What a file holds of these, None when it is none of them."""
    return next((control for control in CONTROLS if _home(header, control)), None)


def _home(header: Header, control: Control) -> tuple[str, str] | None:
    home = find(header, control.part)
    return home if home and (not control.needs or home[1] + control.needs in header.tensors) else None


def described(header: Header, *pieces: Header) -> tuple[Control, Component] | None:
    """The same with its description. header: of the file, or of all pieces as `joined` gives it; pieces: where the tensors lie.

    A Control-LoRA is described as the ControlNet it becomes, see `control_lora`. Raises ModelFault when it is not whole or of an
    unknown build.
    """
    whole = control_lora.unfolded(header) if control_lora.is_change(header) else header
    for control in CONTROLS:
        if home := _home(whole, control):
            return control, assembled(control.id, control.part, [(piece, *home) for piece in pieces or (whole,)], _pooled(whole))
    return None


def joined(folder: Path) -> tuple[Header, list[Header]]:
    """(one header for all pieces of a folder with an index, those of the pieces). Raises ModelFault."""
    pieces = headers_of(folder)
    tensors = {name: info for piece in pieces for name, info in piece.tensors.items()}
    return Header(path=folder, tensors=tensors, metadata={}), pieces


def open_control(
    path: Path, host: Mapping[str, Any] | None = None, base: Callable[[], Component] | None = None
) -> tuple[Control, Component]:
    """The control of a safetensors file, or of a folder with its pieces, ready for `module.build`.

    host: the config of the network that it is for; base(): that network's weights, asked only for files that hold changes of them.
    What shapes do not tell is taken from config.json beside the file, else from the host. Raises ModelFault.
    """
    header, pieces = joined(path) if path.is_dir() else (header_of(path), [])
    found = described(header, *pieces)
    if found is None:
        raise ModelFault(f"{path.name} is no ControlNet or T2I-Adapter that this version knows. Choose another file.")
    control, component = found
    if control_lora.is_change(header):
        if base is None:
            raise ModelFault(f"{path.name} holds changes of a model's weights. It can only be used together with a checkpoint.")
        component = control_lora.over(component, header, base())
    beside = config_beside(path / "config.json" if path.is_dir() else path)
    if beside.get("_class_name") not in (None, control.part.model):
        raise ModelFault(
            f"{path.name} is a {control.part.model}, but config.json beside it is of a {beside['_class_name']}. Copy it again."
        )
    shared = {name: host[name] for name in SHARED if host and host.get(name) is not None and _alike(component.config, host)}
    own = {name: value for name, value in beside.items() if not name.startswith("_")}
    return control, dataclasses.replace(component, config={**component.config, **shared, **own})


def _pooled(header: Header) -> Config:
    return {"global_pool_conditions": True} if POOLED in header.path.stem.lower() else {}


def _alike(config: Mapping[str, Any], host: Mapping[str, Any]) -> bool:
    """Is the control as wide as the network that it is for?"""
    if "block_out_channels" in config:
        return list(config["block_out_channels"]) == list(host.get("block_out_channels") or ())
    wide = ("num_attention_heads", "attention_head_dim")
    return all(config.get(name) is not None and host.get(name) is not None for name in wide) and (
        config[wide[0]] * config[wide[1]] == host[wide[0]] * host[wide[1]]
    )
