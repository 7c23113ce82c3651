"""What all of /api/v2 shares: a page of a list, the cursor that leads to the next one, and the shape of errors.

A route names the errors it answers with `responses=problems(404, 422)`; `problems.Problems` gives every error this shape. Knows
nothing about single resources. Start reading at `Page` and `Problem`.
"""

from __future__ import annotations

import base64
import binascii
import json
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from modules.faults import RequestFault

T = TypeVar("T")
PAGE_LIMIT = 200
CURSOR_CHARS = 4000
PROBLEM_TYPE = "application/problem+json"
WHY: dict[int, str] = {
    400: "The request could not be read, such as a malformed Range header.",
    401: "A user and password, or a token, is needed.",
    403: "This user may not do that, or the request comes from a foreign site.",
    404: "There is no such thing, or not any more.",
    409: "That cannot be done in the state it is in.",
    410: "It was there, and its files are gone.",
    413: "The body is too large.",
    416: "The file has no such range of bytes.",
    422: "A value cannot be accepted; `errors` names it.",
    429: "Too many requests; `Retry-After` says when to come again.",
    500: "The program failed; `detail` says how.",
    503: "The server is stopping or busy; try again.",
}
ALWAYS = (401, 403, 429, 500)  # any route may answer these


class Answer(BaseModel):
    """A body that this API sends. Names may begin with model_."""

    model_config = ConfigDict(protected_namespaces=())


class Asked(BaseModel):
    """A body or query that this API takes: exact types, and no name it does not know."""

    model_config = ConfigDict(protected_namespaces=(), extra="forbid")


class Wrong(Answer):
    """One value that cannot be accepted. place: the way to it, such as ["body", "steps"]; kind: for programs."""

    place: list[str | int]
    message: str
    kind: str


class Problem(Answer):
    """An error, after RFC 9457. status: that of HTTP; title: its name; detail: a sentence to act on; kind: for programs.

    kind is "request", "unknown_name", "unknown_job", "model", "disk", "out_of_memory", ... for faults of the program, and
    "http" for what HTTP itself refuses. errors: the values that were wrong, if any.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    kind: str
    errors: list[Wrong] = Field(default_factory=list[Wrong])


class Page(Answer, Generic[T]):
    """A part of a list. next: what to send as `cursor` for the part that follows, null at the end; total: rows of the whole list."""

    items: list[T]
    next: str | None
    total: int


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers these statuses beside those that any may answer."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s: {"description": WHY[s], "content": content} for s in sorted({*statuses, *ALWAYS})}


def to_cursor(order: str, place: list[Any]) -> str:
    """A cursor: after which place of which order the next page begins. JSON-ready values; nothing secret."""
    return base64.urlsafe_b64encode(json.dumps([order, *place], ensure_ascii=False).encode()).decode().rstrip("=")


def from_cursor(cursor: str, order: str, kinds: tuple[type | tuple[type, ...], ...]) -> list[Any]:
    """The place of a cursor. kinds: the types of its values. Raises RequestFault for one that this order's list did not give."""
    try:
        padded = cursor[:CURSOR_CHARS] + "=" * (-len(cursor) % 4)
        value = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        value = None
    if not isinstance(value, list) or len(value) != len(kinds) + 1 or value[0] != order:
        raise RequestFault("cursor", "was not given by this list; begin again without one", got=cursor)
    place = value[1:]
    if not all(_fits(v, kind) for v, kind in zip(place, kinds, strict=True)):
        raise RequestFault("cursor", "was not given by this list; begin again without one", got=cursor)
    return place


def _fits(value: Any, kind: type | tuple[type, ...]) -> bool:
    """Of that type, and a number that a database takes."""
    return (
        isinstance(value, kind) and not isinstance(value, bool) and not (isinstance(value, int | float) and not -(2**63) <= value < 2**63)
    )


def http_title(status: int) -> str:
    """The name of a status, such as "Not Found"."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
