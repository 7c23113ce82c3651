"""Attention a slice at a time (diffusers' attention slicing), beside decoding in tiles.

Only where torch has no attention that does without the large matrix: with such kernels slices save nothing and cost time.
Source: https://huggingface.co/docs/diffusers/optimization/memory
"""

from __future__ import annotations

from typing import Any

from modules.hardware.policies.row import Policy, take_away


def _apply(pipeline: Any, torch_name: str) -> None:
    pipeline.to(torch_name)
    pipeline.enable_attention_slicing()


def _lift(pipeline: Any) -> None:
    pipeline.disable_attention_slicing()
    take_away(pipeline)


ATTENTION = Policy(
    help="attention is computed in slices; pictures are decoded one by one and in tiles",
    apply=_apply,
    lift=_lift,
    kinds=("mps", "directml"),
)
