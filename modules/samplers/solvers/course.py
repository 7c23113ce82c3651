"""What every solver works with: `Course`, the steps ahead and the noise it may draw; and the form that solvers have.

A solver is a generator function `solver(run, x)`. x: the sample (B, C, h, w) at the first noise level, in the form
clean + sigma * noise. It yields (sample, sigma) where it wants the model asked, and is sent (the sample as it was asked about,
the clean sample that the model believes in) back; what it returns is the result. So an algorithm stands here as in its paper,
with no trace of who calls the model and when. Start reading at `modules.samplers.solvers.plain.euler`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch

from modules.samplers.levels import NoiseLevels
from modules.samplers.options import PLAIN, SamplerOptions

Tensor = torch.Tensor
Solver = Generator[tuple[Tensor, float], tuple[Tensor, Tensor], Tensor]
Steps = list[tuple[float, float]]


class Noise(Protocol):
    """Where a solver's noise comes from; each picture has its own."""

    def normal(self, x: Tensor) -> Tensor:
        """Standard normal noise shaped like x, the next of each picture."""
        ...

    def along(self, x: Tensor, start: float, end: float) -> Tensor:
        """Standard normal noise shaped like x: what a Brownian path of each picture gains from level start to level end."""
        ...


@dataclass(kw_only=True)
class Course:
    """A run. steps: (level now, level after); at: the one under way; asked: steps asked for; eta: share of fresh noise.

    levels: the noise levels the model knows. resumed: begun in the midst of a longer run.
    without_prompt: the clean sample for the negative prompt of the last answer, None when nobody keeps it.
    """

    steps: Steps
    noise: Noise
    levels: NoiseLevels
    eta: float = 1.0
    options: SamplerOptions = PLAIN
    asked: int = 0
    resumed: bool = False
    at: int = 0
    without_prompt: Tensor | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        for i, step in enumerate(self.steps):
            self.at = i
            yield step

    def split(self, now: float, after: float) -> tuple[float, float]:
        """(level to go down to, noise to add) of an ancestral step: together they make the level after. Source: k-diffusion."""
        if after == 0.0:
            return 0.0, 0.0
        up = min(after, self.eta * math.sqrt(max(after**2 * (now**2 - after**2) / now**2, 0.0)))
        return math.sqrt(after**2 - up**2), up

    def add_noise(self, x: Tensor, amount: float) -> Tensor:
        """x with fresh noise of that level, times s_noise."""
        return x + self.noise.normal(x) * (amount * self.options.s_noise) if amount > 0 else x

    def stirred(self, x: Tensor, now: float) -> tuple[Tensor, float]:
        """(x, its level) after churn. Noise is also drawn where none is stirred in, as A1111 does. Source: arXiv:2206.00364, algorithm 2.

        Before the first step it changes the level only: pipelines scale their first noise by it, so it is in there already.
        """
        o = self.options
        if o.s_churn <= 0:
            return x, now
        noise = self.noise.normal(x)
        inside = o.s_tmin <= now <= (o.s_tmax or math.inf)
        share = min(o.s_churn / self.asked, math.sqrt(2) - 1) if inside else 0.0
        higher = now * (1 + share)
        return x + noise * (math.sqrt(higher**2 - now**2) * o.s_noise), higher


def log_snr(sigma: float) -> float:
    """lambda = -log sigma, the time that the DPM-Solver papers reckon in; infinite at 0."""
    return math.inf if sigma == 0.0 else -math.log(sigma)
