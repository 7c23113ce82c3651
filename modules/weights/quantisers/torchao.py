"""torchao's weight-only quantisation: the tensor of a weight becomes one of few bits, its layer stays what it is.

Int8 and float8 run wherever torch does; int4 needs kernels of a package for CUDA cards and is made on the card.
Start reading at `AO_INT8`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from modules.weights.quantisers.row import Quantiser, Written, library

NEEDS = "torchao>=0.16.0"
_REFUSED = {
    "mps": "torchao's tensors are not tried on Apple's GPUs here.",
    "directml": "torchao's tensors need a device of torch itself.",
}
_ONLY_CUDA = "torchao's 4-bit kernels are for NVIDIA cards."
_FILES = "torchao.prototype.safetensors.safetensors_support"
_NAMES = "tensor_names"  # in the header of a file: what all its tensors are called
_LAYER = "layer."  # torchao wants a name before the last dot


def _full(layer: Any) -> Any:
    return layer.weight.dequantize().detach().float().cpu()


def _tensors(layer: Any) -> Written:
    """Under the names that torchao and diffusers write: "_weight_qdata", "_weight_scale"; the words say how they go together."""
    flat, words = library(_FILES).flatten_tensor_state_dict({f"{_LAYER}{name}": value for name, value in layer.state_dict().items()})
    return _inner(flat), _inner({name: text for name, text in words.items() if name != _NAMES})


def _restore(layer: Any, found: Written) -> Any:
    import torch

    tensors, words = ({f"{_LAYER}{name}": value for name, value in part.items()} for part in found)
    whole, _ = library(_FILES).unflatten_tensor_state_dict(tensors, {**words, _NAMES: json.dumps([*words])})
    for name, value in whole.items():
        setattr(layer, name.removeprefix(_LAYER), torch.nn.Parameter(value, requires_grad=False))
    return layer


def _inner(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(_LAYER): value for name, value in values.items()}


def _row(
    kind: str, *, refused: Mapping[str, str] = _REFUSED, on_device: bool = False, options: Mapping[str, Any] | None = None, **facts: Any
) -> Quantiser:
    """kind: name of torchao's configuration; on_device: its kernels want the weight there while it is made small."""

    def how() -> Any:
        return getattr(library("torchao.quantization"), kind)(**(options or {}))

    def make(layer: Any, torch_name: str) -> Any:
        library("torchao.quantization").quantize_(layer.to(torch_name) if on_device else layer, how())
        return layer.requires_grad_(False)

    def config(left_out: Sequence[str]) -> dict[str, Any]:
        how_told = library("torchao.core.config").config_to_dict(how())
        return {"quant_method": "torchao", "quant_type": {"default": how_told}, "modules_to_not_convert": [*left_out] or None}

    def claims(config: Mapping[str, Any]) -> bool:
        asked: Any = config.get("quant_type")
        return config.get("quant_method") == "torchao" and isinstance(asked, dict) and asked.get("default", {}).get("_type") == kind

    return Quantiser(
        make=make,
        full=_full,
        tensors=_tensors,
        restore=_restore,
        config=config,
        claims=claims,
        metadata=_metadata,
        needs=NEEDS,
        licence="BSD-3-Clause",
        refused=refused,
        source="https://docs.pytorch.org/ao/stable/",
        **facts,
    )


def _metadata(words: Mapping[str, str], plain: Sequence[str]) -> dict[str, str]:
    """What torchao wants in the header of a file: every tensor by name, the plain ones as such."""
    told = {**words, **dict.fromkeys(plain, json.dumps({"_type": "Tensor"}))}
    return {**told, _NAMES: json.dumps([*told])}


AO_INT8 = _row(
    "Int8WeightOnlyConfig",
    title="torchao int8",
    bytes_per_weight=1.0,
    note="A scale for each row, inputs stay as they are: the closest of all to full precision.",
    ran="CPU",
)
AO_FLOAT8 = _row(
    "Float8WeightOnlyConfig",
    title="torchao float8",
    bytes_per_weight=1.0,
    note="8-bit floats with a scale for each matrix, so that their range is used well.",
    ran="CPU",
)
AO_INT4 = _row(
    "Int4WeightOnlyConfig",
    title="torchao int4",
    bytes_per_weight=0.53,
    note="Wants bfloat16 and a recent NVIDIA card. Groups of 128 weights have a scale; layers of other widths are left out.",
    refused=dict.fromkeys(("rocm", "xpu", "mps", "directml", "cpu"), _ONLY_CUDA),
    on_device=True,
    multiple_of=128,
    options={"int4_packing_format": "tile_packed_to_4d"},
)
