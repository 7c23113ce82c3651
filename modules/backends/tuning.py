"""How torch computes during a pipeline call: kind of attention, TF32, cuDNN's trials, order of the numbers in memory.

Set around the call through torch's own switches and as it was before afterwards. Knows networks and settings, nothing of requests.
Start reading at `tuned`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from modules.backends.attention import ATTENTIONS, AUTOMATIC

CUDNN = ("cuda", "rocm")  # ROCm's MIOpen listens to the same switches


@contextmanager
def tuned(kind: str, network: Any, vae: Any, settings: Mapping[str, Any], notes: list[str]) -> Iterator[None]:
    """Inside, torch computes as the settings say. kind: of device; notes: takes what could not be, in sentences."""
    arrange((network, vae), last=bool(settings.get("opt_channelslast")))
    with ExitStack() as stack:
        if kind in CUDNN:
            tf32 = bool(settings.get("cuda_allow_tf32", True))
            stack.enter_context(_matrices("high" if tf32 else "highest"))
            tries = bool(settings.get("cudnn_benchmark"))
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=tries, benchmark_limit=10, allow_tf32=tf32))
        name = str(settings.get("cross_attention_optimization", AUTOMATIC))
        row = ATTENTIONS.get(name)
        if why := row.probe(kind, network):
            notes.append(f"Attention was left to torch instead of {row.title}: {why}")
        elif row.on is not None:
            stack.enter_context(row.on(network))
        yield


@contextmanager
def _matrices(precision: str) -> Iterator[None]:
    """precision: of torch.set_float32_matmul_precision."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    # The switch is the device's: what works on the CPU meanwhile calculates as ever.
    torch.backends.mkldnn.matmul.fp32_precision = "ieee"  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def arrange(parts: tuple[Any, ...], *, last: bool) -> None:
    """Weights of convolutions with the channels last in memory, or as they came. What lies so already is left, and what is not there."""
    wanted = torch.channels_last if last else torch.contiguous_format
    for part in parts:
        kernel = next((w for w in part.parameters() if w.ndim == 4 and w.shape[1] > 1 and w.shape[2] > 1), None)
        if kernel is not None and not kernel.is_meta and not kernel.is_contiguous(memory_format=wanted):
            part.to(memory_format=wanted)
