"""Every error a person can meet: what happened, why, and what to do about it.

Knows the kinds of fault and how they are written as plain data (for the job store, the API and the page).
Knows nothing about HTTP, the page or torch. Start reading at `Fault`.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable
from typing import Any, ClassVar


class Fault(Exception):
    """An error meant for a person. `str(fault)` is one or two sentences that end with what to do.

    `data()` gives the fault as JSON-ready data, `from_data` rebuilds it in another process.
    """

    kind: ClassVar[str] = "fault"

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extra = data

    def data(self) -> dict[str, Any]:
        return {"kind": self.kind, "message": self.message, **self.extra}


class RequestFault(Fault):
    """The request cannot be carried out as asked. Names the field. The API answers 422 with it.

    field: the API name of the field ("width"); got: the value received; allowed: what would do (text or list).
    """

    kind = "request"

    def __init__(self, field: str, why: str, *, got: Any = None, allowed: Any = None) -> None:
        shown = "" if got is None else f" (got {_short(got)})"
        super().__init__(f"{field}: {why}{shown}", field=field, why=why, got=_short(got), allowed=allowed)
        self.field = field
        self.why = why


class UnknownName(RequestFault):
    """A name that is in no list. Names the nearest ones."""

    kind = "unknown_name"

    def __init__(self, field: str, got: str, known: Iterable[str]) -> None:
        names = list(known)
        near = difflib.get_close_matches(str(got)[:200], names, n=3, cutoff=0.5)  # long texts would take long
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {len(names)} known names"
        super().__init__(field, f"there is no {field} of that name; {hint}", got=got, allowed=near or names[:40])
        self.close = near


class UnknownScript(UnknownName):
    """A script that is not there, or cannot be used that way. words: A1111's, for its clients."""

    kind = "unknown_script"

    def __init__(self, field: str, got: str, known: Iterable[str], words: str = "") -> None:
        super().__init__(field, got, known)
        self.words = words or f"Script '{str(got)[:80]}' not found"


class ModelFault(Fault):
    """A model file or folder that cannot be used. Says which one, why, and what to do."""

    kind = "model"


class OutOfMemory(Fault):
    """The device ran out of memory even with the most careful memory policy that was allowed."""

    kind = "out_of_memory"


class BlankPicture(Fault):
    """The model produced NaN or infinite values; no picture is saved in its place."""

    kind = "blank_picture"


class DiskFault(Fault):
    """A file could not be written (disk full, read-only folder). Nothing was left half-written."""

    kind = "disk"


class WorkerDied(Fault):
    """The worker process ended while it was running this job."""

    kind = "worker_died"


class UnknownJob(Fault):
    """No job of this id was ever accepted here."""

    kind = "unknown_job"


class DeadlinePassed(Fault):
    """A job had not begun by the time its submitter set; it was taken out of the queue. deadline_s: seconds since 1970."""

    kind = "deadline"

    def __init__(self, deadline_s: float) -> None:
        when = datetime.datetime.fromtimestamp(deadline_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
        super().__init__(
            f"The job had not begun by its deadline, {when} UTC, and was taken out of the queue. Submit it again with more time.",
            deadline_s=deadline_s,
        )


class NotAllowed(Fault):
    """The role of whoever asks does not suffice. needs: the least role that would. The API answers 403."""

    kind = "not_allowed"


class TooMany(Fault):
    """More than the server takes for now. retry_after_s: whole seconds after which it is worth trying again. The API answers 429."""

    kind = "too_many"


class SetupFault(Fault):
    """The program cannot start as asked (port in use, wrong Python, another copy running)."""

    kind = "setup"


class Cancelled(Exception):
    """Raised inside a run when its job was cancelled. Not an error: the pictures made so far are kept."""


def _short(value: Any, limit: int = 120) -> Any:
    """The value as it may be shown in a message: numbers as they are, long text cut."""
    if value is None or isinstance(value, bool | int):
        return value
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
