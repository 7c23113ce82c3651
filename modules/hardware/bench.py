"""`Bench`: the device that a worker works on, its number type, its memory, and how a pipeline is placed on it.

Start reading at `Bench.choose`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from modules.folders import write_atomic
from modules.hardware import policies
from modules.hardware.choice import asks_for_speed, beside_the_device, choose_dtypes, half_of, pick, unusable
from modules.hardware.detect import Device, diagnoses, probe, probe_in_child
from modules.hardware.memory import memory, room_bytes
from modules.hardware.peak import Peak
from modules.hardware.speed import half_gain

CACHE_AGE_S = 30 * 86400
GIB = 2**30
# Files whose text changes with the driver.
DRIVER_STAMPS = ("/sys/module/nvidia/version", "/sys/module/amdgpu/version", "/proc/version")
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR")


@dataclass
class Bench:
    """device, dtype ("float16"), vae_dtype; policy: the memory policy in force; count: devices of this kind.

    notes: what is not as it could be, in words, with what to do. limit_bytes: as much memory may be used, 0 for all.
    first_policy: the fastest that the flags allow. use_cpu: what the flags want on the CPU ("vae", "text_encoder", "interrogate");
    on_cpu: components that work there in the present run, whatever the policy. cache: file of what was tried.
    """

    device: Device
    dtype: str
    vae_dtype: str
    policy: str
    count: int = 1
    notes: tuple[str, ...] = ()
    limit_bytes: int = 0
    first_policy: str = "resident"
    use_cpu: tuple[str, ...] = ()
    on_cpu: tuple[str, ...] = ()
    cache: Path | None = None
    _numbers: str = field(default="", repr=False, compare=False)
    _peak: Peak | None = field(default=None, repr=False, compare=False)
    _placed: WeakKeyDictionary[Any, str] = field(default_factory=WeakKeyDictionary[Any, str], repr=False, compare=False)

    @classmethod
    def choose(cls, flags: Mapping[str, Any], index: int, cache: Path | None = None) -> Bench:
        """The bench for a worker. flags: A1111's; index: which device of the fastest kind. Raises SetupFault when it is not there.

        cache: file that keeps what was tried, for the same torch and driver.
        """
        devices = probe(with_kernels=False)
        use_cpu = tuple[str, ...](flags.get("use_cpu") or ())
        notes = [] if "all" in use_cpu else [*diagnoses(), *(p for d in devices for p in d.problems)]
        while True:
            device, count = pick(devices, flags, index)
            device = with_dtypes(device, cache)
            fault = unusable(device)
            if fault is None or device.kind == "cpu":
                break
            notes.append(fault)
            devices = [replace(d, problems=(fault,)) if d.torch_name == device.torch_name else d for d in devices]
            index = 0
        gain = with_gain(device, cache) if asks_for_speed(device, flags) else None
        dtype, vae_dtype, said = choose_dtypes(device, flags, gain)
        policy, note = policies.first(device.kind, flags)
        told, limit = (*notes, *said, *([note] if note else ())), int(flags.get("memory_limit") or 0) * GIB
        return cls(device, dtype, vae_dtype, policy, count, told, limit, policy, use_cpu, cache=cache)

    def place(self, pipeline: Any) -> None:
        """Put a freshly loaded diffusers pipeline on the device under the policy in force."""
        import torch

        if self.vae_dtype != self.dtype:
            pipeline.vae.to(dtype=getattr(torch, self.vae_dtype))
        numbers = self.cpu_numbers() if self.on_cpu or policies.POLICIES.get(self.policy).on_cpu else "float32"
        policies.place(pipeline, self.policy, self.device.torch_name, wished=self.on_cpu, numbers=numbers)
        self._placed[pipeline] = self.policy

    def cpu_numbers(self) -> str:
        """What the CPU calculates in beside the device instead of half precision: the faster. Measured once, in a second or two."""
        if not self._numbers:
            cpu = with_dtypes(next(d for d in probe(with_kernels=False) if d.kind == "cpu"), self.cache)
            self._numbers = beside_the_device(half_of(cpu), with_gain(cpu, self.cache))
        return self._numbers

    def lift(self, pipeline: Any) -> None:
        """Take a placed pipeline back to main memory; `place` puts it on the device again."""
        policies.lift(pipeline, self._placed.pop(pipeline, self.policy))

    def aside(self, pipeline: Any) -> None:
        """Free the device of a placed pipeline in the middle of a call; `lift`, then `place`, puts it on the device again."""
        policies.aside(pipeline)

    def step_down(self) -> bool:
        """Take the next, more careful policy; False when there is none."""
        following = policies.after(self.policy, self.device.kind)
        if following is None:
            return False
        self.policy = following
        return True

    def memory(self) -> dict[str, Any]:
        """Bytes, in the shape of A1111's /sdapi/v1/memory."""
        return memory(self.device.kind, self.device.torch_name)

    def room_bytes(self) -> int:
        """How much a run may take: what is free, with what this process holds already, within the limit; 0 where nobody knows."""
        room = room_bytes(self.device.kind, self.device.torch_name)
        return min(filter(None, (room, self.limit_bytes)), default=0)

    def peak(self) -> Peak:
        """Counts from now on the most memory that is needed on this device."""
        self._peak = Peak(self.device.kind, self.device.torch_name)
        self._peak.begin()
        return self._peak

    def reading(self) -> AbstractContextManager[None]:
        """Around the reading of a model, which is left out of that count."""
        return nullcontext() if self._peak is None else self._peak.paused()

    def lines(self) -> list[str]:
        """The three lines shown at the start."""
        more = f", {self.count} of them" if self.count > 1 else ""
        vae = f" (VAE {self.vae_dtype})" if self.vae_dtype != self.dtype else ""
        free = f", {self.device.free_bytes / GIB:.1f} GiB free" if self.device.free_bytes else ""
        total = f"{self.device.memory_bytes / GIB:.1f} GiB" if self.device.memory_bytes else "size unknown"
        return [
            f"Device:  {self.device.name} ({self.device.kind}{more})",
            f"Memory:  {total}{free}; {policies.POLICIES.get(self.policy).help}",
            f"Numbers: computing in {self.dtype}{vae}; these work here: {', '.join(self.device.dtypes) or 'none'}",
        ]

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, with the three lines and the notes."""
        return {
            **self.device.to_data(),
            "dtype": self.dtype,
            "vae_dtype": self.vae_dtype,
            "policy": self.policy,
            "first_policy": self.first_policy,
            "use_cpu": list(self.use_cpu),
            "room_bytes": self.room_bytes(),
            "count": self.count,
            "lines": self.lines(),
            "notes": list(self.notes),
        }


def with_dtypes(device: Device, cache: Path | None) -> Device:
    """The device with the number types that work, from the cache when the same torch and driver have tried it lately.

    The CPU is tried here, anything with a driver in a process of its own.
    """
    key = f"{stamp()} {device.torch_name} {device.name}"
    known = _read(cache)
    entry: Any = known.get(key)
    if not isinstance(entry, dict) or time.time() - entry.get("time_s", 0) > CACHE_AGE_S:
        tried = device.tried() if device.kind == "cpu" else _tried_in_child(device)
        entry = {"dtypes": list(tried.dtypes), "refused": tried.refused, "time_s": time.time()}
        if cache is not None:
            write_atomic(cache, json.dumps({**known, key: entry}, indent=1).encode())
    return replace(device, dtypes=tuple(entry["dtypes"]), refused=dict(entry["refused"]))


def with_gain(device: Device, cache: Path | None) -> float | None:
    """How many times as fast as float32 half precision is on the CPU, from the cache when it was measured lately; None where none works."""
    half = half_of(device)
    if half is None:
        return None
    key = f"{stamp()} {device.torch_name} {device.name}"
    known = _read(cache)
    entry: Any = known.get(key)
    entry = entry if isinstance(entry, dict) else {}
    if half not in (gains := entry.get("gains", {})):
        gains = {**gains, half: round(half_gain(half), 2)}
        if cache is not None and entry:
            write_atomic(cache, json.dumps({**known, key: {**entry, "gains": gains}}, indent=1).encode())
    return float(gains[half])


def _tried_in_child(device: Device) -> Device:
    answer = probe_in_child(device.torch_name)
    if answer["devices"]:
        return Device.from_data(answer["devices"][0])
    return replace(device, dtypes=(), refused={"all": answer["error"] or "the device was not there for a second process"})


def stamp() -> str:
    """What must be unchanged for a cached try to hold: torch, driver, and which devices are visible. Imports no torch."""
    files = [Path(f).read_text().strip()[:80] for f in DRIVER_STAMPS if Path(f).exists()]
    visible = [f"{name}={os.environ[name]}" for name in VISIBLE if name in os.environ]
    return " ".join([f"torch {metadata.version('torch')}", *files, *visible])


def _read(cache: Path | None) -> dict[str, Any]:
    try:
        known = json.loads(cache.read_text()) if cache is not None else {}
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
