"""A denoiser in closed form, to run schedulers with: data is normal with spread SPREAD, so the best guess and the exact path are known."""

from __future__ import annotations

import math
from typing import Any

import torch

from modules.samplers.levels import NoiseLevels

CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "skip_prk_steps": True,
}
SPREAD = 0.7
LEVELS = NoiseLevels.of_model(CONFIG)


def answer(scaled: torch.Tensor, timestep: float, prediction: str = "epsilon") -> torch.Tensor:
    """What a perfect model says about a sample of total variance about 1 at a timestep."""
    sigma = LEVELS.sigma(timestep)
    x = scaled * math.sqrt(1 + sigma**2)
    clean = x * SPREAD**2 / (SPREAD**2 + sigma**2)
    noise = (x - clean) / sigma
    if prediction == "v_prediction":
        return (noise - sigma * clean) / math.sqrt(1 + sigma**2)
    return clean if prediction == "sample" else noise


def exact(x: torch.Tensor, start: float, end: float) -> torch.Tensor:
    """Where the probability flow takes x from level start to level end."""
    return x * math.sqrt((SPREAD**2 + end**2) / (SPREAD**2 + start**2))


def start(batch: int = 2, shape: tuple[int, ...] = (4, 8, 8)) -> torch.Tensor:
    """Noise (batch, ...) in float64; row i is the same in every batch."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(90 + i), dtype=torch.float64) for i in range(batch)])


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def run(scheduler: Any, x: torch.Tensor, *, draws: list[torch.Generator] | None = None, prediction: str = "epsilon") -> torch.Tensor:
    """Walk the scheduler's timesteps from x, already scaled, as a pipeline would."""
    needs: dict[str, Any] = {} if draws is None else {"generator": draws}
    for t in scheduler.timesteps:
        output = answer(scheduler.scale_model_input(x, t), float(t), prediction)
        x = scheduler.step(output, t, x, return_dict=False, **needs)[0]
    return x
