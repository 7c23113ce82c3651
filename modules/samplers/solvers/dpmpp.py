"""The DPM++ solvers: exponential integrators that work on the clean sample, with and without noise.

Time is lambda = -log sigma. Source of all: arXiv:2211.01095 and k-diffusion's forms of it, which A1111 uses.
"""

from __future__ import annotations

import math

from modules.samplers.solvers.course import Course, Solver, Tensor, log_snr


def dpmpp_2m(run: Course, x: Tensor) -> Solver:
    """Second order from the step before. Source: algorithm 2."""
    before: Tensor | None = None
    h_before = 0.0
    for now, after in run:
        x, clean = yield x, now
        h = log_snr(after) - log_snr(now)
        towards = clean
        if before is not None and after > 0:
            towards = clean + (clean - before) * (h / (2 * h_before))
        x = x * (after / now) - towards * math.expm1(-h)
        before, h_before = clean, h
    return x


def dpmpp_2m_sde(run: Course, x: Tensor) -> Solver:
    """`dpmpp_2m` with noise along a Brownian path; the correction at the middle of the step."""
    return _multistep_sde(run, x, heun=False)


def dpmpp_2m_sde_heun(run: Course, x: Tensor) -> Solver:
    """`dpmpp_2m_sde` with Heun's correction."""
    return _multistep_sde(run, x, heun=True)


def _multistep_sde(run: Course, x: Tensor, *, heun: bool) -> Solver:
    before: Tensor | None = None
    h_before = 0.0
    for now, after in run:
        x, clean = yield x, now
        if after == 0:
            x = clean
            continue
        h = log_snr(after) - log_snr(now)
        stretched = h * (1 + run.eta)
        gain = -math.expm1(-stretched)
        x_next = x * (after / now * math.exp(-h * run.eta)) + clean * gain
        if before is not None:
            weight = 1 - gain / stretched if heun else gain / 2
            x_next = x_next + (clean - before) * (weight * h / h_before)
        x = _along(run, x_next, now, after, after * math.sqrt(-math.expm1(-2 * h * run.eta)))
        before, h_before = clean, h
    return x


def dpmpp_3m_sde(run: Course, x: Tensor) -> Solver:
    """Third order from the two steps before, with noise along a Brownian path."""
    earlier: list[tuple[Tensor, float]] = []  # (clean, size of the step it began), the newest first
    for now, after in run:
        x, clean = yield x, now
        if after == 0:
            x = clean
            continue
        h = log_snr(after) - log_snr(now)
        stretched = h * (1 + run.eta)
        x_next = x * math.exp(-stretched) - clean * math.expm1(-stretched)
        second = math.expm1(-stretched) / stretched + 1
        if len(earlier) == 2:
            (one, h_one), (two, h_two) = earlier
            near, far = (clean - one) * (h / h_one), (one - two) * (h / h_two)
            share = h_one / (h_one + h_two)
            bend = (near - far) * (h / (h_one + h_two))
            x_next = x_next + (near + (near - far) * share) * second - bend * (second / stretched - 0.5)
        elif earlier:
            one, h_one = earlier[0]
            x_next = x_next + (clean - one) * (second * h / h_one)
        x = _along(run, x_next, now, after, after * math.sqrt(-math.expm1(-2 * h * run.eta)))
        earlier = [(clean, h), *earlier][:2]
    return x


def dpmpp_sde(run: Course, x: Tensor) -> Solver:
    """Second order with a look at the middle of the step, and noise along a Brownian path at both."""
    for now, after in run:
        x, clean = yield x, now
        if after == 0:
            x = clean
            continue
        middle = math.sqrt(now * after)
        down, up = run.split(now, middle)
        between = x * (down / now) + clean * (1 - down / now)
        _, ahead = yield _along(run, between, now, middle, up), middle
        down, up = run.split(now, after)
        x = _along(run, x * (down / now) + ahead * (1 - down / now), now, after, up)
    return x


def dpmpp_2s_ancestral(run: Course, x: Tensor) -> Solver:
    """Second order with a look at the middle of the step, down to a lower level, then fresh noise."""
    for now, after in run:
        x, clean = yield x, now
        down, up = run.split(now, after)
        if down == 0:
            x = clean
        else:
            middle = math.sqrt(now * down)
            _, ahead = yield x * (middle / now) + clean * (1 - middle / now), middle
            x = x * (down / now) + ahead * (1 - down / now)
        x = run.add_noise(x, up)
    return x


def _along(run: Course, x: Tensor, now: float, after: float, amount: float) -> Tensor:
    """x with noise of that level from the picture's Brownian path, times s_noise."""
    return x + run.noise.along(x, now, after) * (amount * run.options.s_noise) if amount > 0 else x
