"""A runner whose jobs leave the device before they end. Knobs in the job's `resolved` data, all names of files in a folder "marks":

makes: made when the job leaves the device; saves_after: its saving lasts until that file is there; waits_for: so long it keeps the device;
dies_once_after: at the first try the process ends when that file is there. The result says how many jobs were saving when it began.
"next is NAME" is made when a job with this name is told to be the next one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modules.faults import BlankPicture
from modules.folders import Folders

PATIENCE_S = 30.0
End = Callable[[], tuple[str, dict[str, Any]]]


class Saving:
    def __init__(self, marks: Path) -> None:
        self._marks = marks
        self._saving = 0

    def device(self) -> dict[str, Any]:
        return {"name": "saving", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {"ram": {"free": 1, "used": 1, "total": 2}, "cuda": {"error": "none"}}

    def warm(self, status: Any) -> None:
        status("Ready", model=None)

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        return self.begin(job, control)()

    def begin(self, job: dict[str, Any], control: Any) -> End:
        knobs, beside = job["resolved"], self._saving
        control.progress(fraction=0.5, step=1, steps=1, batch_no=0, batch_count=1)
        self._wait(knobs.get("waits_for"))
        if (mark := knobs.get("dies_once_after")) and job["attempts"] == 1:
            self._wait(mark)
            os._exit(9)
        if "makes" in knobs:
            (self._marks / knobs["makes"]).touch()
        if knobs.get("bug"):
            raise ZeroDivisionError("a bug in the program")
        self._saving += 1

        def end() -> tuple[str, dict[str, Any]]:
            self._wait(knobs.get("saves_after"))
            control.event("picture", {"index": 0})
            self._saving -= 1
            return "done", {"pictures": [], "beside": beside, "together": 1, "attempt": job["attempts"]}

        return end

    def begin_joined(self, jobs: list[dict[str, Any]], controls: list[Any]) -> Iterator[tuple[str, End]]:
        """waits_for, dies_once_after: of the first job. fails: that job's end raises; ends_stopped: waits for that."""
        knobs = jobs[0]["resolved"]
        for control in controls:
            control.progress(fraction=0.5, step=1, steps=1, batch_no=0, batch_count=1)
        self._wait(knobs.get("waits_for"))
        if mark := knobs.get("dies_once_after"):
            self._wait(mark)
            os._exit(9)
        for job, control in zip(jobs, controls, strict=True):

            def end(job: dict[str, Any] = job, control: Any = control) -> tuple[str, dict[str, Any]]:
                until = time.monotonic() + PATIENCE_S
                while job["resolved"].get("ends_stopped") and not control.interrupted and time.monotonic() < until:
                    time.sleep(0.01)
                if job["resolved"].get("fails"):
                    raise BlankPicture("There is no picture. Try another sampler.")
                return ("canceled" if control.interrupted else "done"), {"pictures": [], "together": len(jobs), "attempt": job["attempts"]}

            yield job["id"], end

    def look_ahead(self, job: dict[str, Any] | None) -> None:
        (self._marks / f"next is {job['resolved'].get('name') if job else 'nothing'}").touch()

    def _wait(self, mark: str | None) -> None:
        end = time.monotonic() + PATIENCE_S
        while mark is not None and not (self._marks / mark).exists():
            if time.monotonic() > end:
                raise TimeoutError(f"{mark} did not come")
            time.sleep(0.01)


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> Saving:
    marks = folders.data / "marks"
    marks.mkdir(parents=True, exist_ok=True)
    return Saving(marks)
