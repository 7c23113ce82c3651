"""What can go wrong, each with a sentence to act on. Start reading at `DarkroomError`, then `error_of`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx


class DarkroomError(Exception):
    """Anything that goes wrong here."""


class Unreachable(DarkroomError):
    """The server does not answer, or went away and did not come back."""


class TimedOut(DarkroomError):
    """The job has not finished in the time that was given; it goes on. job: its id."""

    def __init__(self, job: str, timeout_s: float) -> None:
        super().__init__(f"Job {job} has not finished within {timeout_s:g} s. It goes on; wait again or cancel it.")
        self.job = job


class JobFailed(DarkroomError):
    """The job ended without a result. job: its id; state: "failed", "parked" or "canceled"; kind: of the fault, for programs."""

    def __init__(self, job: str, state: str, message: str, kind: str) -> None:
        super().__init__(message or f"Job {job} was {state}.")
        self.job, self.state, self.kind = job, state, kind


@dataclass(frozen=True)
class Wrong:
    """A value that the server did not accept. place: the way to it, such as ("body", "request", "steps")."""

    place: tuple[str | int, ...]
    message: str
    kind: str


class Problem(DarkroomError):
    """The server refused. status: of HTTP; kind: for programs; errors: the values that were wrong."""

    def __init__(self, status: int, detail: str, kind: str, errors: tuple[Wrong, ...] = (), retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.errors, self.retry_after_s = status, detail, kind, errors, retry_after_s


class NotSignedIn(Problem):
    """401: a user and password or a token is needed, or those that were sent are wrong."""


class NotAllowed(Problem):
    """403: this user may not do that."""


class NotFound(Problem):
    """404 or 410: there is no such job, picture or model, or not any more."""


class Conflict(Problem):
    """409: it cannot be done in the state it is in."""


class Invalid(Problem):
    """413 or 422: a value cannot be accepted; `errors` tells which."""


class TooMany(Problem):
    """429: too many requests; `retry_after_s` says when to come again."""


class ServerFailed(Problem):
    """500 and above: the server failed or is stopping."""


_KINDS: dict[int, type[Problem]] = {
    401: NotSignedIn, 403: NotAllowed, 404: NotFound, 409: Conflict, 410: NotFound, 413: Invalid, 422: Invalid, 429: TooMany,
}  # fmt: skip


def error_of(response: httpx.Response) -> Problem:
    """The error that an answer with a status from 400 on tells. Its body must have been read."""
    told = _told(response)
    kind = ServerFailed if response.status_code >= 500 else _KINDS.get(response.status_code, Problem)
    wrong = tuple(
        Wrong(tuple(one.get("place", ())), str(one.get("message", "")), str(one.get("kind", "")))
        for one in told.get("errors", ())
        if isinstance(one, dict)
    )
    detail = str(told.get("detail") or f"The server answered {response.status_code} {response.reason_phrase}.")
    return kind(response.status_code, detail, str(told.get("kind", "http")), wrong, _seconds(response.headers.get("Retry-After")))


def _told(response: httpx.Response) -> dict[str, Any]:
    try:
        told = response.json()
    except ValueError:  # not from Darkroom: a proxy's page
        return {}
    return told if isinstance(told, dict) and isinstance(told.get("errors", []), list) else {}


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
