"""Memory figures of the machine and of the device, in the shape of A1111's /sdapi/v1/memory. Start reading at `memory`."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import psutil


def memory(kind: str, torch_name: str) -> dict[str, Any]:
    """{"ram": {free, used, total}, "cuda": {...} or {"error": why there is none}}; all in bytes.

    ram is the whole machine's: used is what is not available. Source: A1111's answer, field by field.
    """
    machine = psutil.virtual_memory()
    ram = {"free": machine.available, "used": machine.total - machine.available, "total": machine.total}
    return {"ram": ram, "cuda": _cuda(torch_name) if kind in ("cuda", "rocm") else {"error": f"no CUDA device in use; working on {kind}"}}


def room_bytes(kind: str, torch_name: str) -> int:
    """What a run could take at most: free memory, and what this process holds already; 0 for devices that do not tell."""
    if kind in ("cuda", "rocm"):
        import torch

        return int(torch.cuda.mem_get_info(torch_name)[0] + torch.cuda.memory_reserved(torch_name))
    return int(psutil.virtual_memory().available + psutil.Process().memory_info().rss) if kind == "cpu" else 0


def give_back() -> None:
    """Hand blocks of main memory that are free back to the system; glibc keeps them otherwise, and the process seems to grow."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def _cuda(torch_name: str) -> dict[str, Any]:
    import torch

    try:
        free, total = torch.cuda.mem_get_info(torch_name)
        stats = torch.cuda.memory_stats(torch_name)
    except RuntimeError as error:
        return {"error": str(error).splitlines()[0]}
    return cuda_figures(free, total, stats)


def cuda_figures(free: int, total: int, stats: dict[str, Any]) -> dict[str, Any]:
    """A1111's cuda figures from free and total bytes and torch.cuda.memory_stats()."""

    def pair(name: str) -> dict[str, int]:
        return {"current": stats.get(f"{name}.all.current", 0), "peak": stats.get(f"{name}.all.peak", 0)}

    return {
        "system": {"free": free, "used": total - free, "total": total},
        "active": pair("active_bytes"),
        "allocated": pair("allocated_bytes"),
        "reserved": pair("reserved_bytes"),
        "inactive": pair("inactive_split_bytes"),
        "events": {"retries": stats.get("num_alloc_retries", 0), "oom": stats.get("num_ooms", 0)},
    }
