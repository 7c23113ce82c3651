"""The file behind the job store: SQLite in WAL mode, its tables, and how files of earlier formats become the present one.

Knows tables, indices and transactions; knows nothing about what states mean. Start reading at `Database.change`.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from modules.faults import SetupFault

SCHEMA_VERSION = 4
GAP = 1 << 16  # between the places of two jobs that arrive one after the other; what is put between them halves it

_JOBS = """
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, key TEXT UNIQUE, kind TEXT NOT NULL, state TEXT NOT NULL,
  owner TEXT NOT NULL, priority INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, request TEXT NOT NULL, resolved TEXT NOT NULL,
  created_s REAL NOT NULL, started_s REAL, finished_s REAL, result TEXT, fault TEXT, cancel TEXT,
  lane TEXT NOT NULL DEFAULT 'device', held INTEGER NOT NULL DEFAULT 0, deadline_s REAL, place INTEGER NOT NULL DEFAULT 0,
  group_id TEXT);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_EVENTS = """
CREATE TABLE events (
  serial INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, number INTEGER NOT NULL, time_s REAL NOT NULL, type TEXT NOT NULL,
  data TEXT NOT NULL);
CREATE UNIQUE INDEX events_of_job ON events (job, number);
"""
# What waits in run order: of a lane, of a lane and free to begin, of all lanes. Then what is asked for on every poll, and the past.
_INDICES = """
CREATE INDEX jobs_waiting ON jobs (lane, priority DESC, place, number) WHERE state='queued';
CREATE INDEX jobs_ready ON jobs (lane, priority DESC, place, number, deadline_s) WHERE state='queued' AND held=0;
CREATE INDEX jobs_queue ON jobs (priority DESC, place, number, lane, owner, kind) WHERE state='queued';
CREATE INDEX jobs_running ON jobs (number, lane, owner, kind, place) WHERE state='running';
CREATE INDEX jobs_deadline ON jobs (deadline_s) WHERE state='queued' AND deadline_s IS NOT NULL;
CREATE INDEX jobs_past ON jobs (number) WHERE finished_s IS NOT NULL;
CREATE INDEX jobs_past_state ON jobs (state, number) WHERE finished_s IS NOT NULL;
CREATE INDEX jobs_past_owner ON jobs (owner, number) WHERE finished_s IS NOT NULL;
CREATE INDEX jobs_past_kind ON jobs (kind, number) WHERE finished_s IS NOT NULL;
"""
_GROUP_INDEX = "CREATE INDEX jobs_group ON jobs (group_id, number) WHERE group_id IS NOT NULL;"
# Format 1 knew one lane. Format 2 knew neither places, holds and deadlines, nor a numbering of events over all jobs, and img2img bore the
# name of txt2img. Format 3 knew no groups.
_LANES = "ALTER TABLE jobs ADD COLUMN lane TEXT NOT NULL DEFAULT 'device';"
_PLACES = f"""
ALTER TABLE jobs ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN deadline_s REAL;
ALTER TABLE jobs ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET place=number*{GAP};
UPDATE jobs SET kind='img2img' WHERE kind='txt2img' AND json_array_length(request, '$.init_images')>0;
DROP INDEX IF EXISTS jobs_queue;
DROP INDEX IF EXISTS jobs_finished;
ALTER TABLE events RENAME TO events_before;
{_EVENTS}
INSERT INTO events (job, number, time_s, type, data) SELECT job, number, time_s, type, data FROM events_before ORDER BY time_s, job, number;
DROP TABLE events_before;
{_INDICES}
"""
_GROUPS = f"ALTER TABLE jobs ADD COLUMN group_id TEXT; {_GROUP_INDEX}"
_STEPS = {0: (_JOBS, _EVENTS, _INDICES, _GROUP_INDEX), 1: (_LANES, _PLACES, _GROUPS), 2: (_PLACES, _GROUPS), 3: (_GROUPS,)}


class Database:
    """One connection, safe to use from several threads; several processes may have the file open."""

    def __init__(self, path: Path, alone: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """Open or create the file. alone: entered while a file of an earlier format is changed, which is kept beside it as it was.

        Raises SetupFault when it is of a newer version or not a database, and what `alone` raises.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if 0 < version < SCHEMA_VERSION:
                with alone():
                    self._keep(path, version)
                    self._migrate()
            else:
                self._migrate()
        except sqlite3.DatabaseError as error:
            raise SetupFault(f"The job list {path} cannot be read ({error}). Move it away to start with an empty one.") from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _keep(self, path: Path, version: int) -> None:
        """A copy of the file as it is, for the version of the program that wrote it."""
        kept = path.with_name(f"{path.stem}.format-{version}{path.suffix}")
        part = kept.with_name(f".{kept.name}.part")
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as copy:
            self._db.backup(copy)
        os.replace(part, kept)

    def _migrate(self) -> None:
        """All or nothing: a file of an earlier format stays one until every step is done."""
        with self.change() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise SetupFault(
                    f"The job list was written by a newer version (format {version}). Update the program, or move the file away; "
                    f"what this version left lies beside it as jobs.format-{SCHEMA_VERSION}.sqlite, if it was there before."
                )
            for script in _STEPS.get(version, ()):
                for statement in script.split(";"):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextmanager
    def change(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction. Each survives a killed process; durable ones have reached the disk too, and so survive a power cut."""
        with self._lock:
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, sql: str, values: Iterable[Any] = ()) -> list[Any]:
        """What a query finds, read whole."""
        with self._lock:
            return self._db.execute(sql, tuple(values)).fetchall()
