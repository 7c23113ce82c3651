"""The order of what waits: places, priorities, holds and deadlines.

A lane's queued jobs run by priority, highest first, and by place within it. Knows rows that wait; a job that has begun is none of its
business, and every change answers False then. Start reading at `Order.move`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modules.faults import DeadlinePassed, RequestFault, UnknownJob
from modules.jobs.database import GAP, Database
from modules.jobs.records import DEVICE
from modules.jobs.rows import add_event, dump

RUN_ORDER = "priority DESC, place, number"
LOOKED_AT = 500  # jobs of each owner, for one that fits
WARM_AMONG = 8  # of each owner's; no further is a job preferred because its model is loaded
_WAITING = f"FROM jobs WHERE state='queued' AND lane=? ORDER BY {RUN_ORDER}"
_SAME = "FROM jobs WHERE state='queued' AND lane=? AND priority=?"
_ALONE = "NOT EXISTS (SELECT 1 FROM jobs AS member WHERE member.state='running' AND member.group_id=jobs.id)"  # of its group none runs

_READY = f"FROM jobs WHERE state='queued' AND held=0 AND lane=? AND (deadline_s IS NULL OR deadline_s>?) AND {_ALONE}"


@dataclass(frozen=True, kw_only=True)
class Taker:
    """Who asks for a job. fits: by kind and resolved data, whether it may be this one, None: all; model: title of the one it has loaded.

    shares: other workers take jobs of this lane too: users get them by turns, and a job goes to a worker that has its model.
    """

    fits: Callable[[str, dict[str, Any]], bool] | None = None
    model: str | None = None
    shares: bool = False


def last_place(db: sqlite3.Connection, lane: str, priority: int) -> int:
    """The place behind all jobs of a priority, and behind those that run and may come back."""
    waits = db.execute(f"SELECT MAX(place) {_SAME}", (lane, priority)).fetchone()[0]
    runs = db.execute("SELECT MAX(place) FROM jobs WHERE state='running' AND lane=?", (lane,)).fetchone()[0]
    return max(waits or 0, runs or 0, 0) + GAP


def coming(db: sqlite3.Connection, lane: str, limit: int) -> list[str]:
    """Ids of the jobs that would begin next, in order."""
    rows = db.execute(f"SELECT id {_READY} ORDER BY {RUN_ORDER} LIMIT ?", (lane, time.time(), limit)).fetchall()
    return [row[0] for row in rows]


def next_ready(db: sqlite3.Connection, lane: str, taker: Taker | None = None) -> str | None:
    """Id of the job whose turn it is: not held, its deadline not passed. taker: who asks, for a lane that several workers share."""
    if taker is None:
        return next(iter(coming(db, lane, 1)), None)
    fitting = _fitting(db, lane, taker)
    if not fitting or not taker.shares:
        return fitting[0][0] if fitting else None
    busy = dict(db.execute("SELECT owner, COUNT(*) FROM jobs WHERE state='running' AND lane=? GROUP BY owner", (lane,)).fetchall())
    first = [row for row in fitting if row[2] == fitting[0][2]]
    return min(enumerate(first), key=lambda one: _turn(one[0], one[1], busy, taker.model))[1][0]


def _fitting(db: sqlite3.Connection, lane: str, taker: Taker) -> list[tuple[str, str, int, str | None]]:
    """(id, owner, priority, title of its model) of the first jobs of each owner that fit, in run order; only so many are read whole."""
    nth = f"SELECT id, ROW_NUMBER() OVER (PARTITION BY owner ORDER BY {RUN_ORDER}) AS nth {_READY}"
    sql = f"SELECT id, owner, priority, kind FROM jobs WHERE id IN (SELECT id FROM ({nth}) WHERE nth<=?) ORDER BY {RUN_ORDER}"
    found: list[tuple[str, str, int, str | None]] = []
    of_owner: Counter[str] = Counter()
    for job_id, owner, priority, kind in db.execute(sql, (lane, time.time(), LOOKED_AT)).fetchall():
        if of_owner[owner] >= WARM_AMONG:
            continue
        data = json.loads(db.execute("SELECT resolved FROM jobs WHERE id=?", (job_id,)).fetchone()[0])
        if taker.fits is None or taker.fits(kind, data):
            of_owner[owner] += 1
            found.append((job_id, owner, priority, (data.get("checkpoint") or {}).get("title")))
    return found


def _turn(place: int, row: tuple[str, str, int, str | None], busy: dict[str, int], model: str | None) -> tuple[int, bool, int]:
    """The smallest is next: of whoever has least running, then one for which the model is loaded, then in order."""
    return busy.get(row[1], 0), model is None or row[3] != model, place


class Order:
    """Every method is one transaction. Changes are told as events of type "queue"."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ids(self, lane: str = DEVICE) -> list[str]:
        """Ids of a lane's queued jobs in run order, held ones too."""
        return [row[0] for row in self._database.rows(f"SELECT id {_WAITING}", (lane,))]

    def length(self, lane: str = DEVICE, owner: str | None = None) -> int:
        """How many jobs of a lane wait, of one owner or of all."""
        also, values = ("", ()) if owner is None else (" AND owner=?", (owner,))
        return int(self._database.rows(f"SELECT COUNT(*) FROM jobs WHERE state='queued' AND lane=?{also}", (lane, *values))[0][0])

    def ready(self, lane: str = DEVICE) -> bool:
        """Some job of the lane could begin now."""
        return self.next(lane) is not None

    def next(self, lane: str = DEVICE) -> str | None:
        """Id of the job that would begin now."""
        rows = self._database.rows(f"SELECT id {_READY} ORDER BY {RUN_ORDER} LIMIT 1", (lane, time.time()))
        return rows[0][0] if rows else None

    def position(self, job_id: str) -> tuple[int, int] | None:
        """(place, length) of a queued job in its lane, counted from 1; None when it does not wait."""
        found = self._database.rows("SELECT lane, priority, place, number FROM jobs WHERE id=? AND state='queued'", (job_id,))
        if not found:
            return None
        lane, priority, place, number = found[0]
        higher = "SELECT COUNT(*) FROM jobs WHERE state='queued' AND lane=? AND priority>?"
        ahead = f"SELECT COUNT(*) {_SAME} AND (place, number)<(?, ?)"
        values = (lane, priority, lane, priority, place, number)
        before = self._database.rows(f"SELECT ({higher})+({ahead})", values)[0][0]
        return before + 1, max(self.length(lane), before + 1)

    def move(self, job_id: str, before: str | None) -> bool:
        """Put a queued job right before another one of its lane, whose priority it takes; None: behind all.

        False when either does not wait (any more). Raises UnknownJob, and RequestFault for itself or for another lane.
        """
        with self._database.change() as db:
            lane, waits = _lane_and_state(db, job_id)
            if before is None:
                target: tuple[int, int, int] | None = None
            elif before == job_id:
                raise RequestFault("before", "a job cannot stand before itself", got=before)
            else:
                other, other_waits = _lane_and_state(db, before)
                if other != lane:
                    raise RequestFault("before", f"that job waits in the lane of {other}, this one in that of {lane}", got=before)
                waits = waits and other_waits
                target = db.execute("SELECT priority, place, number FROM jobs WHERE id=?", (before,)).fetchone()
            if not waits:
                return False
            priority, place = _behind_all(db, job_id, lane) if target is None else _right_before(db, job_id, lane, *target)
            db.execute("UPDATE jobs SET priority=?, place=? WHERE id=?", (priority, place, job_id))
            _tell(db, job_id)
        return True

    def set_priority(self, job_id: str, priority: int) -> bool:
        """Give a queued job another priority; it goes behind those that have it already. False when it does not wait."""
        with self._database.change() as db:
            lane, waits = _lane_and_state(db, job_id)
            if waits and db.execute("SELECT priority FROM jobs WHERE id=?", (job_id,)).fetchone()[0] != priority:
                place = last_place(db, lane, priority)
                db.execute("UPDATE jobs SET priority=?, place=? WHERE id=?", (priority, place, job_id))
                _tell(db, job_id)
        return waits

    def hold(self, job_id: str) -> bool:
        """A queued job does not begin until it is released. False when it does not wait."""
        return self._set(job_id, "held", 1)

    def release(self, job_id: str) -> bool:
        """Undo `hold`; the job keeps its place."""
        return self._set(job_id, "held", 0)

    def set_deadline(self, job_id: str, deadline_s: float | None) -> bool:
        """By when a queued job must have begun, in seconds since 1970; None: whenever. False when it does not wait."""
        return self._set(job_id, "deadline_s", deadline_s)

    def expire(self) -> list[str]:
        """Cancel the queued jobs whose deadline has passed. Returns their ids."""
        due = "SELECT id, deadline_s FROM jobs WHERE state='queued' AND deadline_s IS NOT NULL AND deadline_s<=?"
        if not self._database.rows(f"{due} LIMIT 1", (time.time(),)):
            return []
        with self._database.change() as db:
            found = db.execute(due, (time.time(),)).fetchall()
            for job_id, deadline_s in found:
                fault = DeadlinePassed(deadline_s).data()
                db.execute("UPDATE jobs SET state='canceled', finished_s=?, fault=? WHERE id=?", (time.time(), dump(fault), job_id))
                add_event(db, job_id, "done", {"state": "canceled", "fault": fault})
        return [row[0] for row in found]

    def _set(self, job_id: str, column: str, value: Any) -> bool:
        with self._database.change() as db:
            waits = _lane_and_state(db, job_id)[1]
            if waits and db.execute(f"UPDATE jobs SET {column}=? WHERE id=? AND {column} IS NOT ?", (value, job_id, value)).rowcount:
                _tell(db, job_id)
        return waits


def _lane_and_state(db: sqlite3.Connection, job_id: str) -> tuple[str, bool]:
    """(lane, it waits). Raises UnknownJob."""
    row = db.execute("SELECT lane, state FROM jobs WHERE id=?", (job_id,)).fetchone()
    if row is None:
        raise UnknownJob(f"There is no job {job_id[:80]!r}.", id=job_id[:80])
    return row[0], row[1] == "queued"


def _behind_all(db: sqlite3.Connection, job_id: str, lane: str) -> tuple[int, int]:
    """(priority, place) behind every other queued job of the lane."""
    last = db.execute(
        "SELECT priority FROM jobs WHERE state='queued' AND lane=? AND id<>? ORDER BY priority, place DESC, number DESC LIMIT 1",
        (lane, job_id),
    ).fetchone()
    own = db.execute("SELECT priority FROM jobs WHERE id=?", (job_id,)).fetchone()
    priority = (last or own)[0]
    return priority, last_place(db, lane, priority)


def _right_before(db: sqlite3.Connection, job_id: str, lane: str, priority: int, place: int, number: int) -> tuple[int, int]:
    """(priority, place) between a queued job and the one before it; all from it on make room when there is none left."""
    previous = db.execute(
        f"SELECT place {_SAME} AND (place, number)<(?, ?) AND id<>? ORDER BY place DESC, number DESC LIMIT 1",
        (lane, priority, place, number, job_id),
    ).fetchone()
    if previous is None:
        return priority, place - GAP
    if place - previous[0] < 2:
        db.execute(
            "UPDATE jobs SET place=place+? WHERE state='queued' AND lane=? AND priority=? AND (place, number)>=(?, ?)",
            (GAP, lane, priority, place, number),
        )
        place += GAP
    return priority, (previous[0] + place) // 2


def _tell(db: sqlite3.Connection, job_id: str) -> None:
    priority, held, deadline_s = db.execute("SELECT priority, held, deadline_s FROM jobs WHERE id=?", (job_id,)).fetchone()
    add_event(db, job_id, "queue", {"priority": priority, "held": bool(held), "deadline_s": deadline_s})
