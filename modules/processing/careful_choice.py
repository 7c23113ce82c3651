"""Which memory policy a run will have: from the setting, the flags, what it needs, what there is and what earlier runs taught.

No torch: the web process says it before the run, the worker takes it. Start reading at `choice_for`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modules.hardware import policies
from modules.hardware.plan import Choice, Need, choose
from modules.hardware.policies import AUTOMATIC
from modules.hardware.policies.row import TEXT, VAE
from modules.processing.memory_book import MemoryBook
from modules.processing.memory_need import spot_of
from modules.processing.quantising import quantisers_of
from modules.request import ResolvedRequest

# What the setting "Work on the CPU" means: beginnings of the names of components. The flag --use-cpu has the same names.
ON_CPU: dict[str, tuple[str, ...]] = {"None": (), "VAE": (VAE,), "Text encoders": (TEXT,), "VAE and text encoders": (TEXT, VAE)}


def wished(resolved: ResolvedRequest, device: dict[str, Any]) -> tuple[str, ...]:
    """Which components a person wants to work on the CPU, by setting or flag. device: as in `choice_for`, with "use_cpu"."""
    if device["kind"] == "cpu":
        return ()
    asked = (*ON_CPU[str(resolved.settings.get("parts_on_cpu") or "None")], *device.get("use_cpu", ()))
    return tuple(name for name in (TEXT, VAE) if name in asked)


def choice_for(resolved: ResolvedRequest, need: Need | None, book: MemoryBook, device: dict[str, Any]) -> Choice:
    """The policy for a run on a device. device: as the worker tells of it: "kind", "first_policy", "room_bytes", "use_cpu".

    The setting chooses, but nothing faster than the flags allow; Automatic is the fastest that fits. What a person wants on the CPU
    works there under any of them.
    """
    on_cpu = wished(resolved, device)
    return replace(_choice(resolved, need and need.on(device["kind"], on_cpu), book, device), on_cpu=on_cpu)


def _choice(resolved: ResolvedRequest, need: Need | None, book: MemoryBook, device: dict[str, Any]) -> Choice:
    rungs = policies.ladder(device["kind"])
    rungs = rungs[rungs.index(device["first_policy"]) :]
    asked = str(resolved.settings.get("memory_policy") or AUTOMATIC)
    begun = book.begin_with(spot_of(resolved))
    if asked != AUTOMATIC:
        chosen = asked if asked in rungs else rungs[0]
        lacking = f"The memory policy {asked} cannot be had on {device['kind']}, as the program was started; {chosen} was taken."
        return Choice(policy=chosen, why="" if asked == chosen else lacking)
    if need is None:
        return Choice(policy=begun if begun in rungs else rungs[0])
    small = quantisers_of(resolved.checkpoint, resolved.settings)
    barred = [name for name in rungs if any(policies.POLICIES.get(name).apart(part) for part in small)]
    return choose(need, rungs, int(device.get("room_bytes") or 0), more=book.more(need), at_least=begun, barred=barred)
