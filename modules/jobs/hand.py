"""What one worker has in hand: the jobs that it runs, how far each is, and those of which only the saving is left.

Knows progress and times; knows nothing about processes or the store. Start reading at `Hand.free`.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from modules.jobs.lending import Piece
from modules.jobs.records import Job, Live

SAVING_AT_ONCE = 16  # jobs that may still be saving while the next one runs; the worker itself bounds the pictures


@dataclass
class Run:
    """A job in hand: when it began, its latest progress, how long steps take. saving: nothing is left to be computed for it."""

    job: Job
    live: Live
    began: float = field(default_factory=time.monotonic)
    last_step: float = field(default_factory=time.monotonic)
    step_s: float = 0.0
    eta_from: tuple[float, float] | None = None

    @property
    def saving(self) -> bool:
        return self.live.saving

    def set(self, **changes: Any) -> None:
        """Fields of `Live` that are different now."""
        self.live = replace(self.live, **changes)

    def take_progress(self, where: dict[str, Any]) -> None:
        """where: the fields of `Live` as the worker tells them."""
        now = time.monotonic()
        if where["step"] > self.live.step:
            self.step_s = max(self.step_s * 0.8, now - self.last_step)
        self.last_step = now
        if self.eta_from is None:
            self.eta_from = (now, where["fraction"])
        then, had = self.eta_from
        gained = where["fraction"] - had
        self.set(**where, eta_s=(now - then) * (1 - where["fraction"]) / gained if gained > 0 else None)

    def take_preview(self, message: dict[str, Any]) -> None:
        self.set(preview=base64.b64decode(message["jpeg"]), preview_number=message["number"])

    def stalled(self, patience_s: float, steps: int) -> bool:
        """It stopped in the middle of its steps: no word for so long, and for so many times the length of a step."""
        sampling = not self.saving and 0 < self.live.step < self.live.steps
        return sampling and time.monotonic() - self.last_step > max(patience_s, steps * self.step_s)


class Hand:
    """Changed by the slot's thread alone; other threads may look."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def __iter__(self) -> Iterator[Run]:
        return iter([*self._runs.values()])

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, job: Job, text: str) -> None:
        self._runs[job.id] = Run(job=job, live=Live(job=job.id, text=text))

    def get(self, job_id: str | None) -> Run | None:
        return None if job_id is None else self._runs.get(job_id)

    def pop(self, job_id: str) -> None:
        self._runs.pop(job_id, None)

    def clear(self) -> list[Run]:
        """Nothing is in hand any more; what was."""
        runs, self._runs = self._runs, {}
        return [*runs.values()]

    def current(self) -> Run | None:
        """The one that people mean who name none: the first that is computed, else the first that is saved; no piece of another one."""
        own = [run for run in self if not isinstance(run.job, Piece)]
        return next((run for run in own if not run.saving), next(iter(own), None))

    def doing(self) -> dict[str, Any] | None:
        """What keeps the device busy: {"job", "helps": it is a piece of a job that another worker leads, "fraction"}; None for nothing."""
        run = next(iter(self.computed()), None)
        if run is None:
            return None
        if isinstance(run.job, Piece):
            return {"job": run.job.of, "helps": True, "fraction": run.live.step / max(1, run.live.steps)}
        return {"job": run.job.id, "helps": False, "fraction": run.live.fraction}

    def computed(self) -> list[Run]:
        """Those that keep the device busy."""
        return [run for run in self if not run.saving]

    def free(self) -> bool:
        """Another job may begin. One that was cut off before is alone in hand, so that it takes no other job with it once more."""
        return not self.computed() and len(self._runs) <= SAVING_AT_ONCE and all(run.job.attempts < 2 for run in self)
