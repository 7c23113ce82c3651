"""What was written for which job, so that a picture is there once even when its process was killed between writing and telling.

A line is added before a picture gets its name and another one after it, in a small file for each job. A later process that makes the same
picture of the same job again is given the file that is there. Knows files and lines; nothing about formats or names of pictures.
Start reading at `Receipts.once`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules.folders import is_temporary

KEPT_S = 7 * 86400
JOBS_HELD = 16
CLOCK_S = 2.0  # as far apart as the clocks of a file system and of the machine may be


class Receipts:
    """folder: of its own. Safe to use from several threads and processes; each process that writes has one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._life = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._earlier: dict[str, list[dict[str, Any]]] = {}  # job -> what processes before this one wrote, as far as it is not taken

    def once(self, job: str, what: str, data: bytes, root: Path, write: Callable[[], Path]) -> Path:
        """The file that an earlier process wrote for this, if it is still there; else `write` is called, which gives the path.

        what: which picture of the job, and its text. data: the bytes of the file; root: somewhere below it the file will lie.
        """
        name = hashlib.sha256(what.encode("utf-8", "replace")).hexdigest()
        with self._lock:
            for known in [row for row in self._of(job) if row["what"] == name]:
                self._earlier[job].remove(known)
                path = Path(known["path"]) if "path" in known else _unnamed(known)
                if path is not None and path.is_file():
                    return path
        receipt = {"life": self._life, "number": secrets.token_hex(6), "what": name, "root": str(root), "time_s": time.time()}
        self._note(job, {**receipt, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})
        path = write()
        self._note(job, {"life": self._life, "number": receipt["number"], "path": str(path)})
        return path

    def sweep(self, now_s: float) -> int:
        """Remove the files of jobs of which nothing was written for a week. Returns how many."""
        gone = 0
        for path in self._folder.glob("*.jsonl"):
            try:
                if path.stat().st_mtime < now_s - KEPT_S:
                    path.unlink()
                    gone += 1
            except OSError:  # another process was faster
                continue
        return gone

    def _of(self, job: str) -> list[dict[str, Any]]:
        """What earlier processes wrote for a job, read once."""
        if job not in self._earlier:
            while len(self._earlier) >= JOBS_HELD:
                self._earlier.pop(next(iter(self._earlier)))
            self._earlier[job] = self._read(job)
        return self._earlier[job]

    def _read(self, job: str) -> list[dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        try:
            lines = self._path(job).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        for line in lines:
            try:
                row: dict[str, Any] = json.loads(line)
            except ValueError:  # cut off
                continue
            if row["life"] != self._life:
                rows.setdefault(row["number"], {}).update(row)
        return [row for row in rows.values() if "what" in row]

    def _note(self, job: str, row: dict[str, Any]) -> None:
        """Add a line. A convenience: no picture is lost for want of it."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._lock, self._path(job).open("ab") as file:
                file.write(json.dumps(row).encode() + b"\n")

    def _path(self, job: str) -> Path:
        return self._folder / f"{hashlib.sha256(job.encode('utf-8', 'replace')).hexdigest()[:32]}.jsonl"


def _unnamed(row: dict[str, Any]) -> Path | None:
    """The file whose name nobody wrote down any more: these very bytes, not older than the line. One that had not got its name does not
    count: it is removed some day.
    """
    for path in Path(row["root"]).rglob("*"):
        if is_temporary(path):
            continue
        try:
            status = path.stat()
            fits = status.st_size == row["bytes"] and status.st_mtime >= row["time_s"] - CLOCK_S and path.is_file()
            if fits and hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]:
                return path
        except OSError:
            continue
    return None
