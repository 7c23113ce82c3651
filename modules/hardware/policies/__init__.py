"""Memory policies: how a diffusers pipeline is spread over device and main memory, from the fastest to the most careful.

A file and a row each, over diffusers' documented calls. The rows ran on the CPU; on a device with memory of its own none has been run
here, their decisions and calls are tested. No torch until a row is applied. Start reading at `POLICIES`, then `place`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from modules.hardware.policies import on_cpu as cpu
from modules.hardware.policies.attention import ATTENTION
from modules.hardware.policies.encoders import ENCODERS
from modules.hardware.policies.encoders_on_cpu import ENCODERS_ON_CPU
from modules.hardware.policies.lowvram import LOWVRAM
from modules.hardware.policies.medvram import MEDVRAM
from modules.hardware.policies.resident import RESIDENT
from modules.hardware.policies.row import Part, Policy, modules_of, spare_vae
from modules.hardware.policies.streamed import STREAMED
from modules.hardware.policies.tiled import TILED
from modules.hardware.policies.vae_on_cpu import STREAMED_VAE_ON_CPU, VAE_ON_CPU
from modules.registry import Registry

__all__ = ["AUTOMATIC", "POLICIES", "Part", "Policy", "after", "aside", "first", "is_on_cpu", "ladder", "lift", "place"]

AUTOMATIC = "Automatic"  # the setting that leaves the choice to the planner

POLICIES: Registry[Policy] = Registry("memory policy")
POLICIES.add("resident", RESIDENT)
POLICIES.add("tiled", TILED)
POLICIES.add("attention", ATTENTION)
POLICIES.add("encoders", ENCODERS)
POLICIES.add("encoders-on-cpu", ENCODERS_ON_CPU)
POLICIES.add("medvram", MEDVRAM)
POLICIES.add("vae-on-cpu", VAE_ON_CPU)
POLICIES.add("streamed", STREAMED)
POLICIES.add("lowvram", LOWVRAM)
POLICIES.add("streamed-vae-on-cpu", STREAMED_VAE_ON_CPU)
POLICIES.freeze()


def is_on_cpu(component: str, policy: str, wished: Collection[str] = ()) -> bool:
    """Does a component work on the CPU under a policy? wished: beginnings of names of those that a person wants there besides."""
    return component.startswith((*POLICIES.get(policy).on_cpu, *wished))


def place(pipeline: Any, policy: str, torch_name: str, *, wished: Collection[str] = (), numbers: str = "float32") -> None:
    """Put a pipeline that lies on the CPU on a device. wished: as in `is_on_cpu`; numbers: what these calculate in instead of halves."""
    row = POLICIES.get(policy)
    if not (*row.on_cpu, *wished):
        row.apply(pipeline, torch_name)
    else:
        names = [name for name in modules_of(pipeline) if is_on_cpu(name, policy, wished)]
        cpu.without(pipeline, names, lambda: row.apply(pipeline, torch_name))
        cpu.offload_without(pipeline, names)
        cpu.keep(pipeline, names, numbers)
    if row.spares_vae:
        spare_vae(pipeline)


def lift(pipeline: Any, policy: str) -> None:
    """Bring a placed pipeline back to main memory, with nothing left of the policy."""
    cpu.forget(pipeline)
    POLICIES.get(policy).lift(pipeline)


def aside(pipeline: Any) -> None:
    """Free the device for another model while a call of this pipeline is under way: hooks stay, since the call goes on through them."""
    offloaded: list[Any] = getattr(pipeline, "_all_hooks", [])
    for hook in offloaded:
        hook.offload()
    hooks = [getattr(part, "_hf_hook", None) for part in pipeline.components.values()]
    if all(hook is None or isinstance(hook, cpu.OnCpu) for hook in hooks):
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
