"""How much faster half precision is than float32 on a processor, measured once with the kernels that diffusion spends its time in.

Start reading at `half_gain`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

ROUNDS = 5


def half_gain(dtype: str) -> float:
    """float32's time / that of a number type, of a convolution, a linear layer and an attention together. Takes about a second.

    In turn, so that another busy program slows both; the median of the rounds.
    """
    import torch

    work = _work(torch)
    kinds = (torch.float32, getattr(torch, dtype))
    given = {kind: [tensor.to(kind) for tensor in work[1]] for kind in kinds}
    ratios: list[float] = []
    with torch.inference_mode():
        for n in range(ROUNDS + 1):
            full, half = (_seconds(work[0], given[kind]) for kind in kinds)
            if n:  # the first round warms up
                ratios.append(full / half)
    return statistics.median(ratios)


def _seconds(run: Callable[..., Any], given: list[Any]) -> float:
    began = time.perf_counter()
    run(*given)
    return time.perf_counter() - began


def _work(torch: Any) -> tuple[Callable[..., Any], list[Any]]:
    """Shares of the time as in a UNet of Stable Diffusion 1.5 at 256 px: convolutions first."""
    f = torch.nn.functional
    generator = torch.Generator("cpu").manual_seed(0)
    shapes = ((2, 320, 32, 32), (320, 320, 3, 3), (2, 1024, 320), (2560, 320), (2, 8, 1024, 40))

    def run(image: Any, kernel: Any, tokens: Any, weight: Any, heads: Any) -> None:
        f.conv2d(image, kernel, padding=1)
        f.conv2d(image, kernel, padding=1)
        f.linear(tokens, weight)
        f.scaled_dot_product_attention(heads, heads, heads)

    return run, [torch.randn(shape, generator=generator) / 8 for shape in shapes]
