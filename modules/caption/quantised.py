"""Captioners with weights of 8 or 4 bits, made while they are loaded (bitsandbytes, through transformers); and what they held before.

Matrices are made small, tables and norms stay as they are. Start reading at `configured`.
Source: LLM.int8() (arXiv 2208.07339) and NF4 (QLoRA, arXiv 2305.14314), as bitsandbytes has them.
"""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from modules.faults import ModelFault
from modules.request.caption import FOUR_BIT, INT8, QUANTISED

PACKAGE = "bitsandbytes"
KERNEL_ROWS, BLOCK = 32, 64  # what bitsandbytes packs together, and how many weights share a scale


def configured(precision: str, dtype: str) -> BitsAndBytesConfig | None:
    """What `from_pretrained` is told for a precision, None for one that is no quantisation. dtype: what is computed in ("float32").

    Raises ModelFault with how to get the package when it is missing.
    """
    if precision not in QUANTISED:
        return None
    if importlib.util.find_spec(PACKAGE) is None:
        raise ModelFault(f"Precision {precision} needs {PACKAGE}. Install it: python -m pip install {PACKAGE}")
    logging.getLogger(PACKAGE).setLevel(logging.ERROR)  # it tells of every cast of every layer
    if precision == INT8:
        return BitsAndBytesConfig(load_in_8bit=True)
    if precision == FOUR_BIT:
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, dtype))
    raise ValueError(precision)


def fit_kernels(model: torch.nn.Module) -> None:
    """Layers of 4 bits whose shape bitsandbytes' kernel for processors with AVX-512 and bfloat16 refuses take its usual one."""
    layers: list[Any] = [module for module in model.modules() if getattr(module, "support_avx512bf16_for_cpu", False)]
    for layer in layers:
        rows, columns = layer.weight.quant_state.shape
        layer.support_avx512bf16_for_cpu = rows % KERNEL_ROWS == 0 and columns % BLOCK == 0


def full_bytes(model: torch.nn.Module) -> int:
    """What the same weights hold in float32, told from the shapes that they had before."""
    seen: set[int] = set()
    total = 0
    for weight in model.parameters():
        if id(weight) in seen:
            continue
        seen.add(id(weight))
        shape = getattr(getattr(weight, "quant_state", None), "shape", None)
        total += 4 * (shape.numel() if shape is not None else weight.numel())
    return total
