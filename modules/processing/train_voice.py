"""What a process of a training says to whoever follows it, and hears of him, through files in a folder. No torch.

The other side is `modules.processing.train_processes`, which names the files. Start reading at `Voice`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

JOB, EVENTS, STOP, ALIVE, LOG = "job.json", "events.jsonl", "stop", "alive", "processes.log"
LEAST_REPORT_S = 0.2  # between two words about progress; whoever follows does not look more often
ORPHANED_S = 60.0
LOOK_S = 0.2


class Voice:
    """A control that talks through files. speaks: this is the first process."""

    def __init__(self, place: Path, *, speaks: bool) -> None:
        self._place = place
        self._speaks = speaks
        self._looked = (0.0, False)
        self._told = 0.0

    @property
    def interrupted(self) -> bool:
        """Somebody says stop, or whoever follows is gone. Looked up a few times a second."""
        then, stopped = self._looked
        if stopped or time.monotonic() - then < LOOK_S:
            return stopped
        self._looked = (time.monotonic(), self.stopped())
        return self._looked[1]

    def stopped(self) -> bool:
        """There is a file that says so, or nobody touches the other one any more."""
        alive = self._place / ALIVE
        orphaned = not alive.exists() or time.time() - alive.stat().st_mtime > ORPHANED_S
        return (self._place / STOP).exists() or orphaned

    def status(self, message: str, **facts: Any) -> None:
        self.say("status", message)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.say("event", {"kind": kind, "data": data})

    def progress(self, **where: Any) -> None:
        now = time.monotonic()
        if now - self._told >= LEAST_REPORT_S or where["step"] == where["steps"]:
            self._told = now
            self.say("progress", where)

    def say(self, what: str, data: Any) -> None:
        """A line for whoever follows."""
        if self._speaks:
            with (self._place / EVENTS).open("ab") as file:
                file.write(json.dumps({"say": what, "data": data}).encode() + b"\n")


def unexpected(error: Exception) -> dict[str, Any]:
    """What is told of an error that nobody thought of."""
    return {"kind": "unexpected", "message": f"{type(error).__name__}: {error}"}
