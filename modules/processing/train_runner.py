"""The runner of the worker for training: a process of its own, so that what it held of a device is surely free when it ends.

Start reading at `TrainRunner.run`.
"""

from __future__ import annotations

import gc
from typing import Any

from modules.faults import Fault
from modules.folders import Folders
from modules.hardware.bench import Bench
from modules.processing.slot import free_unused
from modules.processing.train_run import TrainDesk, run_train
from modules.request.train import TRAIN


class TrainRunner:
    """See `modules.jobs.worker.Runner` for the contract."""

    def __init__(self, desk: TrainDesk) -> None:
        self._desk = desk

    def device(self) -> dict[str, Any]:
        return self._desk.bench.to_data()

    def memory(self) -> dict[str, Any]:
        return self._desk.bench.memory()

    def warm(self, status: Any) -> None:
        """What is trained from stands in the job."""

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        """Train a session. Raises Fault, Cancelled."""
        if job["kind"] != TRAIN:
            raise Fault(f"This version knows no training of the kind {job['kind']!r}. It was asked for by another version; ask again.")
        try:
            return run_train(job, control, self._desk)
        finally:
            gc.collect()
            free_unused()


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> TrainRunner:
    """For the worker process for training. Raises Fault when no device works."""
    return TrainRunner(TrainDesk(folders, Bench.choose(flags, device_index, folders.cache / "hardware.json"), flags))
