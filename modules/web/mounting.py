"""Puts the page at "/" of the server without holding the server up.

Importing Gradio takes seconds; until the page is built a small waiting page stands in its place and reloads itself.
Start reading at `mount`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, PlainTextResponse

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

    from modules.app import App

log = logging.getLogger(__name__)
ASSETS = Path(__file__).parent / "assets"
# Before anything imports Gradio: no telemetry, no tool server, no public link, no look at a model hub.
os.environ.update(
    GRADIO_ANALYTICS_ENABLED="False", GRADIO_ANALYTICS_MAX_EVENTS="100", GRADIO_MCP_SERVER="False", GRADIO_SHARE="False", HF_HUB_OFFLINE="1"
)
WAITING_HEADER = {"X-Darkroom-Page": "starting", "Cache-Control": "no-store"}


def mount(api: FastAPI, app: App) -> None:
    """Mount the page at "/". Returns at once; every other route must be declared before.

    Gradio has one folder for uploads in a process: the one of the page mounted last.
    """
    os.environ.update(GRADIO_TEMP_DIR=str(app.folders.cache / "page"))
    page = Page(lambda: _build(app, api))
    outer = api.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(of: Any) -> AsyncIterator[Any]:
        async with outer(of) as state, page.running():
            yield state

    api.router.lifespan_context = lifespan
    api.mount("/", page)
    page.start()


class Page:
    """An ASGI app that stands in for the real page until `build` has returned it from a thread of its own."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._ready: ASGIApp | None = None
        self._built: Any = None
        self._fault = ""
        self._thread = threading.Thread(target=self._work, daemon=True, name="page")

    def start(self) -> None:
        """Begin to build."""
        self._thread.start()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For the server's lifespan: runs the page's own start and stop in the server's event loop."""
        leave = asyncio.Event()
        task = asyncio.create_task(self._serve(leave))
        try:
            yield
        finally:
            leave.set()
            await task

    async def _serve(self, leave: asyncio.Event) -> None:
        while self._thread.is_alive() and not leave.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(leave.wait(), 0.05)
        if self._built is None or leave.is_set():
            return
        async with self._built.router.lifespan_context(self._built):
            self._ready = self._built
            await leave.wait()

    def _work(self) -> None:
        try:
            self._built = self._build()
        except Exception as error:  # whatever it is, the API goes on, and the waiting page says it
            log.exception("The page could not be built")
            self._fault = f"{type(error).__name__}: {error}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._ready is not None:
            await self._ready(scope, receive, send)
        elif scope["type"] == "http":
            await self._stand_in(scope)(scope, receive, send)

    def _stand_in(self, scope: Scope) -> ASGIApp:
        root = scope.get("root_path", "")
        if scope["path"].removeprefix(root) not in ("", "/"):
            return PlainTextResponse("The page is still starting.", 503, {**WAITING_HEADER, "Retry-After": "1"})
        if self._fault:
            return PlainTextResponse(f"The page could not be built; the API works. {self._fault}", 500, WAITING_HEADER)
        return HTMLResponse((ASSETS / "starting.html").read_text(encoding="utf-8"), 200, WAITING_HEADER)


def _build(app: App, api: FastAPI) -> ASGIApp:
    from modules.web.page import build_page  # imports Gradio: seconds of work

    return build_page(app, api)
