"""Every error of /api/v2 in one shape, whoever refused: the guard, the framework, a route or the net under everything.

A layer around the app: inside, errors keep A1111's form, as everywhere else; here those of /api/v2 become a `Problem`. Knows the
forms of errors; knows nothing about why they came. Start reading at `Problems`, then `problem_of`.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modules.server.v2.shapes import PROBLEM_TYPE, WHY, Problem, Wrong, http_title, problems

PREFIX = "/api/v2/"
SHOWN = 5  # wrong values that the sentence tells; the list has them all
READING = frozenset({"GET", "HEAD", "DELETE"})  # methods whose values do not stand in a body


class Api(FastAPI):
    """FastAPI whose description also holds the shape of errors, which routes refer to by name, wherever /api/v2 gives it."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        described = super().openapi()
        schemas = described.setdefault("components", {}).setdefault("schemas", {})
        if Problem.__name__ not in schemas:
            shape = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= {**shape.pop("$defs"), Problem.__name__: shape}
        for path, methods in described["paths"].items():
            for about in methods.values() if path.startswith(PREFIX) else ():
                if "422" in about["responses"]:  # the framework's own, where a route says nothing about it
                    about["responses"]["422"] = problems(422)[422]
        return described


class Problems:
    """A layer: answers of /api/v2 with a status from 400 on are given as `Problem`; headers such as Retry-After stay."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _own_path(scope).startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def reshaped(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] >= 400:
                start = message
            elif start is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await _send_problem(scope["method"], start, bytes(body), send)

        await self._app(scope, receive, reshaped)


async def _send_problem(method: str, start: Message, body: bytes, send: Send) -> None:
    if Headers(raw=start["headers"]).get("content-type") != PROBLEM_TYPE:
        body = problem_of(start["status"], body, method).model_dump_json().encode()
    headers = MutableHeaders(raw=list(start["headers"]))
    headers["content-type"], headers["content-length"] = PROBLEM_TYPE, str(len(body))
    await send({**start, "headers": headers.raw})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def problem_of(status: int, body: bytes, method: str = "GET") -> Problem:
    """The problem that an error's body tells, in A1111's form, in FastAPI's or in any other."""
    try:
        told = json.loads(body)
    except ValueError:
        told = {"detail": body.decode("utf-8", "replace")[:500]}
    if not isinstance(told, dict):
        told = {}
    detail, wrong = told.get("detail"), list[Wrong]()
    if isinstance(detail, list):
        where = "query" if method in READING else "body"
        wrong = [_wrong(one, where, fixed="error" not in told) for one in detail if isinstance(one, dict)]
        detail = "; ".join(f"{'.'.join(map(str, w.place[1:] or w.place))}: {w.message}" for w in wrong[:SHOWN])
    sentence = str(told.get("errors") or detail or WHY.get(status, ""))
    kind = str(told.get("kind") or (wrong[0].kind if wrong and "error" in told else "request" if wrong else "http"))
    return Problem(title=http_title(status), status=status, detail=sentence, kind=kind, errors=wrong)


def _wrong(one: dict[str, Any], where: str, *, fixed: bool) -> Wrong:
    """fixed: the place is exact. Our own faults name a field as if it stood in a body, also where there is none."""
    loc = one.get("loc")
    place = [part for part in loc if isinstance(part, str | int)] if isinstance(loc, list) else []
    if not fixed and place[:1] == ["body"]:
        place[0] = where
    return Wrong(place=place, message=str(one.get("msg", "")), kind=str(one.get("type", "")))


def _own_path(scope: Scope) -> str:
    """The path as routes see it: without the prefix that a proxy put before it (--subpath)."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
