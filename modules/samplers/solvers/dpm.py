"""DPM fast and DPM adaptive: single-step exponential integrators of order 1 to 3 that work on the noise.

Time is lambda = -log sigma. Source: arXiv:2206.00927 (algorithms 3 to 5 of its appendix, and the noise k-diffusion adds).
Start reading at `_leap`, one step of a given order.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import torch

from modules.samplers.solvers.course import Course, Solver, Tensor, log_snr

Leap = Generator[tuple[Tensor, float], tuple[Tensor, Tensor], Tensor]
# Of DPM adaptive: the error a step may make, relative and absolute; its first size in lambda; when a step is taken back.
RELATIVE, ABSOLUTE, FIRST_STEP, LEAST_FACTOR, ORDER = 0.05, 0.0078, 0.05, 0.81, 3
MOST_CALLS = 3000


def dpm_fast(run: Course, x: Tensor) -> Solver:
    """As many model calls as steps were asked for, in steps of order 3; ends at the lowest noise level, not at 0."""
    end = log_snr(run.steps[-1][1])
    for now, after in run:
        t, order = log_snr(now), fast_orders(run.asked)[run.at - len(run.steps)]
        down, up = _split(run, now, after, end)
        x, clean = yield x, now
        x = yield from _leap(x, (x - clean) / now, t, down - t, order)
        x = run.add_noise(x, up)
    return x


def fast_orders(calls: int) -> list[int]:
    """Orders of the steps that together make that many model calls: threes, and what is left at the end."""
    threes, left = divmod(calls, 3)
    return [3] * (threes - 1) + [2, 1] if threes and left == 0 else [3] * threes + [left]


def dpm_adaptive(run: Course, x: Tensor) -> Solver:
    """Steps of order 3 as long as their difference from order 2 allows; takes as many calls as it needs.

    The difference is measured over all pictures of the batch together. Ends at the lowest noise level, not at 0.
    """
    t, end = log_snr(run.steps[0][0]), log_snr(run.steps[-1][1])
    size, before, calls = FIRST_STEP, x, 0
    slope: Tensor | None = None
    while t < end - 1e-5 and calls < MOST_CALLS:
        now, after = math.exp(-t), math.exp(-min(end, t + size))
        down, up = _split(run, now, after, end)
        if slope is None:
            x, clean = yield x, now
            slope = (x - clean) / now
        rough, fine = yield from _two_leaps(x, slope, t, down - t)
        calls += 3
        factor = (1 / (_error(rough, fine, before) + 1e-8)) ** (1 / (1.5 if run.eta else ORDER))
        factor = 1 + math.atan(factor - 1)
        if factor >= LEAST_FACTOR:
            before, x, t, slope = rough, run.add_noise(fine, up), log_snr(after), None
        size *= factor
    return x


def _split(run: Course, now: float, after: float, end: float) -> tuple[float, float]:
    """(lambda to go down to, noise to add) as `Course.split`, but never beyond the end."""
    if run.eta == 0:
        return log_snr(after), 0.0
    down = min(end, log_snr(run.split(now, after)[0]))
    return down, math.sqrt(max(after**2 - math.exp(-2 * down), 0.0))


def _error(rough: Tensor, fine: Tensor, before: Tensor) -> float:
    allowed = torch.maximum(rough.abs(), before.abs()).mul(RELATIVE).clamp(min=ABSOLUTE)
    return float(((rough - fine) / allowed).square().mean().sqrt())


def _leap(x: Tensor, slope: Tensor, t: float, h: float, order: int) -> Leap:
    """x at lambda t + h, from x and the noise there is in it (slope) at t. Asks the model order - 1 times."""
    if order == 1:
        return x - slope * (math.exp(-t - h) * math.expm1(h))
    if order == 2:
        middle = yield from _noise(x - slope * (math.exp(-t - h / 2) * math.expm1(h / 2)), t + h / 2)
        return x - middle * (math.exp(-t - h) * math.expm1(h))
    _, fine = yield from _two_leaps(x, slope, t, h)
    return fine


def _two_leaps(
    x: Tensor, slope: Tensor, t: float, h: float
) -> Generator[tuple[Tensor, float], tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """x at lambda t + h by order 2 (with its look at a third of the step) and by order 3. Asks the model twice."""
    third, two_thirds, end = (math.exp(-t - h * part) for part in (1 / 3, 2 / 3, 1))
    near = yield from _noise(x - slope * (third * math.expm1(h / 3)), t + h / 3)
    straight = x - slope * (end * math.expm1(h))
    rough = straight - (near - slope) * (end * 1.5 * math.expm1(h))
    bend = two_thirds * 2 * (math.expm1(h * 2 / 3) / (h * 2 / 3) - 1)
    far = yield from _noise(x - slope * (two_thirds * math.expm1(h * 2 / 3)) - (near - slope) * bend, t + h * 2 / 3)
    return rough, straight - (far - slope) * (end * 1.5 * (math.expm1(h) / h - 1))


def _noise(x: Tensor, t: float) -> Leap:
    """The noise in x at lambda t, by the model."""
    sigma = math.exp(-t)
    x, clean = yield x, sigma
    return (x - clean) / sigma
