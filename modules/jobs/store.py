"""The job store: one row a job, numbered events. The truth about every job.

Knows rows and their states; knows nothing about processes. Safe to use from several threads and processes.
`order` has what concerns the waiting ones, `lists` what is shown. Start reading at `JobStore.submit`, then `JobStore.claim`.
"""

from __future__ import annotations

import builtins
import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from modules.faults import UnknownJob
from modules.inputs import references_in
from modules.jobs.database import Database
from modules.jobs.groups import WHOLE, Groups
from modules.jobs.lists import Lists, filter_of
from modules.jobs.order import Order, Taker, coming, last_place, next_ready
from modules.jobs.records import DEVICE, STATES, Event, Job, new_id
from modules.jobs.rows import COLUMNS, EVENT_COLUMNS, add_event, dump, event_of, job_of
from modules.request import REFERENCE

MAX_ATTEMPTS = 2
MAX_LOSSES = 8  # a job that never ends well may be why machines are lost
KEEP_FINISHED = 5000
_INSERT = (
    "INSERT INTO jobs (id, key, kind, state, owner, priority, request, resolved, created_s, lane, held, deadline_s, place) "
    "VALUES (?,?,?,'queued',?,?,?,?,?,?,?,?,?)"
)


class JobStore:
    """Every method is one transaction. States only change here, and in `order` for deadlines."""

    def __init__(self, path: Path, alone: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """Open or create the store. alone: see `Database`. Raises SetupFault when the file is of a newer version or not a database."""
        self._database = Database(path, alone)
        self.order = Order(self._database)
        self.lists = Lists(self._database)
        self.groups = Groups(self._database)

    def close(self) -> None:
        self._database.close()

    def submit(
        self,
        kind: str,
        request: dict[str, Any],
        resolved: dict[str, Any],
        *,
        owner: str,
        key: str | None,
        priority: int = 0,
        lane: str = DEVICE,
        deadline_s: float | None = None,
        held: bool = False,
    ) -> tuple[Job, bool]:
        """Add a queued job behind those of its priority; with a key seen before, the job of that key. Returns (job, it is new)."""
        texts = (json.dumps(request), json.dumps(resolved))
        with self._database.change() as db:
            if key is not None and (row := db.execute(f"SELECT {COLUMNS} FROM jobs WHERE key=?", (key,)).fetchone()):
                return job_of(row), False
            job_id, place = new_id(), last_place(db, lane, priority)
            db.execute(_INSERT, (job_id, key, kind, owner, priority, *texts, time.time(), lane, held, deadline_s, place))
            add_event(db, job_id, "state", {"state": "queued"})
            return job_of(db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id=?", (job_id,)).fetchone()), True

    def get(self, id_or_key: str) -> Job:
        """Raises UnknownJob."""
        rows = self._database.rows(f"SELECT {COLUMNS} FROM jobs WHERE id=? OR key=? LIMIT 1", (id_or_key, id_or_key))
        if not rows:
            raise _unknown(id_or_key)
        return job_of(rows[0])

    def id_and_state(self, id_or_key: str) -> tuple[str, str]:
        """(id, state) of a job, without reading what it is about. Raises UnknownJob."""
        rows = self._database.rows("SELECT id, state FROM jobs WHERE id=? OR key=? LIMIT 1", (id_or_key, id_or_key))
        if not rows:
            raise _unknown(id_or_key)
        return rows[0]

    def list(
        self, *, states: Iterable[str] | None = None, owner: str | None = None, lane: str | None = None, limit: int = 100
    ) -> builtins.list[Job]:
        """Running and queued jobs in run order, then finished ones, newest first; of one lane or of all."""
        return self.lists.page(filter_of(states, owner=owner, lane=lane), limit=limit)[0]

    def count(self, state: str, lane: str = DEVICE) -> int:
        """How many jobs of a lane are in that state, one of STATES."""
        literal = f"'{STATES[STATES.index(state)]}'"  # as text, so that the index of that state is found
        return int(self._database.rows(f"SELECT COUNT(*) FROM jobs WHERE state={literal} AND lane=?", (lane,))[0][0])

    def queue_ids(self, lane: str = DEVICE) -> builtins.list[str]:
        """Ids of a lane's queued jobs in run order."""
        return self.order.ids(lane)

    def claim(self, lane: str = DEVICE, taker: Taker | None = None, *, untried: bool = False) -> Job | None:
        """The lane's next queued job, now running, with one more attempt on its count; None when there is none.

        taker: who asks, where that matters. untried: None too when that job was cut off before.
        """
        if not self.order.ready(lane):
            return None
        with self._database.change(durable=False) as db:
            job_id = next_ready(db, lane, taker)
            if job_id is None:
                return None
            if untried and db.execute("SELECT attempts FROM jobs WHERE id=?", (job_id,)).fetchone()[0]:
                return None
            return _begun(db, job_id)

    def claim_joined(self, lane: str, joins: Callable[[builtins.list[Job]], int], limit: int) -> builtins.list[Job]:
        """The jobs that would begin next anyway, now running too. joins(the next ones, in order): how many of them, from the first on.

        Only such as were not cut off before, at most `limit`. All or none: a crash leaves no claim half done.
        """
        with self._database.change(durable=False) as db:
            found: builtins.list[Job] = []
            for job_id in coming(db, lane, limit):
                job = job_of(db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id=?", (job_id,)).fetchone())
                if job.attempts:
                    break
                found.append(job)
            return [_begun(db, job.id) for job in found[: joins(found)]]

    def finish(self, job_id: str, state: str, *, result: dict[str, Any] | None = None, fault: dict[str, Any] | None = None) -> Job:
        """A running or queued job ends. A job that has ended already is left as it is."""
        with self._database.change() as db:
            changed = db.execute(
                "UPDATE jobs SET state=?, finished_s=?, result=?, fault=? WHERE id=? AND state IN ('running','queued')",
                (state, time.time(), dump(result), dump(fault), job_id),
            ).rowcount
            if changed:
                add_event(db, job_id, "done", {"state": state, "fault": fault})
        return self.get(job_id)

    def requeue(self, job_id: str, *, fault: dict[str, Any] | None, counts: bool = True, held: bool = False) -> Job:
        """A job whose run was cut off goes back to the queue; after its second attempt it is parked with the fault.

        counts=False takes the attempt back: after an orderly stop, or with a fault that no job can be blamed for, up to MAX_LOSSES times.
        held: it waits there until it is released.
        """
        with self._database.change() as db:
            row = db.execute("SELECT attempts, state, cancel FROM jobs WHERE id=?", (job_id,)).fetchone()
            if row is None or row[1] != "running":
                return self.get(job_id)
            counts = counts or (fault is not None and _losses(db, job_id) >= MAX_LOSSES)
            if row[2] == "interrupt":
                state = "canceled"
            else:
                state = "parked" if counts and row[0] >= MAX_ATTEMPTS else "queued"
            ended = time.time() if state != "queued" else None
            db.execute(
                "UPDATE jobs SET state=?, attempts=attempts-?, finished_s=?, fault=?, held=? WHERE id=?",
                (state, 0 if counts else 1, ended, dump(fault if state == "parked" else None), int(held), job_id),
            )
            add_event(
                db, job_id, "state" if state == "queued" else "done", {"state": state, "fault": fault, **({"held": True} if held else {})}
            )
        return self.get(job_id)

    def cancel_queued(self, job_id: str) -> bool:
        """Cancel a job that has not begun. False when it was not queued."""
        with self._database.change() as db:
            changed = db.execute(
                "UPDATE jobs SET state='canceled', finished_s=? WHERE id=? AND state='queued'", (time.time(), job_id)
            ).rowcount
            if changed:
                add_event(db, job_id, "done", {"state": "canceled", "fault": None})
        return bool(changed)

    def ask_running(self, job_id: str, what: str) -> bool:
        """Leave word for whoever runs the job: "interrupt", "pause" or "skip". False when it does not run.

        An interrupt is never taken back.
        """
        with self._database.change(durable=False) as db:
            sql = "UPDATE jobs SET cancel=CASE cancel WHEN 'interrupt' THEN cancel ELSE ? END WHERE id=? AND state='running'"
            return bool(db.execute(sql, (what, job_id)).rowcount)

    def asked(self, job_ids: Iterable[str]) -> dict[str, str]:
        """The words left by `ask_running`, by job; jobs without one are left out."""
        ids = [*job_ids]
        marks = ",".join("?" * len(ids))
        return dict(self._database.rows(f"SELECT id, cancel FROM jobs WHERE id IN ({marks}) AND cancel IS NOT NULL", ids))

    def clear_asked(self, job_id: str, what: str) -> None:
        """That word was passed on; another one left meanwhile stays."""
        with self._database.change(durable=False) as db:
            db.execute("UPDATE jobs SET cancel=NULL WHERE id=? AND cancel=?", (job_id, what))

    def add_event(self, job_id: str, kind: str, data: dict[str, Any]) -> None:
        with self._database.change(durable=False) as db:
            add_event(db, job_id, kind, data)

    def events(self, job_id: str, after: int = 0) -> builtins.list[Event]:
        """Events of a job with a number above `after`, in order."""
        sql = f"SELECT {EVENT_COLUMNS} FROM events WHERE job=? AND number>? ORDER BY number"
        return [event_of(row) for row in self._database.rows(sql, (job_id, after))]

    def named_inputs(self) -> set[str]:
        """References of the input pictures that jobs name, finished ones too."""
        sql = "SELECT request || resolved FROM jobs WHERE instr(request, ?) OR instr(resolved, ?)"
        return {reference for (text,) in self._database.rows(sql, (REFERENCE, REFERENCE)) for reference in references_in(text)}

    def prune(self, keep: int = KEEP_FINISHED) -> int:
        """Forget all but the newest finished jobs, with their events; pictures stay. Returns how many went."""
        with self._database.change() as db:
            old = f"SELECT id FROM jobs WHERE finished_s IS NOT NULL AND {WHOLE} ORDER BY number DESC LIMIT -1 OFFSET ?"
            db.execute(f"DELETE FROM events WHERE job IN ({old})", (keep,))
            return db.execute(f"DELETE FROM jobs WHERE id IN ({old})", (keep,)).rowcount

    def forget(self, ended_before_s: float, owner: str | None = None) -> int:
        """Forget the jobs that ended before a time, with their events: those of an owner, or all; pictures stay. Returns how many went."""
        with self._database.change() as db:
            old = f"SELECT id FROM jobs WHERE finished_s IS NOT NULL AND finished_s<? AND (? IS NULL OR owner=?) AND {WHOLE}"
            db.execute(f"DELETE FROM events WHERE job IN ({old})", (ended_before_s, owner, owner))
            gone = db.execute(f"DELETE FROM jobs WHERE id IN ({old})", (ended_before_s, owner, owner)).rowcount
            if gone:
                add_event(db, "", "queue", {"forgotten": gone})
        return gone

    def paused(self) -> bool:
        """No further job may begin."""
        return self._database.rows("SELECT value FROM facts WHERE name='paused'") == [("1",)]

    def set_paused(self, paused: bool) -> None:
        """Whether further jobs may begin; holds over a restart."""
        with self._database.change() as db:
            value = "1" if paused else "0"
            db.execute("INSERT INTO facts VALUES ('paused',?) ON CONFLICT(name) DO UPDATE SET value=excluded.value", (value,))
            add_event(db, "", "queue", {"paused": paused})


def _begun(db: sqlite3.Connection, job_id: str) -> Job:
    """A queued job is running now."""
    db.execute("UPDATE jobs SET state='running', attempts=attempts+1, started_s=?, cancel=NULL WHERE id=?", (time.time(), job_id))
    add_event(db, job_id, "state", {"state": "running"})
    return job_of(db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id=?", (job_id,)).fetchone())


def _losses(db: sqlite3.Connection, job_id: str) -> int:
    """How often a run of the job was cut off."""
    sql = "SELECT COUNT(*) FROM events WHERE job=? AND type='state' AND json_extract(data, '$.fault') IS NOT NULL"
    return int(db.execute(sql, (job_id,)).fetchone()[0])


def _unknown(id_or_key: str) -> UnknownJob:
    return UnknownJob(f"There is no job {id_or_key[:80]!r}.", id=id_or_key[:80])
