"""Learning rates step by step are those of diffusers' own schedulers; optimizers have what a person may set."""

from __future__ import annotations

import pytest
import torch
from diffusers.optimization import get_scheduler

from modules.faults import RequestFault
from modules.request.train import TrainConfig
from modules.train.optimizers import OPTIMIZERS, optimizer_of
from modules.train.schedules import rate_factor
from modules.train.trainee import ParamGroup, StepNoise

STEPS, WARM, RATE = 40, 7, 2e-4


@pytest.mark.parametrize("name", ["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial"])
def test_the_curve_is_that_of_diffusers(name: str):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    warm = 0 if name == "constant" else WARM
    theirs = get_scheduler(name, optimizer, num_warmup_steps=warm, num_training_steps=STEPS, num_cycles=3, power=2.0)
    config = TrainConfig(lr_scheduler=name, lr_warmup_steps=warm, lr_scheduler_num_cycles=3, lr_scheduler_power=2.0)
    for step in range(STEPS):
        assert RATE * rate_factor(config, step, STEPS, RATE) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        optimizer.step()
        theirs.step()


def test_rates_by_step_are_written_as_in_a1111():
    config = TrainConfig.from_data({"lr_scheduler": "piecewise_constant", "lr_steps": "1e-3:2, 5e-4:5, 1e-5", "learning_rate": 1e-3})
    rates = [1e-3 * rate_factor(config, step, 9, 1e-3) for step in range(7)]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 5e-4, 1e-5, 1e-5])


@pytest.mark.parametrize("text", ["", "fast", "1e-3, 1e-4:5", "1e-3:5, 1e-4:3", "-1:4, 1"])
def test_rates_that_make_no_sense_are_refused(text: str):
    with pytest.raises(RequestFault) as fault:
        TrainConfig.from_data({"lr_scheduler": "piecewise_constant", "lr_steps": text})
    assert fault.value.field == "lr_steps"


@pytest.mark.parametrize("name", [name for name, kind in OPTIMIZERS if "cpu" in (kind.devices or ("cpu",))])
def test_every_optimizer_goes_towards_the_goal(name: str):
    """Down a bowl, from both groups, each at its own rate."""
    rate = {"Prodigy": 1.0, "Lion": 3e-3}.get(name, 1e-2)
    config = TrainConfig(optimizer=name, learning_rate=rate, weight_decay=0.0)
    groups = [ParamGroup(each, [torch.nn.Parameter(torch.full((4, 4), 1.0))], rate) for each in ("unet", "text_encoder")]
    optimizer = optimizer_of(config, groups)
    assert [row["name"] for row in optimizer.param_groups] == ["unet", "text_encoder"]
    if OPTIMIZERS.get(name).modes:
        optimizer.train()
    for _ in range(200):
        optimizer.zero_grad()
        sum((param**2).sum() for group in groups for param in group.params).backward()
        optimizer.step()
    assert all(float(param.detach().abs().max()) < 0.6 for group in groups for param in group.params)


def test_noise_is_that_of_its_row_wherever_the_row_is_drawn():
    """Two devices with a row each draw what one device with both does."""
    both = StepNoise(5, 3, (0, 1))
    apart = [StepNoise(5, 3, (row,)) for row in (0, 1)]
    assert torch.equal(both.normal((2, 3)), torch.cat([each.normal((2, 3)) for each in apart]))
    assert torch.equal(both.uniform(), torch.cat([each.uniform() for each in apart]))
    others = [StepNoise(6, 3, (0, 1)), StepNoise(5, 4, (0, 1))]
    assert not any(torch.equal(both.normal((2, 3)), each.normal((2, 3))) for each in others)
    assert not torch.equal(both.normal((2, 3)), both.normal((2, 3), "offset"))
