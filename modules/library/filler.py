"""The thread that fills the index: walks the folders, describes what is new, then computes digests of checkpoints.

One process at a time fills the index of a data folder (a lock beside the file says which); others read it and describe what
they need themselves. Start reading at `Filler.work`.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import filelock

from modules.folders import Folders
from modules.library.index import Index
from modules.library.reader import describe_open
from modules.library.rows import CHECKPOINTS, ModelRow
from modules.library.scan import places, walk
from modules.weights.hashes import content_sha256, file_sha256, folder_sha256

log = logging.getLogger(__name__)
# Of LoRAs there may be terabytes: when one is used.
HASHED = (*CHECKPOINTS, "embedding", "vae", "taesd", "text_encoder", "controlnet", "ip_adapter")
MANY = 300  # open rows from which on a process of its own reads them


class Filler:
    """Owns the thread. `walked` is set once everything on the disk has a row, described or not."""

    def __init__(self, folders: Folders, index: Index) -> None:
        self._folders = folders
        self._index = index
        self._wish = threading.Event()
        self._stop = threading.Event()
        self._lock = filelock.FileLock(folders.library_file.with_suffix(".lock"), thread_local=False)
        self._thread = threading.Thread(target=self._run, daemon=True, name="library")
        self.walked = threading.Event()

    def start(self) -> None:
        """Walk everything and go on from there."""
        self._wish.set()
        self._thread.start()

    def wake(self) -> None:
        """There may be new rows to describe or to hash."""
        self._wish.set()

    def close(self, timeout_s: float = 5) -> None:
        """End the thread; a digest that is being computed may outlast the wait and is then dropped."""
        self._stop.set()
        self._wish.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def walk(self, place: str) -> None:
        """Bring the rows of a place in line with the disk."""
        self._index.sync(place, walk(self._folders, place))

    def describe_open(self, kinds: tuple[str, ...] = (), within_s: float = math.inf) -> None:
        """Describe what is not described yet, of some kinds or all, in this thread. within_s: go home after that long."""
        describe_open(self._index, kinds, stopped=self._stop.is_set, within_s=within_s)

    def _run(self) -> None:
        try:
            for place in places():
                if self._stop.is_set():
                    return
                self.walk(place)
            self.walked.set()
            while not self._stop.is_set():
                self._wish.wait()
                self._wish.clear()
                self._fill()
        except sqlite3.ProgrammingError:  # the index was closed under us
            if not self._stop.is_set():
                raise
        finally:
            self.walked.set()
            self._lock.release()

    def _fill(self) -> None:
        if not self._lock.is_locked:
            try:
                self._lock.acquire(timeout=0)
            except filelock.Timeout:
                return
        self.describe_open(CHECKPOINTS)
        if self._index.open_count() > MANY:
            self._read_apart()
        self.describe_open()
        for row in self._index.rows(HASHED):
            if self._stop.is_set():
                return
            if row.sha256 is None:
                try:
                    digest(self._index, row)
                except OSError:  # taken away meanwhile; the next scan will not list it
                    continue

    def _read_apart(self) -> None:
        """Have a process of its own read; what it leaves, should it end early, is read here."""
        command = [sys.executable, "-m", "modules.library.reader", str(self._folders.library_file)]
        try:
            reader = subprocess.Popen(command, cwd=self._folders.program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        except OSError:
            log.exception("starting the reader")
            return
        while reader.poll() is None and not self._stop.wait(0.2):
            pass
        if reader.poll() is None:
            reader.terminate()
        if reader.wait() and not self._stop.is_set():
            log.error("The process that reads the headers of models ended with %s; the server reads the rest itself.", reader.returncode)


def digest(index: Index, row: ModelRow) -> str:
    """The SHA-256 of a row's file or folder, computed and kept. Raises OSError when it cannot be read."""
    found = index.found(row.id)
    path = Path(row.path)
    sha256 = folder_sha256(path) if row.format == "folder" else file_sha256(path)
    if found is not None:
        index.put_digest("hashes", row.path, found.stamp, sha256)
    return sha256


def content_digest(index: Index, row: ModelRow) -> str:
    """The digest that A1111 calls a LoRA by, where its metadata does not give it: computed and kept. Raises OSError."""
    found = index.found(row.id)
    sha256 = content_sha256(Path(row.path))
    if found is not None:
        index.put_digest("contents", row.path, found.stamp, sha256)
    return sha256
