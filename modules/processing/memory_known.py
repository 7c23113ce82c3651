"""A component of a file, counted: how many numbers its weights are, from its header alone. No torch. Start reading at `counted`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from modules.hardware.footprint import key_of
from modules.hardware.policies import Part
from modules.weights.header import TensorInfo
from modules.weights.layouts.component import Component
from modules.weights.quantisers import QUANTISERS

NUMBER_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True, kw_only=True)
class Known:
    """A component of a file, counted. numbers: of its weights; layer_numbers: of its largest layer; key(bytes of a number): its footprint.

    matrices, kernels: numbers in weights with two axes and with four, which quantisers keep in fewer bits.
    """

    component: Component
    numbers: int
    layer_numbers: int
    matrices: int
    kernels: int

    def key(self, number_bytes: int) -> str:
        """The name of its footprint when it computes in numbers of that size."""
        tiles = self.component.config.get("sample_size") if self.component.part.kind == "vae" else 0
        return key_of(self.component.part.model, [*self.component.shapes.values(), (int(tiles or 0),)], number_bytes)

    def part(self, number_bytes: int, quantiser: str = "") -> Part:
        """Its weights in numbers of that size, or as a quantiser keeps them."""
        whole, layer = self.numbers * number_bytes, self.layer_numbers * number_bytes
        if quantiser:
            row = QUANTISERS.get(quantiser)
            fewer = self.matrices + (self.kernels if "Conv2d" in row.layers else 0)
            whole -= round(fewer * (number_bytes - row.bytes_per_weight))
        return Part(whole, layer)


def counted(component: Component) -> Known:
    """The sizes of a component."""
    layers: dict[str, int] = {}
    for name, info in component.tensors.items():
        layer = name.rpartition(".")[0]
        layers[layer] = layers.get(layer, 0) + math.prod(info.shape)
    return Known(
        component=component, numbers=sum(layers.values()), layer_numbers=max(layers.values(), default=0),
        matrices=_with_axes(component.tensors, 2), kernels=_with_axes(component.tensors, 4),
    )  # fmt: skip


def _with_axes(tensors: Mapping[str, TensorInfo], axes: int) -> int:
    return sum(math.prod(info.shape) for info in tensors.values() if len(info.shape) == axes)
