"""Which number types really work on a device, tried with the kernels that diffusion needs.

A type that is offered but computes nonsense (seen on several driver and card pairs) counts as not working.
Start reading at `try_dtypes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DTYPES = ("float32", "float16", "bfloat16")
# Largest error against float32 on the CPU, relative to the largest value, that rounding alone can explain. float32 leaves
# room for the shortened float32 (TF32, 10 bits) that some cards use in convolutions.
TOLERANCE = {"float32": 5e-3, "float16": 2e-2, "bfloat16": 1e-1}


def try_dtypes(torch_name: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """(number types that work on a device, type -> why not for the others). torch_name: "cuda:0"; takes about a second."""
    works: list[str] = []
    refused: dict[str, str] = {}
    for name in DTYPES:
        why = trouble(torch_name, name)
        if why:
            refused[name] = why
        else:
            works.append(name)
    return tuple(works), refused


def trouble(torch_name: str, dtype: str) -> str:
    """Why a number type will not do on a device: the kernel that failed or its error; "" when all are right."""
    import torch

    generator = torch.Generator("cpu").manual_seed(0)
    a, b = (torch.randn((1, 4, 32, 32), generator=generator) for _ in range(2))
    weight = torch.randn((8, 4, 3, 3), generator=generator) / 6
    for name, kernel in _kernels().items():
        try:
            right = kernel(a, b, weight)
            tried = kernel(*(t.to(device=torch_name, dtype=getattr(torch, dtype)) for t in (a, b, weight))).float().cpu()
        except (RuntimeError, NotImplementedError, TypeError) as error:  # the kernel is missing or fails on this device
            return f"{name}: {(str(error).strip() or type(error).__name__).splitlines()[0][:200]}"
        if not bool(torch.isfinite(tried).all()):
            return f"{name} gives values that are not numbers"
        error = float((tried - right).abs().max() / right.abs().max())
        if error > TOLERANCE[dtype]:
            return f"{name} is wrong by {error:.1%} of the largest value (rounding explains {TOLERANCE[dtype]:.1%})"
    return ""


def _kernels() -> dict[str, Callable[..., Any]]:
    """x, y: (1, 4, 32, 32); w: (8, 4, 3, 3). Results stay below 100, far from float16's end."""
    from torch.nn.functional import conv2d, scaled_dot_product_attention

    return {
        "matmul": lambda x, y, w: x @ y / 6,
        "conv2d": lambda x, y, w: conv2d(x, w, padding=1),
        "attention": lambda x, y, w: scaled_dot_product_attention(x, y, x),
    }
