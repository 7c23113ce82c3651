"""A runner with knobs, for the job tests: it sleeps, fails, hangs, runs out of memory or dies where it is told to.

It runs in the real worker process, behind the real store and supervisor. Knobs stand in the job's `resolved` data:
steps, step_s, die_at (step; exits like a crash), die_once (only on the first attempt), fail_at, bug_at, hang_at, pictures.
"""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from typing import Any

from modules.faults import BlankPicture
from modules.folders import Folders, write_atomic

HANG_S = 3600


class FakeRunner:
    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def device(self) -> dict[str, Any]:
        return {"name": "fake", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {"ram": {"free": 1, "used": 1, "total": 2}, "cuda": {"error": "none"}}

    def warm(self, status: Any) -> None:
        status("Ready", model="fake [0000000000]")

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        knobs = job["resolved"]
        steps, pictures = knobs.get("steps", 3), knobs.get("pictures", 1)
        made = {p["index"]: p for p in job["made"]}
        shown: list[dict[str, Any]] = []
        begun: list[float] = []  # of every step, on the clock that all processes of a machine share
        for index in range(pictures):
            if control.interrupted:
                break
            if index in made:
                shown.append(made[index])
                continue
            for step in range(1, steps + 1):
                begun.append(time.monotonic())
                control.progress(fraction=(index + step / steps) / pictures, step=step, steps=steps, batch_no=index, batch_count=pictures)
                self._misbehave(knobs, step, job["attempts"])
                if control.watched:
                    control.preview(b"\xff\xd8 a preview")
                if control.interrupted or control.take_skip():
                    break
                time.sleep(knobs.get("step_s", 0.0))
            path = self._folders.job_files / job["id"] / f"{index}.txt"
            write_atomic(path, f"{job['id']} {index}".encode())
            picture = {"index": index, "path": str(path), "attempt": job["attempts"]}
            control.event("picture", picture)
            shown.append(picture)
        return ("canceled" if control.interrupted else "done"), {
            "pictures": shown, "order": time.time_ns(), "begun": begun, "frozen": gc.get_freeze_count(),
        }  # fmt: skip

    def _misbehave(self, knobs: dict[str, Any], step: int, attempt: int) -> None:
        if knobs.get("die_at") == step and not (knobs.get("die_once") and attempt > 1):
            os._exit(9)
        if knobs.get("fail_at") == step:
            raise BlankPicture("There is no picture. Try another sampler.")
        if knobs.get("bug_at") == step:
            raise ZeroDivisionError("a bug in the program")
        if knobs.get("hang_at") == step:
            time.sleep(HANG_S)


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> FakeRunner:
    return FakeRunner(Folders(Path(folders.program), folders.data, folders.models))
