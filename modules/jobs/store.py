"""The job store: SQLite in WAL mode, one row a job, numbered events. The truth about every job.

Knows rows and their states; knows nothing about processes. Safe to use from several threads and processes.
Start reading at `JobStore.submit`, then `JobStore.claim`.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modules.faults import SetupFault, UnknownJob
from modules.jobs.records import DEVICE, FINISHED, Event, Job, new_id

SCHEMA_VERSION = 2
MAX_ATTEMPTS = 2
KEEP_FINISHED = 5000
_SCHEMA = """
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, key TEXT UNIQUE, kind TEXT NOT NULL, state TEXT NOT NULL,
  owner TEXT NOT NULL, priority INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, request TEXT NOT NULL, resolved TEXT NOT NULL,
  created_s REAL NOT NULL, started_s REAL, finished_s REAL, result TEXT, fault TEXT, cancel TEXT,
  lane TEXT NOT NULL DEFAULT 'device');
CREATE INDEX jobs_queue ON jobs (state, priority DESC, number);
CREATE INDEX jobs_finished ON jobs (finished_s);
CREATE TABLE events (
  job TEXT NOT NULL, number INTEGER NOT NULL, time_s REAL NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_LANE_COLUMN = "ALTER TABLE jobs ADD COLUMN lane TEXT NOT NULL DEFAULT 'device'"  # format 1 knew one lane only
_COLUMNS = (
    "number, id, key, kind, state, owner, priority, attempts, request, resolved, created_s, started_s, finished_s, result, fault, lane"
)
_WAITING = "FROM jobs WHERE state='queued' AND lane=? ORDER BY priority DESC, number"


class JobStore:
    """Every method is one transaction. States only change here."""

    def __init__(self, path: Path) -> None:
        """Open or create the store. Raises SetupFault when the file is of a newer version or not a database."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._migrate()
        except sqlite3.DatabaseError as error:
            raise SetupFault(f"The job list {path} cannot be read ({error}). Move it away to start with an empty one.") from error

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _migrate(self) -> None:
        with self._change() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise SetupFault(
                    f"The job list was written by a newer version (format {version}). Update the program, or move the file away."
                )
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
            elif version == 1:
                db.execute(_LANE_COLUMN)
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextmanager
    def _change(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
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

    def _rows(self, sql: str, values: Iterable[Any] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, tuple(values)).fetchall()

    def submit(
        self,
        kind: str,
        request: dict[str, Any],
        resolved: dict[str, Any],
        *,
        owner: str,
        key: str | None,
        priority: int,
        lane: str = DEVICE,
    ) -> tuple[Job, bool]:
        """Add a queued job; with a key seen before, the job of that key. Returns (job, it is new)."""
        with self._change() as db:
            if key is not None and (row := db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE key=?", (key,)).fetchone()):
                return _job(row), False
            job_id, now = new_id(), time.time()
            values = (job_id, key, kind, "queued", owner, priority, json.dumps(request), json.dumps(resolved), now, lane)
            db.execute(
                "INSERT INTO jobs (id, key, kind, state, owner, priority, request, resolved, created_s, lane) VALUES (?,?,?,?,?,?,?,?,?,?)",
                values,
            )
            _add_event(db, job_id, "state", {"state": "queued"})
            return _job(db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id=?", (job_id,)).fetchone()), True

    def get(self, id_or_key: str) -> Job:
        """Raises UnknownJob."""
        rows = self._rows(f"SELECT {_COLUMNS} FROM jobs WHERE id=? OR key=? LIMIT 1", (id_or_key, id_or_key))
        if not rows:
            raise UnknownJob(f"There is no job {id_or_key[:80]!r}.", id=id_or_key[:80])
        return _job(rows[0])

    def list(
        self, *, states: Iterable[str] | None = None, owner: str | None = None, lane: str | None = None, limit: int = 100
    ) -> list[Job]:
        """Running and queued jobs in run order, then finished ones, newest first; of one lane or of all."""
        wanted = tuple(states) if states is not None else ("running", "queued", *sorted(FINISHED))
        marks = ",".join("?" * len(wanted))
        sql = (
            f"SELECT {_COLUMNS} FROM jobs WHERE state IN ({marks}) AND (? IS NULL OR owner=?) AND (? IS NULL OR lane=?) ORDER BY "
            "CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END, "
            "CASE WHEN state='queued' THEN -priority END, CASE WHEN state IN ('queued','running') THEN number ELSE -number END LIMIT ?"
        )
        return [_job(row) for row in self._rows(sql, (*wanted, owner, owner, lane, lane, limit))]

    def count(self, state: str, lane: str = DEVICE) -> int:
        return int(self._rows("SELECT COUNT(*) FROM jobs WHERE state=? AND lane=?", (state, lane))[0][0])

    def queue_ids(self, lane: str = DEVICE) -> list[str]:
        """Ids of a lane's queued jobs in run order."""
        return [row[0] for row in self._rows(f"SELECT id {_WAITING}", (lane,))]

    def claim(self, lane: str = DEVICE) -> Job | None:
        """The lane's next queued job, now running, with one more attempt on its count; None when there is none."""
        with self._change(durable=False) as db:
            row = db.execute(f"SELECT id {_WAITING} LIMIT 1", (lane,)).fetchone()
            if row is None:
                return None
            db.execute("UPDATE jobs SET state='running', attempts=attempts+1, started_s=?, cancel=NULL WHERE id=?", (time.time(), row[0]))
            _add_event(db, row[0], "state", {"state": "running"})
            return _job(db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id=?", (row[0],)).fetchone())

    def finish(self, job_id: str, state: str, *, result: dict[str, Any] | None = None, fault: dict[str, Any] | None = None) -> Job:
        """A running or queued job ends. A job that has ended already is left as it is."""
        with self._change() as db:
            changed = db.execute(
                "UPDATE jobs SET state=?, finished_s=?, result=?, fault=? WHERE id=? AND state IN ('running','queued')",
                (state, time.time(), _dump(result), _dump(fault), job_id),
            ).rowcount
            if changed:
                _add_event(db, job_id, "done", {"state": state, "fault": fault})
        return self.get(job_id)

    def requeue(self, job_id: str, *, fault: dict[str, Any] | None, counts: bool = True) -> Job:
        """A job whose run was cut off goes back to the queue; after its second attempt it is parked with the fault.

        counts=False (an orderly stop) takes the attempt back.
        """
        with self._change() as db:
            row = db.execute("SELECT attempts, state, cancel FROM jobs WHERE id=?", (job_id,)).fetchone()
            if row is None or row[1] != "running":
                return self.get(job_id)
            if row[2] is not None:
                state = "canceled"
            else:
                state = "parked" if counts and row[0] >= MAX_ATTEMPTS else "queued"
            ended = time.time() if state != "queued" else None
            db.execute(
                "UPDATE jobs SET state=?, attempts=attempts-?, finished_s=?, fault=? WHERE id=?",
                (state, 0 if counts else 1, ended, _dump(fault if state == "parked" else None), job_id),
            )
            _add_event(db, job_id, "state" if state == "queued" else "done", {"state": state, "fault": fault})
        return self.get(job_id)

    def cancel_queued(self, job_id: str) -> bool:
        """Cancel a job that has not begun. False when it was not queued."""
        with self._change() as db:
            changed = db.execute(
                "UPDATE jobs SET state='canceled', finished_s=? WHERE id=? AND state='queued'", (time.time(), job_id)
            ).rowcount
            if changed:
                _add_event(db, job_id, "done", {"state": "canceled", "fault": None})
        return bool(changed)

    def ask_running(self, job_id: str, what: str) -> bool:
        """Leave word for whoever runs the job: "interrupt" or "skip". False when it does not run."""
        with self._change(durable=False) as db:
            return bool(db.execute("UPDATE jobs SET cancel=? WHERE id=? AND state='running'", (what, job_id)).rowcount)

    def asked(self, job_id: str) -> str | None:
        """The word left by `ask_running`, or None."""
        rows = self._rows("SELECT cancel FROM jobs WHERE id=?", (job_id,))
        return rows[0][0] if rows else None

    def clear_asked(self, job_id: str) -> None:
        with self._change(durable=False) as db:
            db.execute("UPDATE jobs SET cancel=NULL WHERE id=?", (job_id,))

    def add_event(self, job_id: str, kind: str, data: dict[str, Any]) -> None:
        with self._change(durable=False) as db:
            _add_event(db, job_id, kind, data)

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        """Events of a job with a number above `after`, in order."""
        rows = self._rows("SELECT number, time_s, type, data FROM events WHERE job=? AND number>? ORDER BY number", (job_id, after))
        return [Event(job=job_id, number=n, time_s=t, type=kind, data=json.loads(data)) for n, t, kind, data in rows]

    def prune(self, keep: int = KEEP_FINISHED) -> int:
        """Forget all but the newest finished jobs, with their events; pictures stay. Returns how many went."""
        with self._change() as db:
            marks = ",".join(f"'{state}'" for state in sorted(FINISHED))
            old = f"SELECT id FROM jobs WHERE state IN ({marks}) ORDER BY number DESC LIMIT -1 OFFSET ?"
            db.execute(f"DELETE FROM events WHERE job IN ({old})", (keep,))
            return db.execute(f"DELETE FROM jobs WHERE id IN ({old})", (keep,)).rowcount

    def fact(self, name: str) -> str | None:
        rows = self._rows("SELECT value FROM facts WHERE name=?", (name,))
        return rows[0][0] if rows else None

    def set_fact(self, name: str, value: str) -> None:
        with self._change() as db:
            db.execute("INSERT INTO facts VALUES (?,?) ON CONFLICT(name) DO UPDATE SET value=excluded.value", (name, value))


def _add_event(db: sqlite3.Connection, job_id: str, kind: str, data: dict[str, Any]) -> None:
    db.execute(
        "INSERT INTO events SELECT ?, COALESCE(MAX(number),0)+1, ?, ?, ? FROM events WHERE job=?",
        (job_id, time.time(), kind, json.dumps(data), job_id),
    )


def _dump(value: dict[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)


def _job(row: tuple[Any, ...]) -> Job:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    for name in ("request", "resolved", "result", "fault"):
        values[name] = None if values[name] is None else json.loads(values[name])
    return Job(**values)
