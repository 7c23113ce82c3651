"""The schedules: for a number of steps, the falling list of noise levels, in float64, by A1111's formulas.

Lists end where the sampler ends: in 0 but for KL Optimal. Knows nothing about samplers or torch. Start reading at
`schedule_sigmas`; the formulas stand in FORMULAS under the names of `modules.samplers.table.SCHEDULES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from modules.faults import RequestFault
from modules.samplers.beta import beta_quantile
from modules.samplers.levels import Floats, NoiseLevels
from modules.samplers.options import PLAIN, SamplerOptions

OLD_KARRAS_ENDS: Final = (0.1, 10.0)
# Noise levels tuned for ten steps. Source: arXiv:2404.14507, the lists published with it.
ALIGNED: Final = {
    "sd1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a formula may look at. steps: >= 1; low, high: ends of the schedule; rho: its shape, None for its own."""

    steps: int
    low: float
    high: float
    levels: NoiseLevels
    rho: float | None = None
    options: SamplerOptions = PLAIN


def schedule_sigmas(name: str, steps: int, levels: NoiseLevels, options: SamplerOptions = PLAIN, *, discard: bool = False) -> Floats:
    """Noise levels (about steps + 1,) of a schedule ("karras", ...), falling, the last one where the run ends.

    discard: the sampler wants the last level before the end left out, which also the option asks for. Some schedules (DDIM)
    give a step more or less than asked, as A1111's do. Raises KeyError for a name that has no formula, ValueError for steps < 1,
    RequestFault for ends the wrong way round.
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, not {steps}")
    discard = discard or options.discard_penultimate
    low, high = OLD_KARRAS_ENDS if options.old_karras else (levels.lowest, levels.highest)
    low, high = options.sigma_min or low, options.sigma_max or high
    if not 0 < low < high:
        raise RequestFault("sigma_max", f"the schedule would go from {high:g} to {low:g}; sigma_max must be above sigma_min", got=high)
    found = FORMULAS[name](Wanted(steps=steps + discard, low=low, high=high, levels=levels, rho=options.rho or None, options=options))
    found = found[np.append(True, np.diff(found) < 0)]  # more steps than a table has levels
    return np.delete(found, -2) if discard and len(found) > 2 else found


def image_steps(steps: int, denoising: float, *, exact: bool = False) -> tuple[int, int]:
    """(steps of the schedule, t_enc) for a run that starts from a picture: the run is the end of a schedule for a full one.

    denoising: 0 to 1, how much of the picture is made anew. exact: the schedule is made longer so that all the steps run (hires,
    img2img_fix_steps). `last_part` takes what runs: t_enc + 1 steps, or t_enc for samplers of the timed kind. Source: A1111's rule.
    """
    if exact:
        return max(int(steps / min(denoising, 0.999)) if denoising > 0 else 0, steps), steps - 1
    return steps, int(min(denoising, 0.999) * steps)


def last_part(sigmas: Floats, total: int, t_enc: int, *, timed: bool) -> Floats:
    """The noise levels of the steps that run, by `image_steps`. timed: DDIM and its like. At least one step is left."""
    first = len(sigmas) - 1 - t_enc if timed else total - t_enc - 1
    return sigmas[min(max(first, 0), len(sigmas) - 2) :]


def _ended(sigmas: Floats) -> Floats:
    return np.append(np.asarray(sigmas, np.float64), 0.0)


def _at_times(wanted: Wanted, times: Floats) -> Floats:
    return _ended(np.array([wanted.levels.sigma(t) for t in times]))


def _uniform(w: Wanted) -> Floats:
    return _at_times(w, np.linspace(len(w.levels.sigmas) - 1, 0, w.steps))


def _karras(w: Wanted) -> Floats:
    rho = w.rho or 7.0
    ramp = np.linspace(0, 1, w.steps)
    high, low = w.high ** (1 / rho), w.low ** (1 / rho)
    return _ended((high + ramp * (low - high)) ** rho)


def _exponential(w: Wanted) -> Floats:
    return _ended(np.exp(np.linspace(math.log(w.high), math.log(w.low), w.steps)))


def _polyexponential(w: Wanted) -> Floats:
    ramp = np.linspace(1, 0, w.steps) ** (w.rho or 1.0)
    return _ended(np.exp(ramp * (math.log(w.high) - math.log(w.low)) + math.log(w.low)))


def _sgm_uniform(w: Wanted) -> Floats:
    return _at_times(w, np.linspace(w.levels.time(w.high), w.levels.time(w.low), w.steps + 1)[:-1])


def _kl_optimal(w: Wanted) -> Floats:
    ramp = np.arange(w.steps + 1) / w.steps
    return np.tan(ramp * math.atan(w.low) + (1 - ramp) * math.atan(w.high))


def _align_your_steps(w: Wanted) -> Floats:
    table = np.log(ALIGNED.get(w.options.architecture, ALIGNED["sd1"]))
    if w.steps == len(table):
        return _ended(np.exp(table))
    return _ended(np.exp(np.interp(np.linspace(0, 1, w.steps), np.linspace(0, 1, len(table)), table)))


def _simple(w: Wanted) -> Floats:
    table, stride = w.levels.sigmas, len(w.levels.sigmas) / w.steps
    return _ended(np.array([table[-1 - int(i * stride)] for i in range(w.steps)]))


def _normal(w: Wanted) -> Floats:
    return _at_times(w, np.linspace(w.levels.time(w.high), w.levels.time(w.low), w.steps))


def _ddim(w: Wanted) -> Floats:
    stride = max(len(w.levels.sigmas) // w.steps, 1)
    return _ended(w.levels.sigmas[1::stride][::-1])


def _beta(w: Wanted) -> Floats:
    places = [beta_quantile(p, w.options.beta_alpha, w.options.beta_beta) for p in 1 - np.linspace(0, 1, w.steps)]
    return _ended(w.low + np.array(places) * (w.high - w.low))


def _turbo(w: Wanted) -> Floats:
    last = len(w.levels.sigmas) - 1
    times = np.arange(w.steps, 0, -1) * (len(w.levels.sigmas) / w.steps) - 1
    return _ended(w.levels.sigmas[np.clip(np.round(times), 0, last).astype(int)])


FORMULAS: Final[dict[str, Callable[[Wanted], Floats]]] = {
    "uniform": _uniform,
    "karras": _karras,
    "exponential": _exponential,
    "polyexponential": _polyexponential,
    "sgm_uniform": _sgm_uniform,
    "kl_optimal": _kl_optimal,
    "align_your_steps": _align_your_steps,
    "simple": _simple,
    "normal": _normal,
    "ddim": _ddim,
    "beta": _beta,
    "turbo": _turbo,
}
