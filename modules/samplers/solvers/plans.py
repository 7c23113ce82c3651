"""From a schedule to the steps of a solver: which noise level is left for which. Knows nothing about samples or torch.

Start reading at `neighbours`, what most solvers do.
"""

from __future__ import annotations

import math

import numpy as np

from modules.samplers.levels import Floats, NoiseLevels

Steps = list[tuple[float, float]]
# Restart goes back up from about the first level to the second. Source: arXiv:2306.14878, table 6, as A1111 chose from it.
RESTART_FROM, RESTART_TO = 0.1, 2.0


def neighbours(sigmas: Floats, _levels: NoiseLevels) -> Steps:
    """From each level to the next."""
    return list(zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True))


def to_first_level(sigmas: Floats, levels: NoiseLevels) -> Steps:
    """As `neighbours`, but a run to 0 ends at the model's lowest level, as DDIM was defined."""
    ends = sigmas.copy()
    if ends[-1] == 0 and (len(ends) < 2 or ends[-2] > levels.lowest):
        ends[-1] = levels.lowest
    return neighbours(ends, levels)


def ends_only(sigmas: Floats, levels: NoiseLevels) -> Steps:
    """One step from the highest level to the lowest above 0: the solver finds its own way."""
    return [(float(sigmas[0]), _lowest(sigmas, levels))]


def fast(sigmas: Floats, levels: NoiseLevels) -> Steps:
    """Even steps of log sigma between the ends, a third as many as asked for and one."""
    ramp = np.linspace(math.log(sigmas[0]), math.log(_lowest(sigmas, levels)), (len(sigmas) - 1) // 3 + 2)
    return neighbours(np.exp(ramp), levels)


def restart(sigmas: Floats, levels: NoiseLevels) -> Steps:
    """From 20 steps on, a stretch of low levels is walked again after a step back up; fewer levels lie before it, by Karras' rule."""
    asked = len(sigmas) - 1
    if asked < 20:
        return neighbours(sigmas, levels)
    again, times = (9, 1) if asked < 36 else (asked // 4, 2)
    walk = np.append(_karras(asked - again * times, float(sigmas[0]), _lowest(sigmas, levels)), 0.0)
    low, high = (int(np.abs(walk - level).argmin()) for level in (RESTART_FROM, RESTART_TO))
    steps = neighbours(walk, levels)
    if high >= low or walk[low] == 0:
        return steps
    stretch = neighbours(_karras(again + 1, walk[high], walk[low]), levels)
    return [*steps[:low], *stretch * times, *steps[low:]]


def _karras(count: int, high: float, low: float) -> Floats:
    return (np.linspace(high ** (1 / 7), low ** (1 / 7), count)) ** 7


def _lowest(sigmas: Floats, levels: NoiseLevels) -> float:
    above = sigmas[sigmas > 0]
    return float(above[-1]) if len(above) > 1 else levels.lowest
