"""The clean sample by what a model predicts: its noise, its velocity or the sample itself.

Samples x are clean + sigma * noise, the model's answers those to x / sqrt(1 + sigma^2). Source: arXiv:2202.00512, appendix D, written
in noise levels. Start reading at CLEAN, whose keys are diffusers' values of prediction_type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch


def _from_noise(output: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
    return x - output * sigma


def _from_velocity(output: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
    return x / (1 + sigma**2) - output * (sigma / math.sqrt(1 + sigma**2))


def _from_sample(output: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
    return output


CLEAN: Final[dict[str, Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]]] = {
    "epsilon": _from_noise,
    "v_prediction": _from_velocity,
    "sample": _from_sample,
}


def _as_noise(clean: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
    return (x - clean) / sigma


def _as_velocity(clean: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
    return (x / (1 + sigma**2) - clean) * (math.sqrt(1 + sigma**2) / sigma)


def _as_sample(clean: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
    return clean


# The way back: the answer of a model that believes in a clean sample.
ANSWER: Final[dict[str, Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]]] = {
    "epsilon": _as_noise,
    "v_prediction": _as_velocity,
    "sample": _as_sample,
}
