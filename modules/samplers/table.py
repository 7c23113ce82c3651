"""The rows: every sampler and every noise schedule offered, under A1111's names. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from modules.faults import RequestFault, UnknownName
from modules.registry import Registry

AUTOMATIC = "Automatic"
_SPACED = ("Uniform", "SGM Uniform")
_SIGMAS = (*_SPACED, "Karras", "Exponential", "Beta")


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """name, aliases, options: as A1111's /sdapi/v1/samplers shows them. scheduler_class: name in diffusers.

    config: scheduler options on top of the model's own. default_schedule: label used for Automatic.
    schedules: labels this sampler can follow. calls: network evaluations a step. source: paper.
    """

    name: str
    aliases: tuple[str, ...]
    scheduler_class: str
    source: str
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    default_schedule: str = "Uniform"
    schedules: tuple[str, ...] = _SIGMAS
    calls: int = 1


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A spacing of noise levels. name: A1111's internal name; label: as shown; config: diffusers options; source: where from."""

    name: str
    label: str
    source: str
    aliases: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    default_rho: float = -1
    need_inner_model: bool = False


_DPMPP = {"algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": True, "final_sigmas_type": "zero"}
_SDE = {**_DPMPP, "algorithm_type": "sde-dpmsolver++"}
_KARRAS = {"scheduler": "karras"}
_EXPONENTIAL = {"scheduler": "exponential", "brownian_noise": True}
_SAMPLER_ROWS = (
    Sampler(
        name="DPM++ 2M",
        aliases=("k_dpmpp_2m",),
        scheduler_class="DPMSolverMultistepScheduler",
        default_schedule="Karras",
        config={**_DPMPP, "solver_order": 2},
        options=_KARRAS,
        source="arXiv:2211.01095, algorithm 2",
    ),
    Sampler(
        name="DPM++ 2M SDE",
        aliases=("k_dpmpp_2m_sde",),
        scheduler_class="DPMSolverMultistepScheduler",
        default_schedule="Exponential",
        config={**_SDE, "solver_order": 2},
        options=_EXPONENTIAL,
        source="arXiv:2211.01095, SDE form",
    ),
    Sampler(
        name="DPM++ 2M SDE Heun",
        aliases=("k_dpmpp_2m_sde_heun",),
        scheduler_class="DPMSolverMultistepScheduler",
        default_schedule="Exponential",
        config={**_SDE, "solver_order": 2, "solver_type": "heun"},
        options={**_EXPONENTIAL, "solver_type": "heun"},
        source="arXiv:2211.01095, SDE form, Heun correction",
    ),
    Sampler(
        name="DPM++ 3M SDE",
        aliases=("k_dpmpp_3m_sde",),
        scheduler_class="DPMSolverMultistepScheduler",
        default_schedule="Exponential",
        config={**_SDE, "solver_order": 3},
        options={**_EXPONENTIAL, "discard_next_to_last_sigma": True},
        source="arXiv:2211.01095, SDE form, third order",
    ),
    Sampler(
        name="Euler a",
        aliases=("k_euler_a", "k_euler_ancestral"),
        scheduler_class="EulerAncestralDiscreteScheduler",
        schedules=_SPACED,
        options={"uses_ensd": True},
        source="arXiv:2206.00364, ancestral Euler of k-diffusion",
    ),
    Sampler(name="Euler", aliases=("k_euler",), scheduler_class="EulerDiscreteScheduler", source="arXiv:2206.00364, algorithm 2"),
    Sampler(name="LMS", aliases=("k_lms",), scheduler_class="LMSDiscreteScheduler", source="linear multistep of k-diffusion, order 4"),
    Sampler(
        name="Heun",
        aliases=("k_heun",),
        scheduler_class="HeunDiscreteScheduler",
        calls=2,
        options={"second_order": True},
        source="arXiv:2206.00364, algorithm 1",
    ),
    Sampler(
        name="DPM2",
        aliases=("k_dpm_2",),
        scheduler_class="KDPM2DiscreteScheduler",
        default_schedule="Karras",
        calls=2,
        options={**_KARRAS, "discard_next_to_last_sigma": True, "second_order": True},
        source="arXiv:2206.00364, DPM-Solver-2 form",
    ),
    Sampler(
        name="DPM2 a",
        aliases=("k_dpm_2_a",),
        scheduler_class="KDPM2AncestralDiscreteScheduler",
        default_schedule="Karras",
        calls=2,
        options={**_KARRAS, "discard_next_to_last_sigma": True, "uses_ensd": True, "second_order": True},
        source="arXiv:2206.00364, ancestral DPM-Solver-2 form",
    ),
    Sampler(
        name="DDIM",
        aliases=("ddim",),
        scheduler_class="DDIMScheduler",
        default_schedule="DDIM",
        schedules=("DDIM", *_SPACED),
        config={"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1},
        source="arXiv:2010.02502, eq. 12",
    ),
    Sampler(
        name="PLMS",
        aliases=("plms",),
        scheduler_class="PNDMScheduler",
        default_schedule="DDIM",
        schedules=("DDIM", *_SPACED),
        config={"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1},
        source="arXiv:2202.09778",
    ),
    Sampler(
        name="UniPC",
        aliases=("unipc",),
        scheduler_class="UniPCMultistepScheduler",
        source="arXiv:2302.04867",
        config={"solver_order": 3, "solver_type": "bh1", "lower_order_final": True, "final_sigmas_type": "sigma_min"},
    ),
    Sampler(
        name="LCM",
        aliases=("k_lcm",),
        scheduler_class="LCMScheduler",
        default_schedule="LCM",
        schedules=("LCM",),
        config={"original_inference_steps": 50},
        source="arXiv:2310.04378",
    ),
    Sampler(
        name="DEIS", aliases=("deis",), scheduler_class="DEISMultistepScheduler", config={"solver_order": 2}, source="arXiv:2204.13902"
    ),
)


def _samplers() -> Registry[Sampler]:
    registry: Registry[Sampler] = Registry("sampler_name")
    for row in _SAMPLER_ROWS:
        registry.add(row.name, row, aliases=row.aliases)
    registry.freeze()
    return registry


def _schedules() -> Registry[Schedule]:
    registry: Registry[Schedule] = Registry("scheduler")
    for row in (
        Schedule(name="automatic", label=AUTOMATIC, source="the sampler's own"),
        Schedule(
            name="uniform", label="Uniform", config={"timestep_spacing": "linspace"}, need_inner_model=True, source="equal steps of time"
        ),
        Schedule(name="karras", label="Karras", config={"use_karras_sigmas": True}, default_rho=7.0, source="arXiv:2206.00364, eq. 5"),
        Schedule(name="exponential", label="Exponential", config={"use_exponential_sigmas": True}, source="equal steps of log sigma"),
        Schedule(
            name="sgm_uniform",
            label="SGM Uniform",
            aliases=("SGMUniform",),
            config={"timestep_spacing": "trailing"},
            need_inner_model=True,
            source="diffusers' trailing spacing; arXiv:2305.08891, table 2",
        ),
        Schedule(name="ddim", label="DDIM", config={"timestep_spacing": "leading"}, need_inner_model=True, source="arXiv:2010.02502"),
        Schedule(name="beta", label="Beta", config={"use_beta_sigmas": True}, need_inner_model=True, source="arXiv:2407.12173"),
    ):
        registry.add(row.label, row, aliases=tuple({row.name, *row.aliases} - {row.label.lower()}))
    registry.freeze()
    return registry


SAMPLERS = _samplers()
SCHEDULES = _schedules()


def resolve_names(sampler_name: str | None, scheduler: str | None) -> tuple[str, str]:
    """Registered (sampler, schedule label) for what was asked; None takes the first sampler and Automatic.

    "DPM++ 2M Karras" (A1111 up to 1.8) is split; the suffix wins over the scheduler field.
    Raises UnknownName, or RequestFault("scheduler") when that sampler cannot follow that schedule.
    """
    asked = (sampler_name or SAMPLERS.names()[0]).strip()
    label = scheduler
    name = SAMPLERS.name_of(asked)
    if name is None:
        name, label = _split_suffix(asked, label)
    sampler = SAMPLERS.get(name)
    label = (label or AUTOMATIC).strip()
    found = SCHEDULES.name_of(label)
    if found is None:
        raise UnknownName("scheduler", label, SCHEDULES.names())
    if found == AUTOMATIC and "scheduler" in sampler.options:  # A1111 names the schedule that is really followed
        return name, sampler.default_schedule
    if found == sampler.default_schedule:
        return name, found
    if found != AUTOMATIC and found not in sampler.schedules:
        allowed = [AUTOMATIC, *sampler.schedules]
        raise RequestFault(
            "scheduler", f"{name} cannot follow the {found} schedule; choose {', '.join(allowed)}", got=found, allowed=allowed
        )
    return name, found


def effective_schedule(sampler_name: str, scheduler: str) -> str:
    """The label really followed: Automatic replaced by the sampler's own."""
    return SAMPLERS.get(sampler_name).default_schedule if scheduler == AUTOMATIC else scheduler


def _split_suffix(asked: str, label: str | None) -> tuple[str, str | None]:
    for _, row in SCHEDULES:
        for suffix in (row.label, row.name, *row.aliases):
            stem = asked[: -len(suffix)].rstrip()
            if asked.casefold().endswith(f" {suffix.casefold()}") and SAMPLERS.name_of(stem):
                return str(SAMPLERS.name_of(stem)), row.label
    raise UnknownName("sampler_name", asked, SAMPLERS.names())
