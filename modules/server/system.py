"""/internal/system: what the System tab shows: devices, memory over time, disk use, temperatures, versions. For administrators.

`system_logs` has logs and the doctor's report, `system_bench` the benchmark. Knows what is asked for; `modules.machine` knows the rest.
Start reading at `routes`.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import psutil
from fastapi import APIRouter

from modules.jobs import LANES
from modules.machine import sensors
from modules.machine.disk import DiskCount
from modules.machine.versions import versions
from modules.machine.watching import Watch
from modules.server.system_bench import Benchmark

if TYPE_CHECKING:
    from modules.app import App

log = logging.getLogger(__name__)


class System:
    """What is watched while the server runs: memory over time, disk use, the benchmark. Watching begins with `start`."""

    def __init__(self, app: App) -> None:
        self.benchmark = Benchmark(app)
        self.watch = Watch(lambda: [worker["memory"] for worker in app.jobs.workers() if "host" not in worker], also=self._collect)
        self.disk = DiskCount(app.folders)

    def start(self) -> None:
        """Begin to sample memory."""
        self.watch.start()

    def stop(self) -> None:
        """End the sampling."""
        self.watch.stop()

    def _collect(self) -> None:
        try:
            self.benchmark.collect()
        except Exception:  # it runs on the thread that samples memory, which must go on; the log has the reason
            log.exception("the result of a benchmark could not be kept")


def routes(app: App, system: System) -> APIRouter:
    """The routes of devices, memory and disk."""
    router = APIRouter(prefix="/internal/system", tags=["system"])

    @router.get("")
    def overview() -> dict[str, Any]:
        """Devices of this machine, with what works on them, and the loaded model; temperatures where they can be read, versions,
        since when the server runs.
        """
        system.watch.looked()
        workers = [worker for worker in app.jobs.workers() if "host" not in worker]
        return {
            "devices": [_device(worker) for worker in workers],
            "cards": [asdict(card) for card in system.watch.cards()],
            "temperatures": [asdict(one) for one in sensors.temperatures()],
            "lanes": {lane: app.jobs.queued(lane) for lane in LANES},
            "machine": _machine(),
            "models": app.library.counts(),
            "folders": {"data": str(app.folders.data), "models": str(app.folders.models), "outputs": str(app.folders.outputs)},
            "versions": versions(),
            "flags": app.flags.given(),
            "since_s": psutil.Process().create_time(),
            "now_s": time.time(),
        }

    @router.get("/memory")
    def memory(span: Literal["hour", "day"] = "hour") -> dict[str, Any]:
        """Samples of an hour, or of a day coarsely: {time_s, page, workers, machine, device} in bytes; total: of the machine."""
        system.watch.looked()
        return {"samples": system.watch.samples(span), "total": psutil.virtual_memory().total}

    @router.get("/disk")
    def disk() -> dict[str, Any]:
        """What takes how much: {counting, fault, usage}. Counts in the background when the last count is old."""
        return system.disk.look()

    @router.post("/disk")
    def count_again() -> dict[str, Any]:
        """The same, with a new count in any case."""
        return system.disk.look(again=True)

    return router


def _device(worker: dict[str, Any]) -> dict[str, Any]:
    """One worker and the device it works on."""
    device: dict[str, Any] = worker["device"]
    kept = ("name", "kind", "torch_name", "memory_bytes", "dtypes", "refused", "dtype", "vae_dtype", "policy", "notes")
    return {
        **{name: device.get(name) for name in kept},
        "state": worker["state"],
        "model": worker["model"],
        "message": worker["message"],
        "pid": worker["pid"],
        "memory": worker["memory"],
    }


def _machine() -> dict[str, Any]:
    memory = psutil.virtual_memory()
    return {"cores": os.cpu_count(), "total": memory.total, "used": memory.total - memory.available, "percent": psutil.cpu_percent(None)}
