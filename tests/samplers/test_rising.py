"""The way up to noise: against the closed form of a model that knows its data, and there and back again."""

from __future__ import annotations

import math

import pytest
import torch

from modules.samplers.build import build_scheduler
from modules.samplers.rising import FoundNoise, RisingScheduler

FACTS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
SPREAD = 0.5  # the data's standard deviation, so that the best prediction is x * SPREAD² / (SPREAD² + sigma²)


def walked(scheduler: object, x: torch.Tensor, prediction: str = "epsilon") -> torch.Tensor:
    """The loop of a pipeline, with the best model for normal data."""
    run: object = scheduler
    for t in run.timesteps:  # pyright: ignore[reportAttributeAccessIssue]
        seen = run.scale_model_input(x, t)  # pyright: ignore[reportAttributeAccessIssue]
        sigma = math.sqrt(float((x / seen).flatten()[0]) ** 2 - 1)
        clean = x * SPREAD**2 / (SPREAD**2 + sigma**2)
        noise = (x - clean) / sigma
        answer = noise if prediction == "epsilon" else (noise - sigma * clean) / math.sqrt(1 + sigma**2)
        x = run.step(answer, t, x, return_dict=False)[0]  # pyright: ignore[reportAttributeAccessIssue]
    return x


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(("rounds", "departing"), [(1, False), (1, True), (4, False), (4, True)])
def test_the_way_up_comes_nearer_to_the_closed_form_with_more_steps(prediction: str, rounds: int, departing: bool) -> None:
    """The probability flow of normal data only stretches it: by sqrt(SPREAD² + sigma²) / SPREAD."""
    x, top = torch.tensor([0.3, -1.0, 0.8]).double().view(1, 1, 1, 3), 8.0
    truth = x * math.sqrt(SPREAD**2 + top**2) / SPREAD
    off = list[float]()
    for count in (50, 400):
        levels = [top * (i / count) ** 3 for i in range(count + 1)]
        scheduler = RisingScheduler(facts={**FACTS, "prediction_type": prediction}, levels=levels, rounds=rounds, departing=departing)
        scheduler.set_timesteps(scheduler.calls)
        off.append(float(((walked(scheduler, x.clone(), prediction) - truth) / truth).abs().max()))
    assert off[1] < 0.05
    assert off[1] < 0.4 * off[0]


def test_up_and_down_again_is_the_sample_that_it_began_with() -> None:
    euler = build_scheduler("Euler", "Automatic", FACTS)
    euler.set_timesteps(20)
    levels = [float(level) for level in euler.sigmas][::-1]
    x = torch.tensor([0.3, -1.0, 0.8]).view(1, 1, 1, 3)
    ends = list[torch.Tensor]()
    for rounds in (1, 12):
        rising = RisingScheduler(facts=FACTS, levels=levels, rounds=rounds)
        rising.set_timesteps(rising.calls)
        up = walked(rising, x.clone())
        euler.set_timesteps(20)
        ends.append(walked(euler, up))
    assert (ends[1] - x).abs().max() < 0.02 * (ends[0] - x).abs().max()


def test_noise_mixes_by_angle_and_begins_where_the_way_ended() -> None:
    clean, start = torch.full((2, 4, 8, 8), 0.7), torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    drawn = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    found = FoundNoise(clean=clean, start=start, level=14.0)
    assert torch.allclose(clean + 14.0 * found.mixed(drawn), 14.0 * start, atol=1e-4)
    half = FoundNoise(clean=clean, start=start, level=14.0, randomness=0.5)
    begun = (clean + 14.0 * half.mixed(drawn)) / 14.0
    assert abs(float(begun.std()) - 1) < 0.1
    assert torch.allclose(half.row(1).mixed(drawn[1:]), half.mixed(drawn)[1:])
