"""The records that rows are: `Sampler`, its form for flow matching models `Flow`, and `Schedule`. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

AUTOMATIC = "Automatic"


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A sampler's form for flow matching models. scheduler_class, config: as in `Sampler`; schedules: labels beside Automatic."""

    scheduler_class: str
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    schedules: tuple[str, ...] = ("Uniform",)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """name, aliases, options: as A1111's /sdapi/v1/samplers shows them. default_schedule: label used for Automatic.

    solver: name in `modules.samplers.solvers.SOLVERS`; empty: scheduler_class is a class of diffusers, with config on top of the
    model's own, and follows our noise levels. calls: network evaluations a step. source: paper.

    eta: its own share of fresh noise, None when it has no such thing; eta_setting: A1111's setting for it, "" for none.
    churn: s_churn and its like count. timed: of the DDIM kind (img2img runs a step less; its sample has total variance 1).
    together: False when the steps depend on all pictures of a batch, so that only a batch of one equals a batch of one.
    cfgpp: needs `modules.samplers.guided.without_prompt_kept` around the run.
    flow: its form for flow matching models; nearest: the sampler that such models take when it has none. note: what to know.
    """

    name: str
    aliases: tuple[str, ...]
    source: str
    solver: str = ""
    scheduler_class: str = ""
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    default_schedule: str = "Uniform"
    calls: int = 1
    eta: float | None = None
    eta_setting: str = ""
    churn: bool = False
    timed: bool = False
    together: bool = True
    cfgpp: bool = False
    flow: Flow | None = None
    nearest: str = "Euler"
    note: str = ""

    @property
    def discards(self) -> bool:
        """Is the last noise level before the end left out?"""
        return bool(self.options.get("discard_next_to_last_sigma"))


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A spacing of noise levels. name: A1111's internal name, of the formula in `modules.samplers.sigmas`; label: as shown.

    config: diffusers options that mean it for a flow matching model; source: where from.
    """

    name: str
    label: str
    source: str
    aliases: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    default_rho: float = -1
    need_inner_model: bool = False
