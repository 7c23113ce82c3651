"""Which process runs the queue of a data folder: one at a time, and the others can say which.

Knows the lock; knows nothing about jobs. Start reading at `Holder.take`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from modules.faults import SetupFault
from modules.folders import write_atomic


class Holder:
    """folder: the cache folder of the data folder."""

    def __init__(self, folder: Path) -> None:
        self._lock = filelock.FileLock(folder / "darkroom.lock")
        self._file = folder / "darkroom.holder.json"

    def take(self, *, url: str, required: bool) -> bool:
        """Become the one; False when another process is. required=True raises SetupFault naming it instead. url: told to others."""
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            if required:
                raise SetupFault(f"Another copy already uses this data folder ({self._who()}). Use that one, or give --data-dir.") from None
            return False
        write_atomic(self._file, json.dumps({"pid": os.getpid(), "url": url}).encode())
        return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process runs the queue. Raises SetupFault naming the one that does: it may be an older version."""
        self.take(url="", required=True)
        try:
            yield
        finally:
            self.give_back()

    def give_back(self) -> None:
        """Let another process take over."""
        if self._lock.is_locked:
            self._lock.release()

    def _who(self) -> str:
        try:
            holder = json.loads(self._file.read_text())
            return f"process {holder['pid']}" + (f" at {holder['url']}" if holder.get("url") else "")
        except (OSError, ValueError, KeyError):
            return "holder unknown"
