"""`Bench`: the device that a worker works on, its number type, its memory, and how a pipeline is placed on it.

Start reading at `Bench.choose`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from modules.faults import SetupFault
from modules.folders import write_atomic
from modules.hardware.detect import Device, probe, working_dtypes

# From the fastest to the most careful. Each is a diffusers call on the whole pipeline.
POLICIES = ("resident", "medvram", "lowvram")
CACHE_AGE_S = 30 * 86400


@dataclass
class Bench:
    """device, dtype ("float16"), vae_dtype; policy: the memory policy in force; count: devices of this kind."""

    device: Device
    dtype: str
    vae_dtype: str
    policy: str
    count: int = 1

    @classmethod
    def choose(cls, flags: Mapping[str, Any], index: int, cache: Path | None = None) -> Bench:
        """The bench for a worker. flags: A1111's; index: which device of the fastest kind. Raises SetupFault when it is not there."""
        devices = probe(with_kernels=False)
        wanted = [d for d in devices if d.kind == "cpu"] if flags.get("use_cpu") else [d for d in devices if not d.problems]
        same = [d for d in wanted if d.kind == wanted[0].kind]
        if index >= len(same):
            raise SetupFault(f"There is no device number {index}; there are {len(same)}. Start with another --device-id.")
        device = _with_dtypes(same[index], cache)
        dtype, vae_dtype = choose_dtypes(device, flags)
        return cls(device, dtype, vae_dtype, choose_policy(device, flags), len(same))

    def place(self, pipeline: Any) -> None:
        """Put a freshly loaded diffusers pipeline on the device under the policy in force."""
        import torch

        if self.vae_dtype != self.dtype:
            pipeline.vae.to(dtype=getattr(torch, self.vae_dtype))
        if self.policy == "resident":
            pipeline.to(self.device.torch_name)
        elif self.policy == "medvram":
            pipeline.enable_model_cpu_offload(device=self.device.torch_name)
        else:
            pipeline.enable_sequential_cpu_offload(device=self.device.torch_name)
        if self.policy != "resident":
            pipeline.vae.enable_slicing()
            pipeline.vae.enable_tiling()

    def step_down(self) -> bool:
        """Take the next, more careful policy; False when there is none (the CPU has only one)."""
        at = POLICIES.index(self.policy)
        if self.device.kind == "cpu" or at + 1 == len(POLICIES):
            return False
        self.policy = POLICIES[at + 1]
        return True

    def memory(self) -> dict[str, Any]:
        """Bytes, in the shape of A1111's /sdapi/v1/memory."""
        process, machine = psutil.Process().memory_info(), psutil.virtual_memory()
        ram = {"free": machine.available, "used": process.rss, "total": process.rss + machine.available}
        return {"ram": ram, "cuda": self._cuda_memory()}

    def _cuda_memory(self) -> dict[str, Any]:
        if self.device.kind not in ("cuda", "rocm"):
            return {"error": f"no CUDA device in use; working on {self.device.kind}"}
        import torch

        free, total = torch.cuda.mem_get_info(self.device.torch_name)
        stats = torch.cuda.memory_stats(self.device.torch_name)

        def pair(name: str) -> dict[str, int]:
            return {"current": stats.get(f"{name}.all.current", 0), "peak": stats.get(f"{name}.all.peak", 0)}

        return {
            "system": {"free": free, "used": total - free, "total": total},
            "active": pair("active_bytes"), "allocated": pair("allocated_bytes"), "reserved": pair("reserved_bytes"),
            "inactive": pair("inactive_split_bytes"), "events": {"retries": stats.get("num_alloc_retries", 0), "oom": stats.get("num_ooms", 0)},
        }

    def lines(self) -> list[str]:
        """The three lines shown at the start."""
        gib = self.device.memory_bytes / 2**30
        return [
            f"Device:  {self.device.name} ({self.device.kind}{f', {self.count} of them' if self.count > 1 else ''})",
            f"Memory:  {gib:.1f} GiB, policy {self.policy}",
            f"Numbers: computing in {self.dtype}; these work here: {', '.join(self.device.dtypes) or 'none'}",
        ]

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, with the three lines."""
        return {
            **self.device.to_data(), "dtype": self.dtype, "vae_dtype": self.vae_dtype, "policy": self.policy, "count": self.count,
            "lines": self.lines(),
        }


def choose_dtypes(device: Device, flags: Mapping[str, Any]) -> tuple[str, str]:
    """(number type of the network, of the VAE). Half precision where it works, unless the flags say otherwise; the CPU uses float32."""
    if device.kind == "cpu" or flags.get("no_half") or flags.get("precision") == "full":
        return "float32", "float32"
    half = next((name for name in ("float16", "bfloat16") if name in device.dtypes), "float32")
    return half, "float32" if flags.get("no_half_vae") else half


def choose_policy(device: Device, flags: Mapping[str, Any]) -> str:
    """The first memory policy to try. Offloading means nothing on the CPU."""
    if device.kind in ("cpu", "mps", "directml"):
        return "resident"
    return "lowvram" if flags.get("lowvram") else "medvram" if flags.get("medvram") else "resident"


def _with_dtypes(device: Device, cache: Path | None) -> Device:
    """The device with the number types that work, from the cache when the same torch has tried this device lately."""
    import torch

    key = f"{torch.__version__} {device.torch_name} {device.name} {torch.version.cuda or torch.version.hip or ''}"
    known = _read(cache)
    entry = known.get(key)
    if not isinstance(entry, dict) or time.time() - entry.get("time_s", 0) > CACHE_AGE_S:
        entry = {"dtypes": list(working_dtypes(device.torch_name)), "time_s": time.time()}
        if cache is not None:
            write_atomic(cache, json.dumps({**known, key: entry}, indent=1).encode())
    return Device(**{**device.to_data(), "dtypes": tuple(entry["dtypes"])})


def _read(cache: Path | None) -> dict[str, Any]:
    try:
        known = json.loads(cache.read_text()) if cache is not None else {}
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
