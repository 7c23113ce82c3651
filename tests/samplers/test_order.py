"""Every deterministic sampler's measured order of convergence, on data whose exact path is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from modules.samplers.scheduler import SolverScheduler
from modules.samplers.solvers.plain import lagrange_areas
from tests.samplers.gaussian import exact, run, start

# Of a multistep sampler the first steps are of low order; what they lose is of the order given here.
ORDERS = {
    "euler": 1,
    "euler_ancestral": 1,
    "ddim": 1,
    "ddim_cfgpp": 1,
    "heun": 2,
    "dpm2": 2,
    "dpm2_ancestral": 2,
    "lms": 2,
    "plms": 2,
    "dpmpp_2m": 2,
    "dpmpp_2m_sde": 2,
    "dpmpp_2m_sde_heun": 2,
    "dpmpp_3m_sde": 2,
    "dpmpp_sde": 2,
    "dpmpp_2s_ancestral": 2,
    "dpm_fast": 3,
}
HIGH, LOW = 8.0, 0.2


def error(solver: str, steps: int) -> float:
    """Largest error at level LOW after so many steps of even log sigma, relative."""
    scheduler = SolverScheduler(solver=solver, eta=0.0)
    scheduler.set_timesteps(sigmas=np.geomspace(HIGH, LOW, steps + 1).tolist())
    x = start() * HIGH
    wanted = exact(x, HIGH, LOW)
    if scheduler.init_noise_sigma > HIGH:  # these end in a sample of variance 1
        wanted = wanted / math.sqrt(1 + LOW**2)
    return float((run(scheduler, x) - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("solver", ORDERS)
def test_measured_order(solver: str) -> None:
    counts = (26, 50, 98) if solver == "dpm_fast" else (20, 40, 80)  # its last steps are of lower order, here 2 each time
    errors = [error(solver, steps) for steps in counts]
    measured = math.log(errors[1] / errors[2]) / math.log(counts[2] / counts[1])
    assert measured > ORDERS[solver] - 0.25, (errors, measured)
    assert measured < ORDERS[solver] + 1.6, (errors, measured)


def test_higher_order_is_worth_it() -> None:
    found = {solver: error(solver, 40) for solver in ("euler", "heun", "dpmpp_2m", "dpmpp_3m_sde")}
    assert found["heun"] < found["euler"] / 10
    assert found["dpmpp_2m"] < found["euler"] / 10
    assert found["dpmpp_3m_sde"] < found["dpmpp_2m"]


def test_dpm_adaptive_keeps_its_error_small_and_asks_no_more_than_it_needs() -> None:
    scheduler = SolverScheduler(solver="dpm_adaptive", eta=0.0)
    scheduler.set_timesteps(10)
    x = start() * scheduler.init_noise_sigma
    end = run(scheduler, x)
    wanted = exact(x, 14.6146412, 0.0291672)
    assert float((end - wanted).abs().max() / wanted.abs().max()) < 0.05
    assert 10 < len(list(scheduler.timesteps)) < 60
    assert scheduler.fraction_done == 1.0


def test_multistep_weights_are_the_textbooks() -> None:
    np.testing.assert_allclose(lagrange_areas([1.0, 2.0, 3.0, 4.0], 1.0, 0.0), np.array([-55, 59, -37, 9]) / 24)
    np.testing.assert_allclose(lagrange_areas([3.0], 3.0, 2.5), [-0.5])


def test_restart_walks_low_levels_again() -> None:
    scheduler = SolverScheduler(solver="restart", schedule="karras")
    counts: dict[int, tuple[int, int]] = {}
    for steps in (10, 20, 36, 50):
        scheduler.set_timesteps(steps)
        levels = scheduler.sigmas.double().numpy()
        counts[steps] = (len(scheduler.timesteps), int((np.diff(levels) > 0).sum()))
    assert counts == {10: (19, 0), 20: (39, 1), 36: (71, 2), 50: (99, 2)}
    again = scheduler.sigmas[1:][np.diff(scheduler.sigmas.numpy()) > 0]
    assert ((again > 1.0) & (again < 3.5)).all()
