"""`NoiseLevels`: the noise level of each training timestep of a model, in float64, and between them.

The levels are those of a variance-exploding process: sample = clean + sigma * noise. Knows betas; knows nothing about
samplers. Start reading at `NoiseLevels.of_model`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# What is left of the signal at the last timestep of a model trained down to none: sigma cannot be infinite.
_LEAST_SIGNAL = 4.8973451890853435e-08


@dataclass(frozen=True)
class NoiseLevels:
    """sigmas: (T,) rising noise levels of timesteps 0 ... T - 1."""

    sigmas: Floats

    @classmethod
    def of_model(cls, config: Mapping[str, Any]) -> NoiseLevels:
        """Levels from a diffusers scheduler config: betas, their number and whether they are rescaled to zero signal.

        Raises ValueError for a beta_schedule that is not known. Source: arXiv:2006.11239 (betas), arXiv:2305.08891 (rescaling).
        """
        count = int(config.get("num_train_timesteps") or 1000)
        given = config.get("trained_betas")
        betas = (
            np.asarray(given, np.float64)
            if given is not None
            else _betas(
                str(config.get("beta_schedule") or "linear"),
                float(config.get("beta_start") or 0.0001),
                float(config.get("beta_end") or 0.02),
                count,
            )
        )
        signal = np.cumprod(1.0 - betas)
        if config.get("rescale_betas_zero_snr"):
            root = np.sqrt(signal)
            root = (root - root[-1]) * root[0] / (root[0] - root[-1])
            signal = np.maximum(root**2, _LEAST_SIGNAL)
        return cls(np.sqrt((1.0 - signal) / signal))

    @property
    def lowest(self) -> float:
        return float(self.sigmas[0])

    @property
    def highest(self) -> float:
        return float(self.sigmas[-1])

    def sigma(self, time: float) -> float:
        """Noise level at a timestep 0 ... T - 1 that may lie between two: interpolated in log sigma."""
        return math.exp(float(np.interp(time, np.arange(len(self.sigmas)), np.log(self.sigmas))))

    def time(self, sigma: float, *, whole: bool = False) -> float:
        """Timestep of a noise level, the inverse of `sigma`; the nearest end for one outside. whole: the nearest whole one."""
        if sigma <= self.lowest:
            return 0.0
        if whole:
            return float(np.abs(np.log(self.sigmas) - math.log(sigma)).argmin())
        return float(np.interp(math.log(sigma), np.log(self.sigmas), np.arange(len(self.sigmas))))

    def every(self, stride: int) -> NoiseLevels:
        """The levels of the last timestep of each stride only, as few-step models were trained on."""
        return NoiseLevels(self.sigmas[stride - 1 :: stride])


def _betas(schedule: str, start: float, end: float, count: int) -> Floats:
    if schedule == "scaled_linear":
        return np.linspace(start**0.5, end**0.5, count) ** 2
    if schedule == "linear":
        return np.linspace(start, end, count)
    if schedule == "squaredcos_cap_v2":
        left = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
        return np.minimum(1.0 - left[1:] / left[:-1], 0.999)
    raise ValueError(f"beta_schedule {schedule!r} is not known; it is one of linear, scaled_linear, squaredcos_cap_v2")
