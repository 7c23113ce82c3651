"""ControlNets that are kept as changes of the UNet they steer: Control-LoRAs (two small factors a layer) and differences.

Such a file is whole only together with a UNet: where it has factors or a difference, they are added to the UNet's own weight; what it
has in full (norms, biases, the encoder of the picture, the last convolutions) stands as it is. Knows no family. Start reading at
`over`. Sources: the published files of Stability AI (`lora_controlnet`, `.up`, `.down`) and of the ControlNet extension (`difference`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modules.faults import ModelFault
from modules.weights.header import Header, TensorInfo
from modules.weights.layouts.component import Component, config_of
from modules.weights.layouts.files import Tensors

if TYPE_CHECKING:
    from torch import Tensor

LORA, DIFFERENCE = "lora_controlnet", "difference"  # tensors that only mark the file
UP, DOWN, WEIGHT = ".up", ".down", ".weight"
SHARED = ("conv_in.", "time_embedding.", "add_embedding.", "down_blocks.", "mid_block.")  # what a ControlNet has as its UNet does
OWN = ("input_hint_block.0.weight", "zero_convs.0.0.weight", "middle_block_out.0.weight")  # what every Control-LoRA has in full
INPUT = "conv_in.weight"


@dataclass(frozen=True, kw_only=True)
class Over(Component):
    """A ControlNet over a UNet's weights. host: the UNet; factors: canonical name -> (up, down), names in the source.

    added: canonical names whose tensors in the file are differences.
    """

    host: Component
    source: Header
    factors: Mapping[str, tuple[str, str]]
    added: frozenset[str]

    def read(self, files: Tensors, name: str) -> Tensor:
        """One tensor in full; sums are float32."""
        if name in self.factors:
            up, down = (files.read(self.source, part).float().flatten(1) for part in self.factors[name])
            return self._under(files, name) + (up @ down).reshape(self.tensors[name].shape)
        if name in self.added:
            return self._under(files, name) + super().read(files, name).float()
        return super().read(files, name) if name in self.places else self.host.read(files, name)

    def _under(self, files: Tensors, name: str) -> Tensor:
        """The UNet's own; of one that is shown more (inpainting), the channels of its first convolution that the file knows."""
        found = self.host.read(files, name).float()
        return found[:, : self.tensors[name].shape[1]] if name == INPUT else found


def is_change(header: Header) -> bool:
    """Is the file whole only together with a UNet?"""
    return LORA in header.tensors or DIFFERENCE in header.tensors


def text_width(header: Header) -> int:
    """Of the text that a Control-LoRA's UNet reads; 0 when it has no layer that says so."""
    ends = (f".attn2.to_k{DOWN}", f".attn2.to_k{WEIGHT}")
    return next((math.prod(info.shape[1:]) for name, info in sorted(header.tensors.items()) if name.endswith(ends)), 0)


def lacking(header: Header) -> str:
    """The first name that a Control-LoRA must have in full and this one has not; "" when it is whole."""
    return next((name for name in OWN if name not in header.tensors), "")


def unfolded(header: Header) -> Header:
    """The header as a whole ControlNet of these names would have it: a weight in place of each two factors, without the marks.

    Convolutions have their last three sizes in one; use it for names.
    """
    tensors = {name: info for name, info in header.tensors.items() if name not in (LORA, DIFFERENCE) and not name.endswith((UP, DOWN))}
    for name, info in header.tensors.items():
        other = header.tensors.get(name.removesuffix(UP) + DOWN)
        if name.endswith(UP) and other is not None and info.shape and other.shape:
            tensors[name.removesuffix(UP) + WEIGHT] = TensorInfo(info.dtype, (info.shape[0], math.prod(other.shape[1:])))
    return dataclasses.replace(header, tensors=tensors)


def over(control: Component, source: Header, host: Component) -> Over:
    """The whole ControlNet. control: as described from `unfolded(source)`; source: the file; host: the UNet it is to steer.

    Raises ModelFault when they do not go together.
    """
    lora = LORA in source.tensors
    single = {own: place.name.removesuffix(WEIGHT) for own, place in control.places.items() if place.name not in source.tensors}
    factors = {own: (name + UP, name + DOWN) for own, name in single.items()} if lora else {}
    below = {name: info for name, info in host.tensors.items() if name.startswith(SHARED)}
    added = frozenset() if lora else frozenset(control.tensors.keys() & below.keys())
    own = {name: info for name, info in control.tensors.items() if name not in factors}
    tensors = {**below, **own, **{name: _summed(source, name, pair, below) for name, pair in factors.items()}}
    for name in added:
        _check(source, name, tensors[name].shape, below[name].shape)
    shapes = {name: info.shape for name, info in tensors.items()}
    fields = {field.name: getattr(control, field.name) for field in dataclasses.fields(Component)}
    fields |= {"tensors": tensors, "config": config_of(control.name, control.part, shapes, {})}
    fields["places"] = {name: place for name, place in control.places.items() if name not in factors}
    return Over(**fields, host=host, source=source, factors=factors, added=added)


def _summed(source: Header, name: str, pair: tuple[str, str], below: Mapping[str, TensorInfo]) -> TensorInfo:
    """The type and shape of a layer with its factors added. Raises ModelFault when they are not those of such a layer."""
    up, down = (source.tensors[part].shape for part in pair)
    shape = below[name].shape if name in below else ()
    if name == INPUT and len(shape) == 4 and math.prod(down[1:]) % math.prod(shape[2:]) == 0:
        shape = (shape[0], min(shape[1], math.prod(down[1:]) // math.prod(shape[2:])), *shape[2:])
    rank = math.prod(up[1:])
    if not shape or up[0] != shape[0] or rank != down[0] or math.prod(down[1:]) != math.prod(shape[1:]):
        raise ModelFault(_wrong(source, name))
    return TensorInfo("F32", shape)


def _check(source: Header, name: str, own: tuple[int, ...], other: tuple[int, ...]) -> None:
    if name == INPUT and len(own) == len(other) == 4:
        own, other = (own[0], *own[2:]), (other[0], *other[2:])
    if own != other:
        raise ModelFault(_wrong(source, name))


def _wrong(source: Header, name: str) -> str:
    return (
        f"{source.path.name} holds changes of a model's weights and does not fit this model: {name} has another size. "
        "Choose a checkpoint of the kind that it was made for."
    )
