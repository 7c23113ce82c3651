"""optimum-quanto: the layer becomes one of quanto's own, its weight whole numbers or 8-bit floats with scales.

diffusers says that it will leave quanto out at version 1.0; the rows stay while it works. Its int4 has no row: under torch's inference
mode, in which pictures are made here, its layers raise an error (0.2.7). Start reading at `QUANTO_INT8`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules.weights.quantisers.row import Quantiser, Written, library


def _layer(layer: Any, kind: str, device: str | None = None) -> Any:
    quanto = library("optimum.quanto")
    numbers, made = getattr(quanto, f"q{kind}"), quanto.QLinear
    if device is None:
        return made.from_module(layer, weights=numbers)
    return made(
        layer.in_features, layer.out_features, layer.bias is not None, dtype=layer.weight.dtype, device=device, weights=numbers,
        quantize_input=False,
    )  # fmt: skip


def _full(layer: Any) -> Any:
    return layer.weight.dequantize().detach().float().cpu()


def _tensors(layer: Any) -> Written:
    return dict(layer.state_dict()), {}


def _row(kind: str, **facts: Any) -> Quantiser:
    def make(layer: Any, torch_name: str) -> Any:
        made = _layer(layer, kind)
        made.freeze()
        return made.requires_grad_(False)

    def restore(layer: Any, found: Written) -> Any:
        made = _layer(layer, kind, "meta")
        made.load_state_dict(found[0], assign=True)
        return made.requires_grad_(False)

    def config(left_out: Sequence[str]) -> dict[str, Any]:
        return {"quant_method": "quanto", "weights_dtype": kind, "modules_to_not_convert": [*left_out] or None}

    def claims(config: Mapping[str, Any]) -> bool:
        return config.get("quant_method") == "quanto" and config.get("weights_dtype") == kind

    return Quantiser(
        make=make,
        full=_full,
        tensors=_tensors,
        restore=restore,
        config=config,
        claims=claims,
        needs="optimum-quanto>=0.2.7",
        licence="Apache-2.0",
        refused={"directml": "quanto has no kernels for DirectML."},
        source="https://github.com/huggingface/optimum-quanto",
        **facts,
    )


QUANTO_INT8 = _row("int8", title="quanto int8", bytes_per_weight=1.0, note="A scale for each row.", ran="CPU")
QUANTO_FLOAT8 = _row("float8", title="quanto float8", bytes_per_weight=1.0, note="8-bit floats with a scale for each row.", ran="CPU")
