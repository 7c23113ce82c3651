"""What work on files tells while it runs, and what it leaves: progress, warnings, the files it made. Start reading at `Report`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from modules.faults import Cancelled

MEGABYTE = 1_000_000
TELL_EVERY_S = 0.2


class Report:
    """One for each job. control: the worker's `RunControl`, or anything with its `progress`, `status`, `event` and `interrupted`."""

    def __init__(self, control: Any) -> None:
        self._control = control
        self._text = ""
        self._told = 0.0
        self._began = time.perf_counter()
        self.files: list[Path] = []
        self.warnings: list[str] = []
        self.notes: dict[str, Any] = {}

    def stopped(self) -> bool:
        """Has somebody asked to stop?"""
        return bool(self._control.interrupted)

    def check(self) -> None:
        """Raises Cancelled when somebody has asked to stop."""
        if self.stopped():
            raise Cancelled

    def say(self, text: str) -> None:
        """What is being done now, in words, with no figure yet."""
        self.check()
        self._text = text
        self._control.status(text)
        self._control.progress(fraction=0.0, step=0, steps=0, batch_no=0, batch_count=1, text=text)

    def part(self, done: int, total: int, text: str | None = None) -> None:
        """done of total pieces of the whole work; ends the work when somebody has asked to stop. Raises Cancelled."""
        self.check()
        self._text = self._text if text is None else text
        now = time.monotonic()
        if done < total and text is None and now - self._told < TELL_EVERY_S:
            return
        self._told = now
        fraction = done / total if total else 0.0
        self._control.progress(fraction=fraction, step=done, steps=total, batch_no=0, batch_count=1, text=self._text)

    def bytes(self, got: int, total: int | None) -> None:
        """Bytes that are here, of how many."""
        now = time.monotonic()
        if got != total and now - self._told < TELL_EVERY_S:
            return
        self._told = now
        of = f" of {total / MEGABYTE:,.0f}" if total else ""
        step, steps = (got // MEGABYTE, max(1, total // MEGABYTE)) if total else (0, 0)
        self._control.progress(
            fraction=got / total if total else 0.0, step=step, steps=steps, batch_no=0, batch_count=1, text=f"{got / MEGABYTE:,.0f}{of} MB"
        )

    def warn(self, text: str) -> None:
        """Say it now, and beside the result."""
        if text not in self.warnings:
            self.warnings.append(text)
            self._control.event("warning", {"text": text})

    def made(self, path: Path) -> None:
        """A finished file or folder."""
        self.files.append(path)
        self._control.event("file", {"path": str(path)})

    def to_data(self) -> dict[str, Any]:
        """The result of the job, JSON-ready."""
        return {
            "files": [str(p) for p in self.files],
            "warnings": self.warnings,
            "notes": self.notes,
            "seconds": {"total": time.perf_counter() - self._began},
        }
