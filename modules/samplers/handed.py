"""diffusers' own multistep schedulers, made to follow our noise levels instead of their rounded timesteps.

They work in steps of log sigma and cannot end at 0, so their schedules end at the model's lowest noise level. Start reading at
`FollowsLevels.set_timesteps`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from modules.samplers.clean import KeepsClean
from modules.samplers.levels import Floats, NoiseLevels
from modules.samplers.options import PLAIN, SamplerOptions
from modules.samplers.predictions import ANSWER, CLEAN
from modules.samplers.sigmas import image_steps, last_part, schedule_sigmas


class FollowsLevels(KeepsClean):
    """Mixed in before UniPC, DEIS or SA Solver. levels: of the model; schedule: a name in FORMULAS; timed: as `Sampler.timed`."""

    levels: NoiseLevels
    schedule: str = "uniform"
    options: SamplerOptions = PLAIN
    timed: bool = False

    def set_timesteps(self: Any, num_inference_steps: int | None = None, device: Any = None) -> None:
        """Plan a run of so many steps. timesteps are not rounded."""
        found = self._levels_of(num_inference_steps or 0)
        scheduler: Any = super()
        scheduler.set_timesteps(len(found) - 1, device=device)
        self.sigmas = torch.tensor(found, dtype=torch.float32)
        times = [self.levels.time(level, whole=self.options.whole_times) for level in found[:-1]]
        self.timesteps = torch.tensor(times, dtype=torch.float32).to(device)
        self.clean = None

    def add_noise(self: Any, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """Clean samples with noise of each one's timestep, which may lie between two; of total variance 1."""
        planned = self.timesteps.tolist()
        known = [float(self.sigmas[planned.index(t)]) if t in planned else self.levels.sigma(t) for t in timesteps.reshape(-1).tolist()]
        sigma = torch.tensor(known, dtype=original_samples.dtype, device=original_samples.device)
        sigma = sigma.view(-1, *[1] * (original_samples.ndim - 1))
        noise = self.own_noise(original_samples, noise, timesteps, known[0])
        return (original_samples + noise * sigma) / (1 + sigma**2) ** 0.5

    def edited(self: Any, model_output: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
        """The model's answer as it would be had it believed in the clean sample that `edit_clean` makes of its own."""
        sigma = float(self.sigmas[self.step_index if self.step_index is not None else self.begin_index or 0])
        predicts, x = self.config["prediction_type"], sample.float() * math.sqrt(1 + sigma**2)
        clean = self.edit_clean(CLEAN[predicts](model_output.float(), x, sigma), sigma)
        return ANSWER[predicts](clean, x, sigma).to(model_output.dtype)

    def _levels_of(self, steps: int) -> Floats:
        o = self.options
        if o.denoising is None:
            return self._ending_low(steps)
        total, t_enc = image_steps(steps, o.denoising, exact=o.exact_steps)
        return last_part(self._ending_low(total), total, t_enc, timed=self.timed)

    def _ending_low(self, steps: int) -> Floats:
        found = schedule_sigmas(self.schedule, steps, self.levels, self.options)
        if found[-1] > 0:
            return found
        found = schedule_sigmas(self.schedule, steps + 1, self.levels, self.options)[:-1]
        return found if len(found) > 1 else np.append(found, self.levels.lowest)
