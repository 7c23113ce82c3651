"""The samplers that came with the first models, and those for few steps: DDIM CFG++, PLMS, LCM, TCD.

DDIM itself is `modules.samplers.solvers.plain.euler_ancestral`: the same step, written in noise levels.
"""

from __future__ import annotations

import math

from modules.samplers.solvers.course import Course, Solver, Tensor


def ddim_cfgpp(run: Course, x: Tensor) -> Solver:
    """DDIM whose way down is the one of the negative prompt alone. Source: arXiv:2406.08070, algorithm 2."""
    for now, after in run:
        x, clean = yield x, now
        down, up = run.split(now, after)
        without = clean if run.without_prompt is None else run.without_prompt
        x = run.add_noise(clean + (x - without) * (down / now), up)
    return x


# Adams-Bashforth weights of the newest and the earlier slopes.
_ADAMS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def plms(run: Course, x: Tensor) -> Solver:
    """Pseudo linear multistep, fourth order; the first step is looked at twice. Source: arXiv:2202.09778, section 3.4."""
    slopes: list[Tensor] = []
    for now, after in run:
        x, clean = yield x, now
        slopes = [(x - clean) / now, *slopes][:4]
        slope = sum(w * s for w, s in zip(_ADAMS[len(slopes) - 1], slopes, strict=True))
        if len(slopes) == 1 and after > 0 and not run.resumed:
            ahead, clean = yield x + slope * (after - now), after
            slope = (slope + (ahead - clean) / after) / 2
        x = x + slope * (after - now)
    return x


def lcm(run: Course, x: Tensor) -> Solver:
    """The clean sample, and fresh noise of the next level on it. Source: arXiv:2310.04378; its output scaling as A1111 has it."""
    for now, after in run:
        x, clean = yield x, now
        scaled = run.levels.time(now, whole=True) / 0.1
        total = scaled**2 + 0.25
        x = run.add_noise(clean * (scaled / math.sqrt(total)) + x * (0.25 / total), after)
    return x


def tcd(run: Course, x: Tensor) -> Solver:
    """Down to an earlier time than the next, then fresh noise up to it. Source: arXiv:2402.19159, algorithm 4 (eta is its gamma)."""
    last = run.steps[-1][1]
    for now, after in run:
        x, clean = yield x, now
        if after == last:
            down = after
        else:
            time = math.floor((1 - run.eta) * run.levels.time(after, whole=True))
            down = min(run.levels.sigma(time), after)
        x = run.add_noise(clean + (x - clean) * (down / now), math.sqrt(after**2 - down**2))
    return x
