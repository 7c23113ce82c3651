"""Which device to use and in which number type. Decisions over `Device` records and flags; touches no device.

Start reading at `pick`, then `choose_dtypes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules.faults import SetupFault
from modules.hardware.detect import Device

# What is tried first as half precision: float16 is the fastest everywhere but on Intel's cards, whose float16 is narrower in practice.
HALF = {"xpu": ("bfloat16", "float16"), "cpu": ("bfloat16", "float16")}
HALF_ELSEWHERE = ("float16", "bfloat16")
WORTH = 1.2  # half precision on the CPU changes pictures: less than this much faster is not worth it


def pick(devices: Sequence[Device], flags: Mapping[str, Any], index: int = 0) -> tuple[Device, int]:
    """(the device, how many of its kind can be used). The first kind in the list without problems wins, index counts within it.

    Raises SetupFault when there is no device of that number.
    """
    usable = [d for d in devices if d.kind == "cpu"] if "all" in (flags.get("use_cpu") or ()) else [d for d in devices if not d.problems]
    same = [d for d in usable if d.kind == usable[0].kind]
    if index >= len(same):
        names = ", ".join(f"{i} = {d.name}" for i, d in enumerate(same))
        raise SetupFault(f"There is no device number {index}; there is {names}. Start with another --device-id.")
    return same[index], len(same)


def half_of(device: Device) -> str | None:
    """The half precision that a device would compute in, None where none works."""
    return next((name for name in HALF.get(device.kind, HALF_ELSEWHERE) if name in device.dtypes), None)


def beside_the_device(half: str | None, gain: float | None) -> str:
    """What components that work on the CPU, beside a device, calculate in instead of half precision. half, gain: of the CPU."""
    return half if half is not None and gain is not None and gain >= WORTH else "float32"


def asks_for_speed(device: Device, flags: Mapping[str, Any]) -> bool:
    """The choice depends on how fast half precision is: on the CPU, where it is slower on most, and not kept from it by a flag."""
    return device.kind == "cpu" and flags.get("precision") in ("half", "fastest") and not flags.get("no_half")


def choose_dtypes(device: Device, flags: Mapping[str, Any], gain: float | None = None) -> tuple[str, str, list[str]]:
    """(number type of the network, of the VAE, notes). Half precision where it works; the CPU takes float32 unless told otherwise.

    gain: how many times as fast as float32 half precision is here, where `asks_for_speed`.
    """
    asked = flags.get("precision")
    gain = gain if asks_for_speed(device, flags) else None
    if gain is not None and asked == "fastest" and gain < WORTH:
        note = f"{half_of(device)} is {gain:.2g} times as fast as float32 on this processor: computing in float32."
        return "float32", "float32", [note]
    wants_half = asked in ("half", "fastest")
    if flags.get("no_half") or asked == "full" or (device.kind == "cpu" and not wants_half):
        return "float32", "float32", []
    half = half_of(device)
    if half is None:
        reasons = "; ".join(f"{name}: {why}" for name, why in device.refused.items()) or "it was not tried"
        note = f"Half precision does not work on {device.name} ({reasons}); computing in float32, which needs twice the memory."
        return "float32", "float32", [note]
    better = "" if gain is None or gain >= 1 else "; start without --precision half"
    notes = [] if gain is None else [f"{half} is {gain:.2g} times as fast as float32 on this processor{better}."]
    return half, "float32" if flags.get("no_half_vae") else half, notes


def unusable(device: Device) -> str | None:
    """Why a device on which the number types were tried cannot be used at all, or None."""
    if device.dtypes:
        return None
    reasons = "; ".join(dict.fromkeys(device.refused.values())) or "nothing was tried"
    return f"{device.name} computes nothing right ({reasons}). Update its driver."
