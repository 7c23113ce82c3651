"""`RisingScheduler`: the way from a clean sample up to noise, along the probability flow that Euler's method walks down.

A pipeline walks it as any other run. Knows nothing about pictures. Start reading at `RisingScheduler.step`.
Source: arXiv:2010.02502, section 4.3 (the ODE of DDIM run backwards); arXiv:2312.12540 (fixed points for the rounds of a step).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerMixin, SchedulerOutput

from modules.samplers.clean import KeepsClean
from modules.samplers.levels import NoiseLevels
from modules.samplers.predictions import CLEAN


class RisingScheduler(KeepsClean, SchedulerMixin, ConfigMixin):
    """Samples are clean + sigma * noise."""

    order = 1
    init_noise_sigma = 1.0

    @register_to_config
    def __init__(
        self, facts: Mapping[str, Any] | None = None, levels: Sequence[float] = (0.0, 1.0), rounds: int = 1, departing: bool = False
    ) -> None:
        """facts: the model's scheduler config. levels: rising noise levels, the first where the sample lies. rounds: looks at each step.

        departing: the first look of a step is told the level it begins with (where that is 0, the one it ends with), else the one it
        ends with; every further look is one at the sample of the look before, at the level it ends with.
        """
        known = dict(facts or {})
        self._clean_of = CLEAN[known.get("prediction_type", "epsilon")]
        self._known = NoiseLevels.of_model(known)
        self.levels = tuple(levels)
        self._plan = list[tuple[float, float, float]]()
        for start, end in itertools.pairwise(levels):
            first = start if departing and start > 0 else end
            self._plan += [(start, end, first if n == 0 else end) for n in range(rounds)]
        self._rounds = rounds
        self.timesteps = torch.tensor([self._known.time(asked) for _, _, asked in self._plan], dtype=torch.float32)
        self._at = 0
        self._from: torch.Tensor | None = None

    @property
    def calls(self) -> int:
        """How often the model is asked."""
        return len(self._plan)

    def set_timesteps(self, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Begin. The number of steps is that of the levels."""
        self.timesteps = self.timesteps.to(device)
        self._at, self._from, self.clean = 0, None, None

    def scale_model_input(self, sample: torch.Tensor, timestep: Any = None) -> torch.Tensor:
        """The sample as the model knows it, of total variance 1."""
        return sample / math.sqrt(1 + self._plan[self._at][2] ** 2)

    def step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, generator: Any = None, return_dict: bool = True
    ) -> SchedulerOutput | tuple[torch.Tensor, torch.Tensor]:
        """The next sample to ask the model about, (B, C, h, w), worked out in float32; at last the one of the highest level.

        A tuple also holds the clean sample that the model believes in.
        """
        start, end, asked = self._plan[self._at]
        x = sample.float()
        begun = x if self._at % self._rounds == 0 or self._from is None else self._from
        clean = self._clean_of(model_output.float(), x, asked)
        found = begun + (x - clean) / asked * (end - start)
        self._from = begun
        self._at += 1
        self.clean = clean.to(sample.dtype)
        return SchedulerOutput(prev_sample=found.to(sample.dtype)) if return_dict else (found.to(sample.dtype), self.clean)


@dataclass(frozen=True, kw_only=True)
class FoundNoise:
    """clean: (B, C, h, w), the pictures' latents; start: the same, where the way back ended, in units of its noise level; level: that.

    randomness: share of drawn noise, 0 to 1.
    """

    clean: torch.Tensor
    start: torch.Tensor
    level: float
    randomness: float = 0.0

    def mixed(self, drawn: torch.Tensor) -> torch.Tensor:
        """What to add to the clean latents, in units of the level, so that the run begins where the way back ended.

        drawn: (B, C, h, w), standard normal; what is mixed keeps its variance.
        """
        share = self.randomness
        start = ((1 - share) * self.start + share * drawn.to(self.start)) / math.sqrt(share**2 + (1 - share) ** 2)
        return start - self.clean / self.level

    def row(self, i: int) -> FoundNoise:
        """For one picture alone."""
        return dataclasses.replace(self, clean=self.clean[i : i + 1], start=self.start[i : i + 1])
