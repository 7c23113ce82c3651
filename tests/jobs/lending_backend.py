"""A runner whose jobs have pieces that other workers may make. Knobs in the job's `resolved` data, names of files in a folder "marks".

pieces: how many; waits_for: the worker that leads begins with its first piece when that file is there; then: with as many further pieces,
lent anew, when that one is there. A piece made elsewhere makes "piece-N" when it begins and "made-N" when it is made. holds: those that
last until they are stopped, which makes "stopped-N"; dies_at: the process that makes this one ends, once. The result names who made
which piece.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from modules.folders import Folders

PATIENCE_S = 30.0


class Lender:
    def __init__(self, marks: Path, device: dict[str, Any]) -> None:
        self._marks = marks
        self._device = device

    def device(self) -> dict[str, Any]:
        return self._device

    def memory(self) -> dict[str, Any]:
        return {"ram": {"free": 1, "used": 1, "total": 2}, "cuda": {"error": "none"}}

    def warm(self, status: Any) -> None:
        status("Ready", model=None)

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        knobs = job["resolved"]
        if "piece" in job:
            return self._piece(int(job["id"].rpartition(".")[2]), knobs | {"place": job["piece"]}, control)
        made = list[Any]()
        for mark in (knobs.get("waits_for"), *([knobs["then"]] if "then" in knobs else ())):
            self._pieces(knobs["pieces"], mark, made, control, lends=job.get("lends", False))
        result = {"made": made, "lends": job.get("lends", False), "attempts": job["attempts"], "pid": os.getpid()}
        return "canceled" if control.interrupted else "done", result

    def _pieces(self, count: int, mark: str | None, made: list[Any], control: Any, *, lends: bool) -> None:
        first = control.lend(count, each={str(n): {"own": n * n} for n in range(count)}) if lends else 0
        while mark and not (self._marks / mark).exists() and not control.interrupted:
            control.progress(fraction=0.0, step=1, steps=9, batch_no=0, batch_count=count)
            time.sleep(0.02)
        for number in range(first, first + count):
            if control.interrupted and not control.pieces.there(number):
                continue
            found = control.pieces.wait(number, PATIENCE_S, lambda: control.interrupted)
            control.begun(number)
            made.append(found or {"piece": number, "pid": os.getpid()})
            control.event("picture", {"index": number})
        control.enough()

    def _piece(self, number: int, knobs: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        (self._marks / f"piece-{number}").touch()
        control.event("warning", {"text": "nobody hears this"})
        if number == knobs.get("dies_at") and not (self._marks / f"died-{number}").exists():
            (self._marks / f"died-{number}").touch()
            os._exit(9)
        control.progress(fraction=0.0, step=1, steps=2, batch_no=number, batch_count=knobs["pieces"])
        end = time.monotonic() + PATIENCE_S
        while number in knobs.get("holds", ()) and time.monotonic() < end:
            if control.interrupted:
                (self._marks / f"stopped-{number}").touch()
                return "canceled", {}
            time.sleep(0.02)
        (self._marks / f"made-{number}").touch()
        return "done", {"piece": number, "pid": os.getpid(), "own": knobs["own"], "place": knobs["place"]}


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> Lender:
    marks = folders.data / "marks"
    marks.mkdir(parents=True, exist_ok=True)
    return Lender(marks, {"name": "lender", "count": 1})
