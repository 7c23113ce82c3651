"""A job room for tests: it keeps jobs in memory and does with them what the test says.

Stands in for `modules.jobs.Jobs`, with the same methods. Start reading at `FakeJobs`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

from PIL import Image

from modules.faults import UnknownJob
from modules.folders import Folders
from modules.jobs import DEVICE, Event, Job, Live
from modules.jobs.records import new_id
from modules.request import ResolvedRequest, Result
from modules.saver import Saver

IDLE = {"state": "idle", "pid": 1, "device": {}, "model": None, "memory": {}, "message": ""}


class FakeJobs:
    """at_once: what happens to a job as soon as it is submitted; None leaves it queued."""

    def __init__(self, folders: Folders) -> None:
        self.saver = Saver(folders)
        self.begin()

    def begin(self) -> None:
        """As new: no jobs, and each is made as soon as it comes."""
        self.jobs: dict[str, Job] = {}
        self.at_once: Callable[[Job], object] | None = self.make
        self.lives: dict[str, Live] = {}
        self.told: dict[str, list[Event]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.paused = False
        self.status: dict[str, Any] = dict(IDLE)

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
        deadline_s: float | None = None,
        held: bool = False,
    ) -> Job:
        for job in self.jobs.values():
            if key is not None and job.key == key:
                return job
        job = Job(
            id=new_id(),
            number=len(self.jobs) + 1,
            kind=kind,
            state="queued",
            request=request,
            resolved=resolved,
            owner=owner,
            key=key,
            attempts=0,
            priority=priority,
            created_s=time.time(),
            started_s=None,
            finished_s=None,
            result=None,
            fault=None,
            lane=lane,
            deadline_s=deadline_s,
            held=held,
        )
        self.jobs[job.id] = job
        if self.at_once is not None:
            self.at_once(job)
        return job

    def change(self, job: Job, **values: Any) -> Job:
        self.jobs[job.id] = dataclasses.replace(self.jobs[job.id], **values)
        return self.jobs[job.id]

    def run(self, job: Job, **live: Any) -> Job:
        """The job is running, and this is what it does."""
        self.lives[job.id] = Live(job=job.id, **live)
        return self.change(job, state="running", started_s=time.time())

    def make(self, job: Job, *, pictures: int | None = None, state: str = "done", grid: bool = False) -> Job:
        """Make the pictures (all of them, or that many) as small files, and end the job."""
        resolved = ResolvedRequest.from_data(job.resolved)
        count = len(resolved.all_seeds) if pictures is None else pictures
        image = Image.new("RGB", (8, 8), (200, 30, 30))
        made = [self.saver.save(image, resolved=resolved, index=i, job=job.id, saved=resolved.save_images) for i in range(count)]
        if grid:
            made.insert(0, self.saver.save(image, resolved=resolved, index=-1, job=job.id, kind="grid", saved=True))
        result = Result(pictures=tuple(made), warnings=resolved.warnings, interrupted=state == "canceled").to_data()
        self.lives.pop(job.id, None)
        return self.change(job, state=state, started_s=time.time(), finished_s=time.time(), result=result)

    def fail(self, job: Job, fault: dict[str, Any] | None, state: str = "failed") -> Job:
        self.lives.pop(job.id, None)
        return self.change(job, state=state, finished_s=time.time(), fault=fault)

    def tell(self, job: Job, kind: str, data: dict[str, Any]) -> None:
        events = self.told.setdefault(job.id, [])
        events.append(Event(job=job.id, number=len(events) + 1, time_s=time.time(), type=kind, data=data))

    def get(self, id_or_key: str) -> Job:
        for job in self.jobs.values():
            if id_or_key in (job.id, job.key):
                return job
        raise UnknownJob(f"There is no job {id_or_key[:80]!r}.")

    def list(
        self, *, states: Iterable[str] | None = None, owner: str | None = None, lane: str | None = None, limit: int = 100
    ) -> list[Job]:
        wanted = set(states) if states is not None else None
        rows = [
            j for j in self.jobs.values() if (wanted is None or j.state in wanted) and owner in (None, j.owner) and lane in (None, j.lane)
        ]
        return sorted(rows, key=lambda j: (j.state != "running", j.state != "queued", j.number))[:limit]

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        return self.told.get(job_id, [])[after:]

    async def finished(self, id_or_key: str) -> Job:
        while not (job := self.get(id_or_key)).finished:  # noqa: ASYNC110 - tests change jobs from other threads
            await asyncio.sleep(0.005)
        return job

    def interrupt(self, id_or_key: str | None = None) -> bool:
        self.asked.append(("interrupt", id_or_key))
        return True

    def cancel(self, id_or_key: str) -> bool:
        self.asked.append(("cancel", id_or_key))
        return True

    def skip(self, id_or_key: str | None = None) -> bool:
        self.asked.append(("skip", id_or_key))
        return True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def live(self, id_or_key: str | None = None) -> Live | None:
        if id_or_key is None:
            return next(iter(self.lives.values()), None)
        return self.lives.get(self.get(id_or_key).id)

    def live_of(self, job_id: str) -> Live | None:
        return self.live(job_id)

    def position(self, id_or_key: str) -> tuple[int, int] | None:
        waiting = [job.id for job in self.list(states=("queued",))]
        job = self.get(id_or_key)
        return (waiting.index(job.id) + 1, len(waiting)) if job.id in waiting else None

    def queued(self, lane: str = DEVICE, owner: str | None = None) -> int:
        return len(self.list(states=("queued",), owner=owner, lane=lane))

    def worker(self) -> dict[str, Any]:
        return dict(self.status)

    def stop(self) -> None:
        self.asked.append(("stop", None))
