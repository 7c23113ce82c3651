"""What a scheduler is told of a run that begins with a picture: its noise, and what may change each predicted clean sample.

Pipelines draw the noise of such runs themselves; ours is drawn by our own rules (source, variation), so it takes that noise's place.
Knows nothing about pictures or masks. Start reading at `Beginning`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

# Given the predicted clean sample and its noise level sigma (that of clean + sigma * noise), the sample to go on with.
EditClean = Callable[[torch.Tensor, float], torch.Tensor]
NEVER = 1e6  # stands for an endless sigma: a flow's pure noise


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """noise: standard normal, once for each layout that the pipeline works in ((B, C, h, w), tokens).

    multiplier: on the noise of the first step; extra: more of it there, in units of the clean sample's scale.
    """

    noise: tuple[torch.Tensor, ...]
    multiplier: float = 1.0
    extra: float = 0.0

    def like(self, sample: torch.Tensor, sigma: float, *, first: bool) -> torch.Tensor:
        """The noise in the layout, type and place of a sample. first: for the first step, whose level is sigma."""
        own = next(noise for noise in self.noise if noise.shape[1:] == sample.shape[1:]).to(sample)
        return own * (self.multiplier * (1 + self.extra / sigma)) if first else own


def flow_sigma(share: float) -> float:
    """The noise level as of clean + sigma * noise, from a flow's share of noise (0 to 1)."""
    return share / (1 - share) if share < 1 else NEVER
