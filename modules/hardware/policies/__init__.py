"""Memory policies: how a diffusers pipeline is spread over device and main memory, from the fastest to the most careful.

A file and a row each, over diffusers' documented calls. The rows ran on the CPU; on a device with memory of its own none has been run
here, their decisions and calls are tested. No torch until a row is applied. Start reading at `POLICIES`, then `ladder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.hardware.policies.attention import ATTENTION
from modules.hardware.policies.encoders import ENCODERS
from modules.hardware.policies.lowvram import LOWVRAM
from modules.hardware.policies.medvram import MEDVRAM
from modules.hardware.policies.resident import RESIDENT
from modules.hardware.policies.row import Part, Policy
from modules.hardware.policies.streamed import STREAMED
from modules.hardware.policies.tiled import TILED
from modules.registry import Registry

__all__ = ["AUTOMATIC", "POLICIES", "Part", "Policy", "after", "aside", "first", "ladder"]

AUTOMATIC = "Automatic"  # the setting that leaves the choice to the planner

POLICIES: Registry[Policy] = Registry("memory policy")
POLICIES.add("resident", RESIDENT)
POLICIES.add("tiled", TILED)
POLICIES.add("attention", ATTENTION)
POLICIES.add("encoders", ENCODERS)
POLICIES.add("medvram", MEDVRAM)
POLICIES.add("streamed", STREAMED)
POLICIES.add("lowvram", LOWVRAM)
POLICIES.freeze()


def aside(pipeline: Any) -> None:
    """Free the device for another model while a call of this pipeline is under way: hooks stay, since the call goes on through them."""
    offloaded: list[Any] = getattr(pipeline, "_all_hooks", [])
    for hook in offloaded:
        hook.offload()
    if not any(hasattr(part, "_hf_hook") for part in pipeline.components.values()):
        pipeline.to("cpu")


def ladder(kind: str) -> list[str]:
    """The policies that mean something on a kind of device, each more careful than the one before."""
    return [name for name, policy in POLICIES if not policy.kinds or kind in policy.kinds]


def first(kind: str, flags: Mapping[str, Any]) -> tuple[str, str]:
    """(the fastest policy that the flags allow, a note when they ask for one that means nothing on this kind of device)."""
    asked = "lowvram" if flags.get("lowvram") else "medvram" if flags.get("medvram") else "resident"
    if asked in ladder(kind):
        return asked, ""
    return "tiled", f"--{asked} has no meaning on {kind}, which shares the machine's memory; decoding in tiles instead."


def after(policy: str, kind: str) -> str | None:
    """The next, more careful policy, or None."""
    rungs = ladder(kind)
    at = rungs.index(policy) + 1
    return rungs[at] if at < len(rungs) else None
