"""Jobs that belong together: one that gathers what others make, and those others.

They come in one transaction, so that a crash leaves all of them or none. Start reading at `Groups.submit`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any

from modules.jobs.database import GAP, Database
from modules.jobs.order import last_place
from modules.jobs.records import DEVICE, Job, NewJob
from modules.jobs.rows import COLUMNS, add_event, dump, job_of

# Of a group that is still under way nothing is forgotten: the job that gathers needs it.
WHOLE = (
    "NOT EXISTS (SELECT 1 FROM jobs AS head WHERE jobs.group_id IS NOT NULL AND head.id=jobs.group_id AND head.finished_s IS NULL)"
)  # fmt: skip
AT_ONCE = 500  # values of one query
_INSERT = (
    "INSERT INTO jobs (id, key, kind, state, owner, priority, request, resolved, created_s, lane, held, deadline_s, place, group_id) "
    "VALUES (?,?,?,'queued',?,?,?,?,?,?,?,?,?,?)"
)


class Groups:
    """Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(
        self,
        head: NewJob,
        members: Sequence[NewJob],
        *,
        owner: str,
        priority: int = 0,
        lane: str = DEVICE,
        deadline_s: float | None = None,
        held: bool = False,
    ) -> tuple[Job, bool]:
        """Queue the members in order and behind them the job that gathers; with a head's key seen before, the job of that key.

        deadline_s: of the first one; the others follow it. Returns (the head's job, it is new).
        """
        with self._database.change() as db:
            if head.key is not None and (row := db.execute(f"SELECT {COLUMNS} FROM jobs WHERE key=?", (head.key,)).fetchone()):
                return job_of(row), False
            place, now = last_place(db, lane, priority), time.time()
            for n, one in enumerate([*members, head]):
                group = None if one is head else head.id
                due = deadline_s if n == 0 else None
                texts = (dump(one.request), dump(one.resolved))
                values = (one.id, one.key, one.kind, owner, priority, *texts, now, lane, held, due, place + n * GAP, group)
                db.execute(_INSERT, values)
                add_event(db, one.id, "state", {"state": "queued"})
            return job_of(db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id=?", (head.id,)).fetchone()), True

    def members(self, group_id: str) -> list[Job]:
        """The jobs of a group in the order they came, without the one that gathers."""
        sql = f"SELECT {COLUMNS} FROM jobs WHERE group_id=? ORDER BY number"
        return [job_of(row) for row in self._database.rows(sql, (group_id,))]

    def states(self, job_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """id -> what a gathering job needs to know of it: {"state", "pictures", "fault"}; ids that nobody knows are left out."""
        found: dict[str, dict[str, Any]] = {}
        ids = list(dict.fromkeys(job_ids))
        for begin in range(0, len(ids), AT_ONCE):
            part = ids[begin : begin + AT_ONCE]
            sql = f"SELECT id, state, result, fault FROM jobs WHERE id IN ({','.join('?' * len(part))})"
            for job_id, state, result, fault in self._database.rows(sql, part):
                told = json.loads(result) if result else {}
                found[job_id] = {
                    "state": state,
                    "pictures": told.get("pictures", []),
                    "seconds": told.get("seconds", {}),
                    "fault": json.loads(fault) if fault else None,
                }
        return found

    def counts(self, group_id: str) -> tuple[dict[str, int], str | None]:
        """(state -> how many of the group are in it, id of one that runs)."""
        rows = self._database.rows("SELECT state, COUNT(*), MIN(id) FROM jobs WHERE group_id=? GROUP BY state", (group_id,))
        return {state: count for state, count, _ in rows}, next((job for state, _, job in rows if state == "running"), None)

    def of_keys(self, prefix: str) -> list[Job]:
        """The jobs whose keys begin so, newest first."""
        sql = f"SELECT {COLUMNS} FROM jobs WHERE key>=? AND key<? ORDER BY key"
        rows = self._database.rows(sql, (prefix, prefix + "\U0010ffff"))
        return sorted(map(job_of, rows), key=lambda job: -job.number)

    def stop(self, group_id: str) -> tuple[list[str], list[str]]:
        """Cancel what waits of a group. Returns (ids that were canceled, ids that run)."""
        with self._database.change() as db:
            rows = db.execute(
                "SELECT id, state FROM jobs WHERE group_id=? AND state IN ('queued','running') ORDER BY number", (group_id,)
            ).fetchall()  # fmt: skip
            waiting = [job_id for job_id, state in rows if state == "queued"]
            for job_id in waiting:
                _cancel(db, job_id)
        return waiting, [job_id for job_id, state in rows if state == "running"]


def _cancel(db: sqlite3.Connection, job_id: str) -> None:
    db.execute("UPDATE jobs SET state='canceled', finished_s=? WHERE id=?", (time.time(), job_id))
    add_event(db, job_id, "done", {"state": "canceled", "fault": None})
