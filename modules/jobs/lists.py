"""Lists of jobs: by filters, a page at a time, and the feed of changes over all of them.

Every page is found through an index, however many jobs there are: a cursor names the last job seen by what it is ordered by, and jobs
that come or go meanwhile are neither doubled nor do they push others out. Start reading at `Lists.page`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from modules.faults import RequestFault
from modules.jobs.database import Database
from modules.jobs.order import RUN_ORDER
from modules.jobs.records import FINISHED, STATES, Event, Job
from modules.jobs.rows import COLUMNS, EVENT_COLUMNS, event_of, job_of

Keys = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which jobs: of these states (None: all), and of one kind, owner and lane each, or of all."""

    states: frozenset[str] | None = None
    kind: str | None = None
    owner: str | None = None
    lane: str | None = None

    def wants(self, *states: str) -> frozenset[str]:
        """Those of the states that are wanted."""
        return frozenset(states) if self.states is None else self.states.intersection(states)

    def sql(self) -> tuple[str, list[Any]]:
        """The columns' part as SQL, beginning with AND, and its values."""
        given = {"kind": self.kind, "owner": self.owner, "lane": self.lane}
        asked = {name: value for name, value in given.items() if value is not None}
        return "".join(f" AND {name}=?" for name in asked), list(asked.values())


class Lists:
    """Read-only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, wanted: Filter, *, cursor: str | None = None, limit: int = 100) -> tuple[list[Job], str | None]:
        """Running jobs, then queued ones in run order, then finished ones, newest first; and the cursor of the next page, None at the end.

        Raises RequestFault for a cursor that none of ours is.
        """
        part, keys = _read(cursor)
        found: list[Job] = []
        parts: dict[str, Callable[[Filter, Keys | None, int], list[Job]]] = {
            "running": self._running,
            "queued": self._queued,
            "past": self._past,
        }
        names = list(parts)
        for name in names[names.index(part) :]:
            if len(found) <= limit:
                found += parts[name](wanted, keys if name == part else None, limit + 1 - len(found))
        return found[:limit], _cursor(found[limit - 1]) if len(found) > limit else None

    def changes(self, after: int, limit: int) -> list[Event]:
        """Events of all jobs in the order they were written, from the first whose serial number is above `after`."""
        sql = f"SELECT {EVENT_COLUMNS} FROM events WHERE serial>? ORDER BY serial LIMIT ?"
        return [event_of(row) for row in self._database.rows(sql, (after, limit))]

    def last_change(self) -> int:
        """Serial number of the latest event of all; 0 when there is none."""
        return int(self._database.rows("SELECT COALESCE(MAX(serial), 0) FROM events")[0][0])

    def ended(self, owner: str | None = None) -> dict[str, int]:
        """How many jobs ended in each state, of one owner or of all."""
        also, values = Filter(owner=owner).sql()
        return dict(self._database.rows(f"SELECT state, COUNT(*) FROM jobs WHERE finished_s IS NOT NULL{also} GROUP BY state", values))

    def _running(self, wanted: Filter, keys: Keys | None, limit: int) -> list[Job]:
        if not wanted.wants("running"):
            return []
        return self._jobs("state='running' AND number>?", list(keys or (0,)), "number", wanted, limit)

    def _queued(self, wanted: Filter, keys: Keys | None, limit: int) -> list[Job]:
        if not wanted.wants("queued"):
            return []
        if keys is None:
            return self._jobs("state='queued'", [], RUN_ORDER, wanted, limit)
        priority, *rest = keys
        same = self._jobs("state='queued' AND priority=? AND (place, number)>(?, ?)", [priority, *rest], "place, number", wanted, limit)
        if len(same) == limit:
            return same
        return same + self._jobs("state='queued' AND priority<?", [priority], RUN_ORDER, wanted, limit - len(same))

    def _past(self, wanted: Filter, keys: Keys | None, limit: int) -> list[Job]:
        states = sorted(wanted.wants(*FINISHED))
        if not states:
            return []
        where, values = "finished_s IS NOT NULL", list[Any]()
        if len(states) == 1:
            where, values = f"{where} AND state=?", [states[0]]
        elif len(states) < len(FINISHED):  # the plus keeps the list out of the choice of an index: rows stay in order
            where, values = f"{where} AND +state IN ({','.join('?' * len(states))})", [*states]
        if keys is not None:
            where, values = f"{where} AND number<?", [*values, *keys]
        return self._jobs(where, values, "number DESC", wanted, limit)

    def _jobs(self, where: str, values: list[Any], order: str, wanted: Filter, limit: int) -> list[Job]:
        also, more = wanted.sql()
        sql = f"SELECT {COLUMNS} FROM jobs WHERE {where}{also} ORDER BY {order} LIMIT ?"
        return [job_of(row) for row in self._database.rows(sql, (*values, *more, limit))]


def filter_of(states: Iterable[str] | None, **others: str | None) -> Filter:
    """A Filter of these states. Raises RequestFault for a state that is none."""
    chosen = None if states is None else frozenset(states)
    for state in sorted(chosen or ()):
        if state not in STATES:
            raise RequestFault("state", "is not one of the states of a job", got=state, allowed=list(STATES))
    return Filter(states=chosen, **others)


def _cursor(job: Job) -> str:
    if job.state == "queued":
        return f"queued:{job.priority}:{job.place}:{job.number}"
    return f"{'running' if job.state == 'running' else 'past'}:{job.number}"


def _read(cursor: str | None) -> tuple[str, Keys | None]:
    """(part of the list, keys of the last job seen)."""
    if cursor is None:
        return "running", None
    part, *keys = cursor.split(":")
    try:
        found = tuple(int(key) for key in keys)
        if len(found) == {"running": 1, "queued": 3, "past": 1}[part] and all(abs(key) < 1 << 62 for key in found):
            return part, found
    except (KeyError, ValueError):
        pass
    raise RequestFault("cursor", "is not one that this list gave", got=cursor[:100])
