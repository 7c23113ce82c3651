"""Rows of the job store as records, and the one way an event is written. Pure translation; start reading at `job_of`."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from modules.jobs.records import Event, Job

COLUMNS = (
    "number, id, key, kind, state, owner, priority, attempts, request, resolved, created_s, started_s, finished_s, result, fault, lane, "
    "held, deadline_s, place, group_id"
)
EVENT_COLUMNS = "job, number, time_s, type, data, serial"
_NAMES = COLUMNS.split(", ")


def job_of(row: tuple[Any, ...]) -> Job:
    """A job from a row of COLUMNS."""
    values = dict(zip(_NAMES, row, strict=True))
    for name in ("request", "resolved", "result", "fault"):
        values[name] = None if values[name] is None else json.loads(values[name])
    values["held"] = bool(values["held"])
    return Job(**values)


def event_of(row: tuple[Any, ...]) -> Event:
    """An event from a row of EVENT_COLUMNS."""
    job, number, time_s, kind, data, serial = row
    return Event(job=job, number=number, time_s=time_s, type=kind, data=json.loads(data), serial=serial)


def add_event(db: sqlite3.Connection, job_id: str, kind: str, data: dict[str, Any]) -> None:
    """Write the next event of a job; "" stands for the queue as a whole."""
    db.execute(
        "INSERT INTO events (job, number, time_s, type, data) SELECT ?, COALESCE(MAX(number),0)+1, ?, ?, ? FROM events WHERE job=?",
        (job_id, time.time(), kind, json.dumps(data), job_id),
    )


def dump(value: dict[str, Any] | None) -> str | None:
    """JSON text, or None."""
    return None if value is None else json.dumps(value)
