"""bitsandbytes in 4 bits: each block of 64 weights has a scale, each weight one of 16 values.

Source: QLoRA (arXiv 2305.14314), section 3 for NF4. Start reading at `NF4`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules.weights.quantisers.bnb_8bit import NEEDS, PACKAGE, REFUSED
from modules.weights.quantisers.row import Quantiser, Written, library

KERNEL_ROWS = 32  # what the kernel for processors with AVX-512 and bfloat16 packs together; it fails with other numbers of outputs
_STATE = "weight."  # what comes with a weight: its scales, its 16 values, and a description


def _empty(layer: Any, kind: str) -> Any:
    made = library(PACKAGE).nn.Linear4bit(
        layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=layer.weight.dtype, quant_type=kind, device="meta"
    )
    made.bias = layer.bias
    made.support_avx512bf16_for_cpu = getattr(made, "support_avx512bf16_for_cpu", False) and layer.out_features % KERNEL_ROWS == 0
    return made


def _full(layer: Any) -> Any:
    functional = library(f"{PACKAGE}.functional")
    weight, state = layer.weight.data, layer.weight.quant_state
    if getattr(state, "packing_format_for_cpu", False):  # some processors lay the numbers out anew at the first use
        weight, state = functional._convert_weight_packed_for_cpu_inverse(weight, state)
    return functional.dequantize_4bit(weight, state).float().cpu()


def _tensors(layer: Any) -> Written:
    return dict(layer.state_dict()), {}


def _row(kind: str, title: str, note: str) -> Quantiser:
    def make(layer: Any, torch_name: str) -> Any:
        made = _empty(layer, kind)
        made.weight = library(PACKAGE).nn.Params4bit(layer.weight.data, requires_grad=False, quant_type=kind, module=made).to("cpu")
        return made

    def restore(layer: Any, found: Written) -> Any:
        import torch

        made, (tensors, _) = _empty(layer, kind), found
        stats = {name: value for name, value in tensors.items() if name.startswith(_STATE)}
        made.weight = library(PACKAGE).nn.Params4bit.from_prequantized(tensors["weight"], stats, device="cpu", module=made)
        made.bias = torch.nn.Parameter(tensors["bias"], requires_grad=False) if "bias" in tensors else None
        return made

    def config(left_out: Sequence[str]) -> dict[str, Any]:
        return {
            "quant_method": "bitsandbytes",
            "load_in_8bit": False,
            "load_in_4bit": True,
            "bnb_4bit_quant_type": kind,
            "bnb_4bit_use_double_quant": True,
            "llm_int8_skip_modules": [*left_out] or None,
        }

    def claims(config: Mapping[str, Any]) -> bool:
        return bool(config.get("load_in_4bit")) and config.get("bnb_4bit_quant_type", "fp4") == kind

    return Quantiser(
        title=title,
        bytes_per_weight=0.52,
        multiple_of=64,  # blocks that reach from one row into the next break bitsandbytes' kernels for processors with AVX-512
        note=note,
        make=make,
        full=_full,
        tensors=_tensors,
        restore=restore,
        config=config,
        claims=claims,
        needs=NEEDS,
        licence="MIT",
        refused=REFUSED,
        ran="CPU",
        source="https://arxiv.org/abs/2305.14314",
    )


NF4 = _row("nf4", "bitsandbytes NF4", "The 16 values follow a normal distribution, as weights do. The usual choice for 4 bits.")
FP4 = _row("fp4", "bitsandbytes FP4", "The 16 values are small floats; NF4 is closer for most models.")
