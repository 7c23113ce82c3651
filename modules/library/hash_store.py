"""Digests that were computed once, kept in SQLite by path, size and time of change. Shared by processes."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from modules.weights.hashes import folder_sha256, model_files


class HashStore:
    """A cache only: it is made anew when it cannot be read."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._db = self._open(path)
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._db = self._open(path)

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, sha256 TEXT NOT NULL)")
        return db

    def known(self, folder: Path) -> str | None:
        """The digest of a model folder if it was computed since the folder last changed."""
        with self._lock:
            row = self._db.execute("SELECT sha256 FROM hashes WHERE path=? AND stamp=?", (str(folder), _stamp(folder))).fetchone()
        return row[0] if row else None

    def digest(self, folder: Path) -> str:
        """The digest of a model folder, computed if need be. Raises OSError when a file vanishes meanwhile."""
        found = self.known(folder)
        if found is None:
            stamp, found = _stamp(folder), folder_sha256(folder)
            with self._lock:
                self._db.execute("REPLACE INTO hashes VALUES (?,?,?)", (str(folder), stamp, found))
        return found

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _stamp(folder: Path) -> str:
    stats = [(p.name, p.stat()) for p in model_files(folder)]
    return ";".join(f"{name}:{s.st_size}:{s.st_mtime_ns}" for name, s in stats)
