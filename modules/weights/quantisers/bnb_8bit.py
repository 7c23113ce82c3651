"""bitsandbytes in 8 bits: whole numbers with a scale for each row; large inputs are computed in half precision beside them.

Source: LLM.int8() (arXiv 2208.07339). Start reading at `BNB_INT8`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from modules.weights.quantisers.row import Quantiser, Written, library

PACKAGE = "bitsandbytes"
NEEDS = f"{PACKAGE}>=0.46.1"
REFUSED = {"mps": "bitsandbytes has no kernels of its own for Apple's GPUs.", "directml": "bitsandbytes has no kernels for DirectML."}
THRESHOLD = 6.0  # as in the paper: inputs beyond it are outliers


def _empty(layer: Any) -> Any:
    logging.getLogger(PACKAGE).setLevel(logging.ERROR)  # it tells of every cast of every layer
    made = library(PACKAGE).nn.Linear8bitLt(
        layer.in_features, layer.out_features, layer.bias is not None, has_fp16_weights=False, threshold=THRESHOLD, device="meta"
    )
    made.bias = layer.bias
    return made


def _make(layer: Any, torch_name: str) -> Any:
    made = _empty(layer)
    made.weight = library(PACKAGE).nn.Int8Params(layer.weight.data, requires_grad=False, has_fp16_weights=False).to("cpu")
    return made


def _parts(layer: Any) -> tuple[Any, Any]:
    """(rows of int8, a scale for each row); they move from the weight to the layer's state at its first use."""
    weight = layer.weight
    return weight.data, weight.SCB if weight.SCB is not None else layer.state.SCB


def _full(layer: Any) -> Any:
    numbers, scales = _parts(layer)
    return (numbers.float() * scales.float().unsqueeze(1) / 127.0).cpu()


def _tensors(layer: Any) -> Written:
    import torch

    numbers, scales = _parts(layer)
    bias = {} if layer.bias is None else {"bias": layer.bias.data}
    return {"weight": numbers, "SCB": scales, "weight_format": torch.tensor(0, dtype=torch.uint8), **bias}, {}


def _restore(layer: Any, found: Written) -> Any:
    import torch

    made, (tensors, _) = _empty(layer), found
    numbers = tensors["weight"]
    made.weight = library(PACKAGE).nn.Int8Params(numbers, requires_grad=False, has_fp16_weights=False, CB=numbers, SCB=tensors["SCB"])
    made.bias = torch.nn.Parameter(tensors["bias"], requires_grad=False) if "bias" in tensors else None
    return made


def _config(left_out: Sequence[str]) -> dict[str, Any]:
    return {
        "quant_method": "bitsandbytes",
        "load_in_8bit": True,
        "load_in_4bit": False,
        "llm_int8_threshold": THRESHOLD,
        "llm_int8_skip_modules": [*left_out] or None,
    }


def _claims(config: Mapping[str, Any]) -> bool:
    return bool(config.get("load_in_8bit"))


BNB_INT8 = Quantiser(
    title="bitsandbytes int8",
    bytes_per_weight=1.0,
    note="Inputs are rounded to 8 bits too. Close to full precision, and slow on the CPU.",
    make=_make,
    full=_full,
    tensors=_tensors,
    restore=_restore,
    config=_config,
    claims=_claims,
    needs=NEEDS,
    licence="MIT",
    refused=REFUSED,
    ran="CPU",
    source="https://arxiv.org/abs/2208.07339",
)
