"""Memory policies: how a diffusers pipeline is spread over device and main memory, from the fastest to the most careful.

Each is a row over diffusers' documented calls. Run so far on the CPU only; the offloading rows have not been run on a
device here, their decisions and calls are tested. Start reading at `POLICIES`, then `ladder`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modules.registry import Registry

OFFLOADS = ("cuda", "rocm", "xpu")  # kinds with memory of their own, for which diffusers documents offloading


@dataclass(frozen=True, kw_only=True)
class Policy:
    """apply(pipeline, torch_name) places a pipeline that lies on the CPU. kinds: device kinds for which it means something, () for all."""

    help: str
    apply: Callable[[Any, str], None]
    kinds: tuple[str, ...] = ()


def _resident(pipeline: Any, torch_name: str) -> None:
    pipeline.to(torch_name)


def _tiled(pipeline: Any, torch_name: str) -> None:
    pipeline.to(torch_name)
    _spare_vae(pipeline)


def _medvram(pipeline: Any, torch_name: str) -> None:
    pipeline.enable_model_cpu_offload(device=torch_name)
    _spare_vae(pipeline)


def _lowvram(pipeline: Any, torch_name: str) -> None:
    pipeline.enable_sequential_cpu_offload(device=torch_name)
    _spare_vae(pipeline)


def lift(pipeline: Any) -> None:
    """Undo a policy: offloading hooks off, every part back in main memory. Decoding in tiles stays as it is."""
    pipeline.remove_all_hooks()
    pipeline.to("cpu")


def aside(pipeline: Any) -> None:
    """Free the device for another model while a call of this pipeline is under way: hooks stay, since the call goes on through them."""
    offloaded: list[Any] = getattr(pipeline, "_all_hooks", [])
    for hook in offloaded:
        hook.offload()
    if not any(hasattr(part, "_hf_hook") for part in pipeline.components.values()):
        pipeline.to("cpu")


def _spare_vae(pipeline: Any) -> None:
    """Decode one picture at a time, and a large one in tiles: the peak of a run is in the decoder."""
    pipeline.vae.enable_slicing()
    pipeline.vae.enable_tiling()


POLICIES: Registry[Policy] = Registry("memory policy")
POLICIES.add("resident", Policy(help="the whole model stays on the device", apply=_resident))
POLICIES.add("tiled", Policy(help="the whole model stays on the device; pictures are decoded one by one and in tiles", apply=_tiled))
POLICIES.add("medvram", Policy(help="only the part at work is on the device", apply=_medvram, kinds=OFFLOADS))
POLICIES.add("lowvram", Policy(help="only the layer at work is on the device; slow", apply=_lowvram, kinds=OFFLOADS))
POLICIES.freeze()


def ladder(kind: str) -> list[str]:
    """The policies that mean something on a kind of device, each more careful than the one before."""
    return [name for name, policy in POLICIES if not policy.kinds or kind in policy.kinds]


def first(kind: str, flags: Mapping[str, Any]) -> tuple[str, str]:
    """(the policy to begin with, a note when the flags ask for one that means nothing on this kind of device)."""
    asked = "lowvram" if flags.get("lowvram") else "medvram" if flags.get("medvram") else "resident"
    if asked in ladder(kind):
        return asked, ""
    return "tiled", f"--{asked} has no meaning on {kind}, which shares the machine's memory; decoding in tiles instead."


def after(policy: str, kind: str) -> str | None:
    """The next, more careful policy, or None."""
    rungs = ladder(kind)
    at = rungs.index(policy) + 1
    return rungs[at] if at < len(rungs) else None
