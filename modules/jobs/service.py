"""`Jobs`: the one object through which jobs are submitted, read, cancelled and waited for. One a program.

Only one process at a time runs the queue of a data folder; others may submit to it and wait. Start reading at `Jobs.submit`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import filelock

from modules.faults import SetupFault
from modules.folders import Folders, write_atomic
from modules.jobs.records import DEVICE, FILES, LANES, Event, Job, Live
from modules.jobs.store import JobStore
from modules.jobs.supervisor import Slot, WorkerPlan

RUNNER = "modules.processing.runner:build"
FILES_RUNNER = "modules.upkeep.runner:build"
FILES_IDLE_S = 20.0
POLL_S = 0.5
_OFF: dict[str, Any] = {"state": "off", "pid": None, "device": {}, "model": None, "memory": {}, "message": ""}


class Jobs:
    """The queue of a data folder. `start` begins to run it here, unless another process already does.

    Each device has a worker that stays; work on model files has one of its own, which lives only while there is some.
    What is asked without naming a job concerns the pictures: the lane of the devices.
    """

    def __init__(
        self,
        folders: Folders,
        flags: dict[str, Any],
        *,
        runner: str = RUNNER,
        files_runner: str = FILES_RUNNER,
        files_idle_s: float = FILES_IDLE_S,
    ) -> None:
        self._store = JobStore(folders.jobs_file)
        self._lock = filelock.FileLock(folders.cache / "darkroom.lock")
        self._holder_file = folders.cache / "darkroom.holder.json"
        self._plan = WorkerPlan(
            runner=runner, folders=folders.to_data(), flags=flags, program=folders.program, log=folders.logs / "worker.log"
        )
        self._files_plan = dataclasses.replace(
            self._plan,
            runner=files_runner,
            log=folders.logs / "files.log",
            lane=FILES,
            idle_s=files_idle_s,
            hint="close other programs to free memory",
        )
        first = flags.get("device_id")
        self._first_device = int(first) if first is not None else 0
        self._all_devices = first is None
        self._slots: list[Slot] = []
        self._files: Slot | None = None
        self._ends = threading.Condition()
        self._sleepers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def owns_queue(self) -> bool:
        """This process runs the jobs."""
        return bool(self._all_slots())

    def start(self, *, url: str = "", required: bool = False, lanes: Iterable[str] = LANES) -> bool:
        """Begin to run the jobs of these lanes; False when another process runs this queue. required=True raises SetupFault naming
        it instead.
        """
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            if required:
                raise SetupFault(
                    f"Another copy already uses this data folder ({_holder(self._holder_file)}). Use that one, or give --data-dir."
                ) from None
            return False
        write_atomic(self._holder_file, json.dumps({"pid": os.getpid(), "url": url}).encode())
        for job in self._store.list(states=("running",), limit=10_000):  # cut off when the last owner died
            self._store.requeue(job.id, fault={"kind": "worker_died", "message": "The program ended while it ran this job."})
        self._store.prune()
        if FILES in lanes:
            self._files = Slot(self._store, self._files_plan, 0, self._ended)
            self._files.start()
        if DEVICE in lanes:
            self._add_slot(self._first_device)
        return True

    def stop(self) -> None:
        """End the workers; queued and running jobs stay for the next start."""
        for slot in self._all_slots():
            slot.stop()
        self._slots.clear()
        self._files = None
        if self._lock.is_locked:
            self._lock.release()
        self._store.close()

    def submit(
        self,
        kind: str,
        request: dict[str, Any],
        resolved: dict[str, Any],
        *,
        owner: str = "local",
        key: str | None = None,
        priority: int = 0,
        lane: str = DEVICE,
    ) -> Job:
        """Queue a job durably. The same key gives the same job again, also after a restart. lane: one of `LANES`.

        Raises ValueError for a lane that nobody runs.
        """
        if lane not in LANES:
            raise ValueError(f"there is no lane {lane!r}")
        job, new = self._store.submit(kind, request, resolved, owner=owner, key=key, priority=priority, lane=lane)
        if new:
            for slot in self._all_slots():
                slot.nudge()
        return job

    def get(self, id_or_key: str) -> Job:
        """Raises UnknownJob."""
        return self._store.get(id_or_key)

    def list(
        self, *, states: Iterable[str] | None = None, owner: str | None = None, lane: str | None = None, limit: int = 100
    ) -> list[Job]:
        """Running and queued jobs in run order, then finished ones, newest first; of one lane ("device", "files") or of all."""
        return self._store.list(states=states, owner=owner, lane=lane, limit=limit)

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        return self._store.events(job_id, after)

    def wait(self, id_or_key: str, timeout_s: float | None = None) -> Job:
        """Block until the job has finished, or the time is up; returns it as it is then. Raises UnknownJob."""
        left = timeout_s
        while not (job := self.get(id_or_key)).finished and (left is None or left > 0):
            pause = POLL_S if left is None else min(POLL_S, left)
            with self._ends:
                self._ends.wait(pause)
            left = None if left is None else left - pause
        return job

    async def finished(self, id_or_key: str) -> Job:
        """The job, once it has finished; for async callers. Raises UnknownJob."""
        sleeper = (asyncio.get_running_loop(), asyncio.Event())
        self._sleepers.add(sleeper)
        try:
            while not (job := await asyncio.to_thread(self.get, id_or_key)).finished:
                try:
                    await asyncio.wait_for(sleeper[1].wait(), 1.0 if self.owns_queue else POLL_S)
                except TimeoutError:
                    continue
                sleeper[1].clear()
            return job
        finally:
            self._sleepers.discard(sleeper)

    def interrupt(self, id_or_key: str | None = None) -> bool:
        """Stop a job: a running one at its next step, keeping its pictures; a queued one at once. None: the running pictures."""
        job = self._find(id_or_key)
        if job is None:
            return False
        if self._store.cancel_queued(job.id):
            self._notify(job.id)
            return True
        return self._ask(job.id, "interrupt")

    cancel = interrupt

    def skip(self, id_or_key: str | None = None) -> bool:
        """End the current batch of a running job; the next batch goes on."""
        job = self._find(id_or_key)
        return job is not None and self._ask(job.id, "skip")

    def _ask(self, job_id: str, what: str) -> bool:
        if not self._store.ask_running(job_id, what):
            return False
        for slot in self._all_slots():
            if slot.running() == job_id:
                slot.nudge()
        return True

    def _find(self, id_or_key: str | None) -> Job | None:
        if id_or_key is not None:
            return self.get(id_or_key)
        running = self._store.list(states=("running",), lane=DEVICE, limit=1)
        return running[0] if running else None

    @property
    def paused(self) -> bool:
        return self._store.fact("paused") == "1"

    def pause(self) -> None:
        """No further job begins; the running one goes on. Holds over a restart."""
        self._store.set_fact("paused", "1")

    def resume(self) -> None:
        self._store.set_fact("paused", "0")
        for slot in self._all_slots():
            slot.nudge()

    def live(self, id_or_key: str | None = None) -> Live | None:
        """What the running pictures (or that job, if it runs) are doing. Tells the worker that somebody is looking."""
        wanted = self.get(id_or_key).id if id_or_key is not None else None
        for slot in self._slots if wanted is None else self._all_slots():
            running = slot.running()
            if running is not None and wanted in (None, running):
                return slot.live()
        return None

    def position(self, id_or_key: str) -> tuple[int, int] | None:
        """(place, length) of a queued job in the queue of its lane, counted from 1; None when it does not wait."""
        job = self.get(id_or_key)
        ids = self._store.queue_ids(job.lane)
        return (ids.index(job.id) + 1, len(ids)) if job.id in ids else None

    def queued(self) -> int:
        """How many jobs for pictures wait."""
        return self._store.count("queued")

    def worker(self) -> dict[str, Any]:
        """State of the first worker: state, pid, device, model, memory, message."""
        if not self._slots:
            return {**_OFF}
        return dict(self._slots[0].status)

    def workers(self) -> list[dict[str, Any]]:
        return [dict(slot.status) for slot in self._slots]

    def files_worker(self) -> dict[str, Any]:
        """State of the worker for model files, in the form of `worker`; "resting" while there is no work for it."""
        return dict(self._files.status) if self._files else {**_OFF}

    def _all_slots(self) -> list[Slot]:
        return [*self._slots, self._files] if self._files else [*self._slots]

    def _add_slot(self, index: int) -> None:
        slot = Slot(self._store, self._plan, index, self._notify)
        self._slots.append(slot)
        slot.start()

    def _notify(self, job_id: str) -> None:
        if self._all_devices and len(self._slots) == 1 and (count := self._slots[0].status["device"].get("count", 1)) > 1:
            for index in range(1, count):
                self._add_slot(index)
        self._ended(job_id)

    def _ended(self, job_id: str) -> None:
        """Wake whoever waits for a job."""
        if not job_id:
            return
        with self._ends:
            self._ends.notify_all()
        for loop, event in list(self._sleepers):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']}" + (f" at {holder['url']}" if holder.get("url") else "")
    except (OSError, ValueError, KeyError):
        return "holder unknown"
