"""The samplers as algorithms, apart from schedulers: `SOLVERS` by name, with how each makes its steps of a schedule.

Knows noise levels and tensors; knows nothing about pipelines, timesteps or names shown to people. Start reading at
`modules.samplers.solvers.course`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modules.samplers.levels import Floats, NoiseLevels
from modules.samplers.solvers import dpm, dpmpp, plain, plans, timed
from modules.samplers.solvers.course import Course, Solver, Steps, Tensor


@dataclass(frozen=True)
class Method:
    """solve: the algorithm; plan: its steps of a schedule; calls: model calls a step, the last one mostly takes 1.

    unit: the sample counts as signal and noise of total variance 1 (a pipeline hands over plain noise, and gets the result so).
    free: finds its own number of steps. few: speaks only of the fifty levels that distilled models know.
    """

    solve: Callable[[Course, Tensor], Solver]
    plan: Callable[[Floats, NoiseLevels], Steps] = plans.neighbours
    calls: int = 1
    unit: bool = False
    free: bool = False
    few: bool = False


SOLVERS: Final[dict[str, Method]] = {
    "euler": Method(plain.euler),
    "euler_ancestral": Method(plain.euler_ancestral),
    "heun": Method(plain.heun, calls=2),
    "dpm2": Method(plain.dpm2, calls=2),
    "dpm2_ancestral": Method(plain.dpm2_ancestral, calls=2),
    "lms": Method(plain.lms),
    "dpmpp_2m": Method(dpmpp.dpmpp_2m),
    "dpmpp_2m_sde": Method(dpmpp.dpmpp_2m_sde),
    "dpmpp_2m_sde_heun": Method(dpmpp.dpmpp_2m_sde_heun),
    "dpmpp_3m_sde": Method(dpmpp.dpmpp_3m_sde),
    "dpmpp_sde": Method(dpmpp.dpmpp_sde, calls=2),
    "dpmpp_2s_ancestral": Method(dpmpp.dpmpp_2s_ancestral, calls=2),
    "dpm_fast": Method(dpm.dpm_fast, plans.fast),
    "dpm_adaptive": Method(dpm.dpm_adaptive, plans.ends_only, free=True),
    "restart": Method(plain.heun, plans.restart, calls=2),
    "ddim": Method(plain.euler_ancestral, plans.to_first_level, unit=True),
    "ddim_cfgpp": Method(timed.ddim_cfgpp, plans.to_first_level, unit=True),
    "plms": Method(timed.plms, plans.to_first_level, unit=True),
    "lcm": Method(timed.lcm, few=True),
    "tcd": Method(timed.tcd, plans.to_first_level, unit=True, few=True),
}

__all__ = ["SOLVERS", "Course", "Method", "Solver", "Steps", "Tensor"]
