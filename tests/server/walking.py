"""A walk over every route of a server, mounted apps and websockets included, and what the guard says to each.

The routes themselves answer "passed" here, so that a walk with a name starts no job and waits for no event.
Start reading at `walk`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from typing import Any, cast

from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from modules.server.rules import PUBLIC

SOCKET = "WEBSOCKET"
# What may be asked of a mounted app that has a route for everything, such as the page's stand-in.
OF_A_PAGE = (
    ("GET", "/"),
    ("GET", "/config"),
    ("GET", "/gradio_api/heartbeat/x"),
    ("POST", "/gradio_api/cancel"),
    ("POST", "/gradio_api/upload"),
)


def walk(app: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of every route, paths filled in; of the public ones none."""
    for route in app.routes:
        inner = route.app if isinstance(route, Mount) else getattr(route, "original_router", None)
        if inner is not None:
            yield from walk(inner, prefix + getattr(route, "path", ""))
        elif route.path == "/{path:path}":
            yield from ((method, prefix + path) for method, path in OF_A_PAGE)
        elif prefix + route.path not in PUBLIC:
            path = re.sub(r"\{(\w+)[^}]*\}", lambda found: "0" if found[1] == "place" else "x", prefix + route.path)
            yield from ((method, path) for method in getattr(route, "methods", None) or [SOCKET])


class Passed:
    """In place of the routes: says that the guard has let a request through. routes: the real ones, for the walk."""

    def __init__(self, real: Any) -> None:
        self.routes = real.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
            return
        state = scope["state"]
        await PlainTextResponse(f"passed {state['user']} {state['role']}")(scope, receive, send)


class Walker:
    """A server whose routes only say that they were reached. Asked without a socket or a client between, as walks are long."""

    def __init__(self, api: FastAPI) -> None:
        api.router = cast(Any, Passed(api.router))
        self.api = api
        self.paths = list(walk(api))

    @property
    def every_path(self) -> set[str]:
        return {path for _, path in self.paths}

    def statuses(self, headers: dict[str, str] | None = None) -> dict[tuple[str, str], int]:
        """(method, path) -> what it answers."""

        async def all_of_them() -> dict[tuple[str, str], int]:
            return {(method, path): await self._status(method, path, headers or {}) for method, path in self.paths}

        return asyncio.run(all_of_them())

    def closed(self, headers: dict[str, str] | None = None) -> set[str]:
        """Paths that ask for a name; all others are reached."""
        found = self.statuses(headers)
        assert set(found.values()) <= {200, 401}
        return {path for (_, path), status in found.items() if status == 401}

    async def _status(self, method: str, path: str, headers: dict[str, str]) -> int:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await self.api(_scope(method, path, headers), _nothing, send)
        first = sent[0]
        if first["type"] == "websocket.accept":
            return 200
        if first["status"] == 401:
            assert dict(first["headers"])[b"www-authenticate"] == b"Basic"
            told = json.loads(b"".join(message.get("body", b"") for message in sent) or b"{}")
            assert method == "HEAD" or "Incorrect username or password" in (told["detail"], told.get("title")) or told["status"] == 401
        return int(first["status"])


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _scope(method: str, path: str, headers: dict[str, str]) -> Scope:
    given = {"Host": "127.0.0.1:7860", **headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    scope: Scope = {
        "asgi": {"version": "3.0"}, "http_version": "1.1", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": raw, "client": ("127.0.0.1", 1234), "server": ("127.0.0.1", 7860),
    }  # fmt: skip
    if method == SOCKET:
        return {**scope, "type": "websocket", "scheme": "ws", "subprotocols": [], "extensions": {"websocket.http.response": {}}}
    return {**scope, "type": "http", "method": method, "scheme": "http", "extensions": {}}
