"""Schedulers against a closed-form denoiser: order of accuracy, and equality with plain diffusers."""

from __future__ import annotations

import inspect
import math
from typing import Any

import diffusers
import pytest
import torch

from modules.samplers import SAMPLERS
from modules.samplers.build import build_scheduler, first_noise, seeded

CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "skip_prk_steps": True,
}
DETERMINISTIC = {"DPM++ 2M": 2, "Euler": 1, "Heun": 2, "DPM2": 2, "UniPC": 2, "DEIS": 2, "LMS": 1}
SPREAD = 0.7


def gaussian_run(name: str, schedule: str, steps: int) -> float:
    """Sample N(0, SPREAD^2) data with its exact noise prediction; the error against the exact flow at the last level."""
    scheduler: Any = build_scheduler(name, schedule, CONFIG)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((1, 4, 8, 8), generator=generator, dtype=torch.float64) * scheduler.init_noise_sigma
    alphas = torch.tensor(scheduler.alphas_cumprod, dtype=torch.float64).log()
    start = x.clone()

    def level(t: float) -> float:
        """log of the cumulative alpha at a timestep that may lie between two."""
        low = min(math.floor(t), 998)
        return float(alphas[low] + (alphas[low + 1] - alphas[low]) * (t - low))

    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t)
        a = math.exp(level(float(t)))
        eps = scaled * math.sqrt(1 - a) / (a * SPREAD**2 + 1 - a)
        x = scheduler.step(eps, t, x, return_dict=False)[0]
    a0 = math.exp(level(float(scheduler.timesteps[0])))
    sigma0 = math.sqrt((1 - a0) / a0)
    unit = start if scheduler.init_noise_sigma == 1 else start / math.sqrt(1 + sigma0**2)
    exact = unit * SPREAD / math.sqrt(a0 * SPREAD**2 + 1 - a0)
    return float((x - exact).abs().max() / exact.abs().max())


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_more_steps_come_closer_to_the_exact_answer(name: str) -> None:
    errors = [gaussian_run(name, "Automatic", steps) for steps in (10, 40, 160)]
    assert errors[2] < errors[0] * 0.5, errors
    assert errors[2] < 0.05, errors


@pytest.mark.parametrize("name", SAMPLERS.names())
def test_a_scheduler_gives_the_same_numbers_as_the_plain_class(name: str) -> None:
    ours: Any = build_scheduler(name, "Automatic", CONFIG)
    plain: Any = getattr(diffusers, SAMPLERS.get(name).scheduler_class)(**{k: v for k, v in ours.config.items() if not k.startswith("_")})
    assert isinstance(ours, type(plain))
    results = []
    for scheduler in (ours, plain):
        scheduler.set_timesteps(7)
        generators = seeded([3, 4])
        x = first_noise(generators, (4, 8, 8)) * scheduler.init_noise_sigma
        needs = {"generator": generators} if "generator" in _step_names(scheduler) else {}
        for t in scheduler.timesteps:
            x = scheduler.step(torch.tanh(scheduler.scale_model_input(x, t)), t, x, return_dict=False, **needs)[0]
        results.append(x)
    assert torch.equal(results[0], results[1])
    assert torch.isfinite(results[0]).all()


def _step_names(scheduler: Any) -> set[str]:
    return set(inspect.signature(scheduler.step).parameters)


@pytest.mark.parametrize("name", [n for n in SAMPLERS.names() if n != "PLMS"])
def test_the_clean_latent_is_kept_for_previews(name: str) -> None:
    scheduler: Any = build_scheduler(name, "Automatic", CONFIG)
    scheduler.set_timesteps(5)
    assert scheduler.clean is None
    x = first_noise(seeded([1]), (4, 8, 8)) * scheduler.init_noise_sigma
    scheduler.step(torch.zeros_like(x), scheduler.timesteps[0], x, return_dict=False)
    assert scheduler.clean.shape == x.shape


def test_every_schedule_of_every_sampler_builds_and_ends_in_finite_numbers() -> None:
    for name, row in SAMPLERS:
        for label in ("Automatic", *row.schedules):
            assert math.isfinite(gaussian_run(name, label, 12)), (name, label)


def test_noise_of_a_picture_does_not_depend_on_its_neighbours() -> None:
    batch = first_noise(seeded([5, 6, 7]), (4, 4, 4))
    assert torch.equal(batch[1:2], first_noise(seeded([6]), (4, 4, 4)))
    assert torch.equal(batch[0], torch.randn((1, 4, 4, 4), generator=torch.Generator().manual_seed(5))[0])
