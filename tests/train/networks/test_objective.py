"""Noise, targets and weights against diffusers' own schedulers and the formulas of the papers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.training_utils import compute_loss_weighting_for_sd3, compute_snr

from modules.faults import RequestFault
from modules.request.train import TrainConfig
from modules.train.networks.objective import Objective, errors, levels, noise_for, objective_of
from modules.train.networks.recipes import RECIPES
from modules.train.trainee import StepNoise

SD: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
DYNAMIC: dict[str, Any] = {"use_dynamic_shifting": True, "shift": 3.0, "base_shift": 0.5, "max_shift": 1.15}
ROWS = 64
RNG = StepNoise(seed=0, step=0, rows=tuple(range(ROWS)))
LATENTS = torch.randn(ROWS, 4, 8, 8, generator=torch.Generator().manual_seed(9))


def config(**options: Any) -> TrainConfig:
    return TrainConfig.from_data(options)


def objective(scheduler: Any, architecture: str = "sd1", **options: Any) -> Objective:
    return objective_of(config(**options), scheduler, RECIPES.get(architecture))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_diffusion_adds_noise_and_wants_back_what_diffusers_does(prediction: str):
    scheduler = DDPMScheduler(**SD, prediction_type=prediction)
    task = objective(scheduler).task(LATENTS, RNG)
    noise = RNG.normal((4, 8, 8))
    assert torch.allclose(task.noisy, scheduler.add_noise(LATENTS, noise, task.times), atol=1e-6)
    wanted = noise if prediction == "epsilon" else scheduler.get_velocity(LATENTS, noise, task.times)
    assert torch.allclose(task.target, wanted, atol=1e-6)
    assert torch.equal(task.weight, torch.ones(ROWS))
    assert task.times.min() >= 0
    assert task.times.max() < 1000
    assert len(task.times.unique()) > ROWS / 2


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_min_snr_and_debiased_weights(prediction: str):
    scheduler = DDPMScheduler(**SD, prediction_type=prediction)
    plain = objective(scheduler).task(LATENTS, RNG)
    snr = compute_snr(scheduler, plain.times)
    least = torch.minimum(snr, torch.full_like(snr, 5.0))
    found = objective(scheduler, min_snr_gamma=5).task(LATENTS, RNG).weight
    assert torch.allclose(found, least / (snr if prediction == "epsilon" else snr + 1), rtol=1e-4)
    debiased = objective(scheduler, debiased_estimation_loss=True).task(LATENTS, RNG).weight
    assert torch.allclose(debiased, snr.clamp(max=1000).rsqrt() if prediction == "epsilon" else 1 / (snr + 1), rtol=1e-4)


def test_velocity_on_a_schedule_that_ends_in_noise_alone_has_finite_weights():
    scheduler = DDPMScheduler(**SD, prediction_type="v_prediction", rescale_betas_zero_snr=True)
    task = objective(scheduler, min_snr_gamma=5, min_timestep=990).task(LATENTS, RNG)
    assert torch.isfinite(task.weight).all()
    assert torch.isfinite(task.noisy).all()
    with pytest.raises(RequestFault, match="must predict velocity"):
        objective(DDPMScheduler(**SD, rescale_betas_zero_snr=True))


def test_flow_goes_the_straight_way_with_the_models_own_shift():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    task = objective(scheduler, "sd3").task(LATENTS, RNG)
    sigma = (task.times / 1000).view(-1, 1, 1, 1)
    noise = RNG.normal((4, 8, 8))
    assert torch.allclose(task.noisy, (1 - sigma) * LATENTS + sigma * noise, atol=1e-6)
    assert torch.equal(task.target, noise - LATENTS)
    level = torch.sigmoid(RNG.normal((), "timestep"))
    assert torch.allclose(sigma.flatten(), 3 * level / (1 + 2 * level), atol=1e-6)
    steps = torch.linspace(1, 1000, 1000) / 1000
    assert torch.allclose(scheduler.sigmas.flip(0), 3 * steps / (1 + 2 * steps), atol=1e-5)  # the same curve as in diffusers


def test_the_shift_of_flux_grows_with_the_picture_as_in_its_pipeline():
    scheduler = FlowMatchEulerDiscreteScheduler(**DYNAMIC)
    level = torch.sigmoid(RNG.normal((), "timestep"))
    for side in (32, 128):
        task = objective(scheduler, "flux").task(torch.zeros(ROWS, 1, side, side), RNG)
        mu = calculate_shift((side // 2) ** 2, base_shift=0.5, max_shift=1.15)
        assert torch.allclose(task.times / 1000, scheduler.time_shift(mu, 1.0, level).clamp(min=1e-3), atol=1e-5)
    own = objective(scheduler, "flux", timestep_sampling="sigmoid").task(LATENTS, RNG).times / 1000
    assert torch.allclose(own, level, atol=1e-6)
    asked = objective(scheduler, "flux", timestep_sampling="sigmoid", discrete_flow_shift=2).task(LATENTS, RNG).times / 1000
    assert torch.allclose(asked, 2 * level / (1 + level), atol=1e-6)


@pytest.mark.parametrize("scheme", ["sigma_sqrt", "cosmap", "none"])
def test_weights_of_flow_are_those_of_diffusers(scheme: str):
    task = objective(FlowMatchEulerDiscreteScheduler(shift=3.0), "sd3", weighting_scheme=scheme).task(LATENTS, RNG)
    assert torch.allclose(task.weight, compute_loss_weighting_for_sd3(scheme, task.times / 1000), rtol=1e-4)


@pytest.mark.parametrize("sampling", ["uniform", "sigmoid", "logit_normal", "mode", "shift"])
def test_levels_stay_in_range_and_follow_their_seed(sampling: str):
    many = StepNoise(seed=1, step=2, rows=tuple(range(500)))
    found = levels(config(logit_mean=1.0), sampling, many)
    assert 0 <= float(found.min()) < float(found.max()) <= 1
    assert torch.equal(found, levels(config(logit_mean=1.0), sampling, many))
    assert float(found.mean()) == pytest.approx(0.7 if sampling == "logit_normal" else 0.5, abs=0.05)


def test_timesteps_keep_to_their_limits():
    for scheduler, name in ((DDPMScheduler(**SD), "sd1"), (FlowMatchEulerDiscreteScheduler(shift=3.0), "sd3")):
        times = objective(scheduler, name, min_timestep=200, max_timestep=300).task(LATENTS, RNG).times
        assert 200 <= float(times.min()) < float(times.max()) <= 300


def test_noise_with_an_offset_and_coarser_noises():
    plain = noise_for(config(), LATENTS, RNG)
    shifted = noise_for(config(noise_offset=0.5), LATENTS, RNG) - plain
    assert float(shifted.std(dim=(2, 3)).max()) < 1e-5  # one number for each picture and channel
    assert float(shifted.mean(dim=(2, 3)).std()) == pytest.approx(0.5, rel=0.2)
    coarse = noise_for(config(multires_noise_iterations=4, multires_noise_discount=0.8), LATENTS, RNG)
    assert torch.allclose(coarse.std(dim=(1, 2, 3)), torch.ones(ROWS), atol=1e-4)

    def neighbours(noise: torch.Tensor) -> float:
        return float((noise[..., 1:] * noise[..., :-1]).mean())

    assert abs(neighbours(plain)) < 0.1 < neighbours(coarse)


def test_more_noise_in_the_input_than_is_told():
    scheduler = DDPMScheduler(**SD)
    plain, more = (objective(scheduler, ip_noise_gamma=gamma).task(LATENTS, RNG) for gamma in (0.0, 0.1))
    assert torch.equal(plain.target, more.target)
    share = (1 - scheduler.alphas_cumprod[plain.times]).sqrt().view(-1, 1, 1, 1)
    assert float(((more.noisy - plain.noisy) / share).std()) == pytest.approx(0.1, rel=0.05)


def test_errors_of_rows():
    a, b = torch.zeros(2, 1, 1, 2), torch.tensor([[[[0.0, 2.0]]], [[[0.1, 0.1]]]])
    assert errors(config(), a, b).tolist() == pytest.approx([2.0, 0.01])
    smooth = [(math.sqrt(4.01) - 0.1), 2 * (math.sqrt(0.02) - 0.1)]
    assert errors(config(loss_type="smooth_l1", huber_c=0.1), a, b).tolist() == pytest.approx(smooth, rel=1e-4)
    assert errors(config(loss_type="huber", huber_c=0.1), a, b).tolist() == pytest.approx([x * 0.1 for x in smooth], rel=1e-4)
