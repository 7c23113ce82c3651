"""The records of the job room: a job, one of its events, and what the running one is doing right now. No behaviour."""

from __future__ import annotations

import dataclasses
import secrets
import time
from dataclasses import dataclass
from typing import Any

STATES = ("queued", "running", "done", "failed", "canceled", "parked")
FINISHED = frozenset({"done", "failed", "canceled", "parked"})
DEVICE, FILES, TRAIN = LANES = ("device", "files", "train")  # pictures, on the device; beside them work on model files, and training


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row of the store. number: order of arrival; key: the submitter's idempotency key; times: seconds since 1970.

    lane: which worker runs it, one of LANES; jobs of different lanes run side by side.

    request: as asked; resolved: nothing left open; result: `Result.to_data()`; fault: `Fault.data()`.
    Queued jobs run by priority, highest first, then by place, lowest first: a number that only says before or behind. held: it does not
    begin until it is released; deadline_s: it must have begun by then, else it is canceled.

    group_id: id of the job that gathers what this one makes, None for none. A gathering job does not begin while one of its group runs,
    and is given what they made.
    """

    id: str
    number: int
    kind: str
    state: str
    request: dict[str, Any]
    resolved: dict[str, Any]
    owner: str
    key: str | None
    attempts: int
    priority: int
    created_s: float
    started_s: float | None
    finished_s: float | None
    result: dict[str, Any] | None
    fault: dict[str, Any] | None
    lane: str = DEVICE
    held: bool = False
    deadline_s: float | None = None
    place: int = 0
    group_id: str | None = None

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """When a new job may have its turn. priority: higher ones first; deadline_s, held: see `Job`."""

    priority: int = 0
    deadline_s: float | None = None
    held: bool = False


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A job that is submitted together with others. id: of `new_id`; the rest as in `Job`."""

    id: str
    kind: str
    request: dict[str, Any]
    resolved: dict[str, Any]
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """One numbered event. number: 1, 2, ... within its job; serial: grows over all jobs, with gaps.

    type: state, queue (priority, hold or deadline changed), picture, warning, log or done. job: "" for the queue as a whole.
    """

    job: str
    number: int
    time_s: float
    type: str
    data: dict[str, Any]
    serial: int = 0


@dataclass(frozen=True, kw_only=True)
class Live:
    """What a running job is doing now; not kept. fraction: 0..1 of the whole job; eta_s: seconds left, None while unknown.

    step of steps: network steps of the current batch; batch_no: 0-based; preview: JPEG bytes; preview_number grows with each.
    saving: only the saving of its last pictures is left; the next job may run already.
    """

    job: str
    fraction: float = 0.0
    eta_s: float | None = None
    step: int = 0
    steps: int = 0
    batch_no: int = 0
    batch_count: int = 1
    text: str = ""
    preview: bytes | None = None
    preview_number: int = 0
    flags: frozenset[str] = frozenset()
    saving: bool = False


def new_id() -> str:
    """A job id: sorts by time of creation, cannot be guessed, safe in file names and URLs."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(6)}"
