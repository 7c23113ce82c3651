"""Our solvers against diffusers' own classes, where it has one: the same noise levels, the same model, the same noise."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch

from modules.samplers.build import build_scheduler
from modules.samplers.options import SamplerOptions
from modules.samplers.scheduler import SolverScheduler
from tests.samplers.gaussian import CONFIG, generators, run, start

FACTS = {k: CONFIG[k] for k in ("beta_start", "beta_end", "beta_schedule")}
KARRAS = {"use_karras_sigmas": True, **FACTS}


def walk(scheduler: Any, x: torch.Tensor, sigmas: torch.Tensor, draws: list[torch.Generator] | None = None) -> torch.Tensor:
    """As `gaussian.run`, with the model asked at the exact level instead of the timestep, which diffusers rounds."""
    for i, t in enumerate(scheduler.timesteps):
        sigma = float(sigmas[i])
        scaled = scheduler.scale_model_input(x, t)
        assert torch.isfinite(scaled).all()
        noise = torch.tanh(x / (1 + sigma)) if sigma else torch.zeros_like(x)
        x = scheduler.step(noise, t, x, return_dict=False, **({"generator": draws} if draws else {}))[0]
    return x


@pytest.mark.parametrize(
    ("solver", "plain"),
    [
        ("euler", diffusers.EulerDiscreteScheduler(**KARRAS)),
        ("heun", diffusers.HeunDiscreteScheduler(**KARRAS)),
        ("lms", diffusers.LMSDiscreteScheduler(**KARRAS)),
        ("dpm2", diffusers.KDPM2DiscreteScheduler(**KARRAS)),
    ],
)
def test_samplers_of_k_diffusion(solver: str, plain: Any) -> None:
    plain.set_timesteps(12)
    ours = SolverScheduler(solver=solver, schedule="karras")
    ours.set_timesteps(12)
    assert len(ours.timesteps) == len(plain.timesteps)
    x = start() * ours.init_noise_sigma
    torch.testing.assert_close(walk(ours, x, ours.sigmas), walk(plain, x, ours.sigmas), rtol=2e-4, atol=2e-4)


def test_euler_a_and_its_noise() -> None:
    plain: Any = diffusers.EulerAncestralDiscreteScheduler(**FACTS, timestep_spacing="linspace")
    plain.set_timesteps(9)
    ours = SolverScheduler(solver="euler_ancestral")
    ours.set_timesteps(sigmas=plain.sigmas.tolist())
    x = start().float() * float(plain.sigmas[0])
    theirs = walk(plain, x, plain.sigmas, generators(1, 2))
    torch.testing.assert_close(walk(ours, x, ours.sigmas, generators(1, 2)), theirs, rtol=1e-4, atol=1e-4)


def test_uniform_euler_from_the_table_is_diffusers_linspace() -> None:
    plain: Any = diffusers.EulerDiscreteScheduler(**FACTS, timestep_spacing="linspace")
    plain.set_timesteps(10)
    ours: Any = build_scheduler("Euler", "Automatic", CONFIG)
    ours.set_timesteps(10)
    torch.testing.assert_close(ours.timesteps, plain.timesteps)
    torch.testing.assert_close(ours.sigmas, plain.sigmas, rtol=2e-5, atol=0)
    assert ours.init_noise_sigma == pytest.approx(float(plain.init_noise_sigma), rel=1e-5)


@pytest.mark.parametrize("order", [2, 3])
def test_multistep_dpmpp(order: int) -> None:
    """Ours with no noise; diffusers' third order is another formula, so that only comes close."""
    plain: Any = diffusers.DPMSolverMultistepScheduler(**KARRAS, solver_order=order, final_sigmas_type="zero", lower_order_final=True)
    plain.set_timesteps(24)
    ours = SolverScheduler(solver="dpmpp_2m" if order == 2 else "dpmpp_3m_sde", eta=0.0)
    ours.set_timesteps(sigmas=plain.sigmas.tolist())
    x = start()  # theirs has total variance 1
    theirs = run_unit(plain, x, plain.sigmas)
    mine = run_unit(ours, x * (1 + float(plain.sigmas[0]) ** 2) ** 0.5, ours.sigmas)
    torch.testing.assert_close(mine, theirs, rtol=2e-3 if order == 2 else 2e-2, atol=2e-3 if order == 2 else 2e-2)


def run_unit(scheduler: Any, x: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """The perfect model of normal data at the exact level, for samples of either form."""
    for i, t in enumerate(scheduler.timesteps):
        sigma = float(sigmas[i])
        unit = scheduler.scale_model_input(x, t)
        clean = unit * (1 + sigma**2) ** 0.5 * 0.49 / (0.49 + sigma**2)
        x = scheduler.step((unit * (1 + sigma**2) ** 0.5 - clean) / sigma, t, x, return_dict=False)[0]
    return x


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_where_a_thousand_is_a_multiple(eta: float) -> None:
    plain: Any = diffusers.DDIMScheduler(**FACTS, timestep_spacing="leading", steps_offset=1, clip_sample=False, set_alpha_to_one=False)
    ours: Any = build_scheduler("DDIM", "Automatic", CONFIG, options=SamplerOptions(eta=eta))
    x = start()
    results: list[torch.Tensor] = []
    for scheduler, more in ((ours, {}), (plain, {"eta": eta})):
        scheduler.set_timesteps(10)
        assert [round(float(t)) for t in scheduler.timesteps] == list(range(901, 0, -100))
        y, draws = x * scheduler.init_noise_sigma, generators(1, 2)
        for t in scheduler.timesteps:
            output = torch.tanh(scheduler.scale_model_input(y, t))
            y = scheduler.step(output, t, y, generator=draws, return_dict=False, **more)[0]
        results.append(y)
    if eta:  # they draw noise in the precision of the sample, float64 here
        assert results[0].std() == pytest.approx(float(results[1].std()), rel=0.2)
    else:
        torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-4)


def test_plms_where_a_thousand_is_a_multiple() -> None:
    plain: Any = diffusers.PNDMScheduler(**FACTS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1, timestep_spacing="leading")
    ours: Any = build_scheduler("PLMS", "Automatic", CONFIG)
    x = start()
    results: list[torch.Tensor] = []
    for scheduler in (ours, plain):
        scheduler.set_timesteps(20)
        assert len(scheduler.timesteps) == 21
        y = x * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            y = scheduler.step(torch.tanh(scheduler.scale_model_input(y, t)), t, y, return_dict=False)[0]
        results.append(y)
    torch.testing.assert_close(results[0], results[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("steps", [4, 8])
def test_tcd(steps: int) -> None:
    plain: Any = diffusers.TCDScheduler(**FACTS, steps_offset=1, clip_sample=False, set_alpha_to_one=False)
    ours: Any = build_scheduler("TCD", "Automatic", CONFIG)
    x = start().float()
    results: list[torch.Tensor] = []
    for scheduler, more in ((ours, {}), (plain, {"eta": 0.3})):
        scheduler.set_timesteps(steps)
        y, draws = x * scheduler.init_noise_sigma, generators(1, 2)
        for t in scheduler.timesteps:
            y = scheduler.step(torch.tanh(scheduler.scale_model_input(y, t)), t, y, generator=draws, return_dict=False, **more)[0]
        results.append(y)
    torch.testing.assert_close(results[0], results[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["UniPC", "DEIS", "SA Solver"])
@pytest.mark.parametrize("schedule", ["Automatic", "Karras", "KL Optimal"])
def test_classes_that_are_diffusers_own_are_not_changed_but_for_the_levels(name: str, schedule: str) -> None:
    ours: Any = build_scheduler(name, schedule, CONFIG)
    [plain] = [c for c in type(ours).__mro__ if c.__module__.startswith("diffusers.schedulers") and c.__name__ == type(ours).__name__]
    theirs: Any = plain(**{k: v for k, v in ours.config.items() if not k.startswith("_")})
    ours.set_timesteps(9)
    theirs.set_timesteps(9)
    theirs.sigmas, theirs.timesteps = ours.sigmas, ours.timesteps
    x = start().float()
    draws = {"draws": generators(1, 2)} if name == "SA Solver" else {}
    mine = run(ours, x, **draws)
    draws = {"draws": generators(1, 2)} if name == "SA Solver" else {}
    assert torch.equal(mine, run(theirs, x, **draws))
    assert float(ours.sigmas[-1]) == pytest.approx(0.0292, abs=1e-4)
    if schedule == "Karras":
        assert (ours.timesteps != ours.timesteps.round()).any()
