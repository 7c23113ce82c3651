"""Euler, Heun, DPM2 and LMS, and their ancestral forms. Start reading at `euler`, the shortest."""

from __future__ import annotations

import math

from modules.samplers.solvers.course import Course, Solver, Tensor


def euler(run: Course, x: Tensor) -> Solver:
    """First order. Source: arXiv:2206.00364, algorithm 2 without the correction."""
    for now, after in run:
        x, now = run.stirred(x, now)
        x, clean = yield x, now
        x = x + (x - clean) * ((after - now) / now)
    return x


def euler_ancestral(run: Course, x: Tensor) -> Solver:
    """Euler down to a lower level, then fresh noise up to the one wanted. Source: k-diffusion; arXiv:2010.02502, eq. 12."""
    for now, after in run:
        x, clean = yield x, now
        down, up = run.split(now, after)
        x = run.add_noise(x + (x - clean) * ((down - now) / now), up)
    return x


def heun(run: Course, x: Tensor) -> Solver:
    """Second order: the mean of the slopes at both ends. Source: arXiv:2206.00364, algorithm 1."""
    last = run.steps[0][0]
    for now, after in run:
        if now > last:  # a step back up, as Restart has them
            x = run.add_noise(x, math.sqrt(now**2 - last**2))
        last = after
        x, now = run.stirred(x, now)
        x, clean = yield x, now
        slope = (x - clean) / now
        if after > 0:
            ahead, clean = yield x + slope * (after - now), after
            slope = (slope + (ahead - clean) / after) / 2
        x = x + slope * (after - now)
    return x


def dpm2(run: Course, x: Tensor) -> Solver:
    """Second order: the slope in the middle, in log sigma. Source: arXiv:2206.00927, DPM-Solver-2; k-diffusion."""
    for now, after in run:
        x, now = run.stirred(x, now)
        x, clean = yield x, now
        slope = (x - clean) / now
        if after > 0:
            middle = math.sqrt(now * after)
            between, clean = yield x + slope * (middle - now), middle
            slope = (between - clean) / middle
        x = x + slope * (after - now)
    return x


def dpm2_ancestral(run: Course, x: Tensor) -> Solver:
    """`dpm2` down to a lower level, then fresh noise. Source: k-diffusion."""
    for now, after in run:
        x, clean = yield x, now
        down, up = run.split(now, after)
        slope = (x - clean) / now
        if down > 0:
            middle = math.sqrt(now * down)
            between, clean = yield x + slope * (middle - now), middle
            slope = (between - clean) / middle
        x = run.add_noise(x + slope * (down - now), up)
    return x


def lms(run: Course, x: Tensor) -> Solver:
    """Fourth order from the slopes of earlier steps. Source: linear multistep of k-diffusion (Adams-Bashforth, uneven steps)."""
    slopes: list[Tensor] = []
    levels: list[float] = []
    for now, after in run:
        x, clean = yield x, now
        slopes, levels = [(x - clean) / now, *slopes][:4], [now, *levels][:4]
        for slope, weight in zip(slopes, lagrange_areas(levels, now, after), strict=True):
            x = x + slope * weight
    return x


def lagrange_areas(places: list[float], start: float, end: float) -> list[float]:
    """For each of up to four places, the integral from start to end of the polynomial that is 1 there and 0 at the others.

    By Gauss' rule with two points, which is exact for cubics.
    """
    half, middle = (end - start) / 2, (end + start) / 2
    points = (middle - half / math.sqrt(3), middle + half / math.sqrt(3))
    return [half * sum(math.prod((p - q) / (here - q) for q in places if q != here) for p in points) for here in places]
