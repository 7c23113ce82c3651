"""The lists of samplers and schedules by name, and what a name that somebody sends means. No torch here.

The rows stand in `modules.samplers.rows`. Start reading at `resolve_names`.
"""

from __future__ import annotations

from modules.faults import UnknownName
from modules.registry import Registry
from modules.samplers.records import AUTOMATIC, Flow, Sampler, Schedule
from modules.samplers.rows import SAMPLER_ROWS, SCHEDULE_ROWS

__all__ = ["AUTOMATIC", "SAMPLERS", "SCHEDULES", "Flow", "Sampler", "Schedule", "effective_schedule", "flow_names", "resolve_names"]


def _samplers() -> Registry[Sampler]:
    registry: Registry[Sampler] = Registry("sampler_name")
    for row in SAMPLER_ROWS:
        registry.add(row.name, row, aliases=row.aliases)
    registry.freeze()
    return registry


def _schedules() -> Registry[Schedule]:
    registry: Registry[Schedule] = Registry("scheduler")
    for row in SCHEDULE_ROWS:
        registry.add(row.label, row, aliases=tuple({row.name, *row.aliases} - {row.label.lower()}))
    registry.freeze()
    return registry


SAMPLERS = _samplers()
SCHEDULES = _schedules()


def resolve_names(sampler_name: str | None, scheduler: str | None) -> tuple[str, str]:
    """Registered (sampler, schedule label) for what was asked; None takes the first sampler and Automatic.

    "DPM++ 2M Karras" (A1111 up to 1.8) is split; the suffix wins over the scheduler field.
    Every sampler can follow every schedule. Raises UnknownName.
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
    return name, found


def flow_names(sampler_name: str | None, scheduler: str | None) -> tuple[str, str, list[str]]:
    """(sampler, schedule label, what was taken instead of what, in sentences) for a flow matching model.

    Automatic is the model's own spacing. Raises as `resolve_names` does.
    """
    name, label = resolve_names(sampler_name, scheduler)
    asked = (sampler_name or name).strip()
    if (scheduler or AUTOMATIC).strip().casefold() == AUTOMATIC.casefold() and SAMPLERS.name_of(asked) is not None:
        label = AUTOMATIC
    said: list[str] = []
    row = SAMPLERS.get(name)
    if row.flow is None:
        said.append(f"{name} does not work with flow matching models such as this one; {row.nearest} was taken.")
        name, row = row.nearest, SAMPLERS.get(row.nearest)
    if label != AUTOMATIC and (row.flow is None or label not in row.flow.schedules):
        said.append(f"{name} cannot follow the {label} schedule with a flow matching model; the model's own was taken.")
        label = AUTOMATIC
    return name, label, said


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
