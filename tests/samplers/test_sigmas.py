"""Every schedule against numbers found another way, and its options."""

from __future__ import annotations

import math
from typing import Any

import diffusers
import numpy as np
import pytest

from modules.faults import RequestFault
from modules.samplers import SCHEDULES
from modules.samplers.options import SamplerOptions
from modules.samplers.sigmas import ALIGNED, FORMULAS, image_steps, last_part, schedule_sigmas
from tests.samplers.gaussian import CONFIG, LEVELS

TEN = 10


def of_euler(steps: int, **config: Any) -> np.ndarray:
    """The levels diffusers' Euler scheduler takes, float32."""
    facts = {k: v for k, v in CONFIG.items() if k != "skip_prk_steps"}
    scheduler: Any = diffusers.EulerDiscreteScheduler(**facts | config)
    scheduler.set_timesteps(steps)
    return scheduler.sigmas.double().numpy()


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("karras", {"use_karras_sigmas": True}),
        ("exponential", {"use_exponential_sigmas": True}),
        ("polyexponential", {"use_exponential_sigmas": True}),
        ("beta", {"use_beta_sigmas": True}),
        ("simple", {"timestep_spacing": "trailing", "steps_offset": 0}),
        ("turbo", {"timestep_spacing": "trailing", "steps_offset": 0}),
        ("ddim", {"timestep_spacing": "leading", "steps_offset": 1}),
    ],
)
@pytest.mark.parametrize("steps", [10, 20, 50])
def test_where_diffusers_has_the_schedule_it_is_the_same(name: str, config: dict[str, Any], steps: int) -> None:
    np.testing.assert_allclose(schedule_sigmas(name, steps, LEVELS), of_euler(steps, **config), rtol=2e-5)


def test_uniform_is_even_in_time_and_interpolated_in_the_logarithm() -> None:
    # at 10 steps the times 999, 888, ... 0 are whole: the levels must be the model's own
    np.testing.assert_allclose(schedule_sigmas("uniform", TEN, LEVELS)[:-1], LEVELS.sigmas[::-111], rtol=1e-12)
    at_seven = schedule_sigmas("uniform", 7, LEVELS)
    low, share = 832, 0.5  # 999 - 166.5
    between = math.exp((1 - share) * math.log(LEVELS.sigmas[low]) + share * math.log(LEVELS.sigmas[low + 1]))
    assert at_seven[1] == pytest.approx(between, rel=1e-12)


def test_normal_is_uniform_between_the_models_own_ends_and_moves_with_them() -> None:
    np.testing.assert_allclose(schedule_sigmas("normal", 13, LEVELS), schedule_sigmas("uniform", 13, LEVELS), rtol=1e-9)
    moved = schedule_sigmas("normal", 13, LEVELS, SamplerOptions(sigma_max=5.0))
    assert moved[0] == pytest.approx(5.0)


def test_sgm_uniform_is_uniform_of_one_step_more_without_its_last() -> None:
    longer = schedule_sigmas("uniform", TEN + 1, LEVELS)
    np.testing.assert_allclose(schedule_sigmas("sgm_uniform", TEN, LEVELS)[:-1], longer[:-2], rtol=1e-9)


def test_kl_optimal_is_even_in_the_arctangent_and_ends_at_the_lowest_level() -> None:
    found = schedule_sigmas("kl_optimal", TEN, LEVELS)
    assert len(found) == TEN + 1
    np.testing.assert_allclose(np.diff(np.arctan(found)), (math.atan(LEVELS.lowest) - math.atan(LEVELS.highest)) / TEN, rtol=1e-9)
    assert found[-1] == pytest.approx(LEVELS.lowest)


def test_polyexponential_bends_with_rho() -> None:
    found = schedule_sigmas("polyexponential", 3, LEVELS, SamplerOptions(rho=2.0))
    share = (math.log(found[1]) - math.log(LEVELS.lowest)) / (math.log(LEVELS.highest) - math.log(LEVELS.lowest))
    assert share == pytest.approx(0.25)


@pytest.mark.parametrize("architecture", ["sd1", "sdxl"])
def test_align_your_steps_is_the_published_list(architecture: str) -> None:
    published = diffusers.schedulers.AysSchedules[f"StableDiffusion{'XL' if architecture == 'sdxl' else ''}Sigmas"]
    options = SamplerOptions(architecture=architecture)
    found = schedule_sigmas("align_your_steps", 11, LEVELS, options)
    np.testing.assert_allclose(found[:-2], published[:-1], rtol=1e-9)
    assert found[-1] == 0
    fewer = schedule_sigmas("align_your_steps", 6, LEVELS, options)  # every second place of the list
    np.testing.assert_allclose(fewer[:-1], ALIGNED[architecture][::2], rtol=1e-9)


def test_simple_takes_whole_timesteps_counted_from_the_end() -> None:
    stride = 1000 / 30
    expected = [LEVELS.sigmas[999 - int(i * stride)] for i in range(30)]
    np.testing.assert_array_equal(schedule_sigmas("simple", 30, LEVELS)[:-1], expected)


def test_ddim_gives_a_step_more_when_a_thousand_is_no_multiple() -> None:
    assert [len(schedule_sigmas("ddim", n, LEVELS)) - 1 for n in (10, 20, 30, 50)] == [10, 20, 31, 50]
    assert schedule_sigmas("ddim", 30, LEVELS)[0] == LEVELS.sigmas[991]


def test_the_beta_schedule_bends_with_its_parameters() -> None:
    flat = schedule_sigmas("beta", 5, LEVELS, SamplerOptions(beta_alpha=1.0, beta_beta=1.0))
    np.testing.assert_allclose(flat[:-1], np.linspace(LEVELS.highest, LEVELS.lowest, 5), rtol=1e-9)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 33, 150, 999])
def test_every_schedule_falls_from_step_to_step(name: str, steps: int) -> None:
    found = schedule_sigmas(name, steps, LEVELS)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    assert len(found) >= 2
    assert found[-1] == 0 or name == "kl_optimal"
    if name != "ddim":
        assert len(found) <= steps + 1


def test_every_schedule_offered_has_a_formula_and_the_other_way_round() -> None:
    assert {row.name for _, row in SCHEDULES} - {"automatic"} == set(FORMULAS)


def test_ends_and_shape_can_be_set() -> None:
    found = schedule_sigmas("karras", TEN, LEVELS, SamplerOptions(sigma_min=0.1, sigma_max=20.0, rho=5.0))
    assert (found[0], found[-2]) == (pytest.approx(20.0), pytest.approx(0.1))
    np.testing.assert_allclose(np.diff(found[:-1] ** (1 / 5)), (0.1**0.2 - 20**0.2) / 9)
    old = schedule_sigmas("karras", TEN, LEVELS, SamplerOptions(old_karras=True))
    assert (old[0], old[-2]) == (pytest.approx(10.0), pytest.approx(0.1))


def test_ends_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(RequestFault, match="sigma_max must be above sigma_min") as caught:
        schedule_sigmas("karras", TEN, LEVELS, SamplerOptions(sigma_min=3.0, sigma_max=2.0))
    assert caught.value.field == "sigma_max"


def test_a_schedule_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        schedule_sigmas("karras", 0, LEVELS)


def test_the_penultimate_level_is_discarded_from_a_longer_schedule() -> None:
    longer = schedule_sigmas("karras", TEN + 1, LEVELS)
    for found in (
        schedule_sigmas("karras", TEN, LEVELS, discard=True),
        schedule_sigmas("karras", TEN, LEVELS, SamplerOptions(discard_penultimate=True)),
    ):
        np.testing.assert_array_equal(found, [*longer[:-2], 0.0])


@pytest.mark.parametrize(("denoising", "run"), [(0.75, 16), (0.3, 7), (0.0, 1), (1.0, 20), (0.5, 11)])
def test_a_picture_takes_the_end_of_the_schedule(denoising: float, run: int) -> None:
    sigmas = schedule_sigmas("karras", 20, LEVELS)
    part = last_part(sigmas, *image_steps(20, denoising), timed=False)
    assert len(part) - 1 == run
    np.testing.assert_array_equal(part, sigmas[-run - 1 :])


def test_timed_samplers_run_a_step_less_but_never_none() -> None:
    sigmas = schedule_sigmas("ddim", 20, LEVELS)
    runs = [len(last_part(sigmas, *image_steps(20, d), timed=True)) - 1 for d in (0.75, 0.3, 0.0, 1.0)]
    assert runs == [15, 6, 1, 19]
    extra = schedule_sigmas("ddim", 30, LEVELS)  # 31 steps
    assert len(last_part(extra, *image_steps(30, 0.5), timed=True)) - 1 == 15


@pytest.mark.parametrize("denoising", [0.2, 0.5, 0.75, 0.999, 1.0])
def test_exact_steps_lengthen_the_schedule(denoising: float) -> None:
    total, t_enc = image_steps(20, denoising, exact=True)
    assert total == max(int(20 / min(denoising, 0.999)), 20)
    assert len(last_part(schedule_sigmas("karras", total, LEVELS), total, t_enc, timed=False)) - 1 == 20
