"""The tools over HTTP: one route, /mcp, of the server's own app, so that the guard stands before it as before every other.

Each request stands for itself: no sessions are kept, so what one user began no other can go on with. Start reading at `add`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from modules.server.mcp.server import make
from modules.users import viewer_of

if TYPE_CHECKING:
    from modules.app import App

PATH = "/mcp"
BODY_BYTES = 64 * 1024 * 1024  # the guard has a limit too; the lower one counts
HOSTS = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the guard has looked at Host and Origin, and knows more names


def add(api: FastAPI, app: App) -> None:
    """Serve the tools at /mcp while the server runs."""
    door = Door(app)
    outer = api.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(of: Any) -> AsyncIterator[Any]:
        async with outer(of) as state, door.open():
            yield state

    api.router.lifespan_context = lifespan
    api.router.routes.append(Route(PATH, endpoint=door, include_in_schema=False))


class Door:
    """An ASGI app that hands requests to the SDK."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._manager: StreamableHTTPSessionManager | None = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """For the server's lifespan. The SDK's manager can be run once only, so each start gets one of its own."""
        server = make(self._app, lambda context: viewer_of(context.request_context.request))
        server.streamable_http_app(
            stateless_http=True, transport_security=HOSTS, max_request_body_size=BODY_BYTES
        )  # makes the manager; its app, which knows one path of its own, is not used
        self._manager = server.session_manager
        try:
            async with self._manager.run():
                yield
        finally:
            self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._manager is None:
            raise RuntimeError("the server has not started")
        await self._manager.handle_request(scope, receive, send)
