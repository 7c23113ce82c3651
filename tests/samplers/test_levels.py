"""Noise levels of a model, and the quantile of the beta distribution that a schedule needs."""

from __future__ import annotations

import diffusers
import numpy as np
import pytest

from modules.samplers.beta import beta_quantile, beta_share
from modules.samplers.levels import NoiseLevels
from tests.samplers.gaussian import CONFIG, LEVELS


def test_the_ends_are_the_published_ones() -> None:
    assert (round(LEVELS.lowest, 4), round(LEVELS.highest, 3)) == (0.0292, 14.615)


@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_levels_are_those_of_diffusers(schedule: str) -> None:
    plain = diffusers.DDIMScheduler(beta_start=0.0005, beta_end=0.015, beta_schedule=schedule).alphas_cumprod.double().numpy()
    ours = NoiseLevels.of_model({"beta_start": 0.0005, "beta_end": 0.015, "beta_schedule": schedule})
    np.testing.assert_allclose(ours.sigmas, np.sqrt((1 - plain) / plain), rtol=5e-4)  # diffusers works in float32


def test_betas_may_be_given() -> None:
    ours = NoiseLevels.of_model({"trained_betas": [0.1, 0.2]})
    np.testing.assert_allclose(ours.sigmas**2, [0.1 / 0.9, 0.28 / 0.72])


def test_an_unknown_beta_schedule_is_named() -> None:
    with pytest.raises(ValueError, match="sigmoid"):
        NoiseLevels.of_model({"beta_schedule": "sigmoid"})


def test_zero_signal_at_the_end_is_a_very_high_level_and_the_start_stays() -> None:
    rescaled = NoiseLevels.of_model(CONFIG | {"rescale_betas_zero_snr": True})
    assert rescaled.lowest == pytest.approx(LEVELS.lowest, rel=1e-9)
    assert rescaled.highest == pytest.approx(4518.7, rel=1e-4)
    assert np.isfinite(rescaled.sigmas).all()


@pytest.mark.parametrize("time", [0.0, 0.25, 17.5, 500.0, 998.999, 999.0])
def test_time_and_level_are_inverse_also_between_timesteps(time: float) -> None:
    assert LEVELS.time(LEVELS.sigma(time)) == pytest.approx(time, abs=1e-9)


def test_between_two_timesteps_the_logarithm_is_even() -> None:
    assert LEVELS.sigma(300.5) == pytest.approx(float(np.sqrt(LEVELS.sigmas[300] * LEVELS.sigmas[301])))


def test_levels_outside_have_the_nearest_end() -> None:
    assert (LEVELS.time(1e-3), LEVELS.time(0.0), LEVELS.time(200.0)) == (0.0, 0.0, 999.0)


def test_whole_times_are_the_nearest() -> None:
    assert LEVELS.time(LEVELS.sigma(299.6), whole=True) == 300


def test_every_twentieth_level_is_what_few_step_models_know() -> None:
    few = LEVELS.every(20).sigmas
    assert len(few) == 50
    assert (few[0], few[-1]) == (LEVELS.sigmas[19], LEVELS.sigmas[999])


@pytest.mark.parametrize(("a", "b"), [(0.6, 0.6), (0.1, 0.9), (2.0, 5.0), (1.0, 1.0), (40.0, 3.0)])
def test_the_beta_quantile_is_scipys(a: float, b: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    for p in np.linspace(0, 1, 41):
        assert beta_quantile(float(p), a, b) == pytest.approx(float(stats.beta.ppf(p, a, b)), abs=1e-12)


def test_the_beta_quantile_where_it_is_known() -> None:
    assert beta_quantile(0.25, 0.5, 0.5) == pytest.approx(0.5 - 0.5**0.5 / 2, abs=1e-14)  # arcsine: sin^2(pi p / 2)
    assert beta_quantile(0.3, 1.0, 1.0) == pytest.approx(0.3, abs=1e-14)
    assert beta_share(beta_quantile(0.9, 0.6, 0.6), 0.6, 0.6) == pytest.approx(0.9, abs=1e-12)
