"""POST /sdapi/v1/server-stop, server-kill and server-restart: only with --api-server-stop.

Knows A1111's answers; whoever serves does what is asked (`modules.server.serve`), and the roof starts anew. Start reading at `routes`.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from starlette.background import BackgroundTask
from starlette.responses import JSONResponse, PlainTextResponse, Response

from modules.server.errors import Refused

STOP, KILL, RESTART = "stop", "kill", "restart"


class Power:
    """How the server is asked to end. wanted: the last word, None so far; restartable: somebody starts it again after RESTART."""

    def __init__(self) -> None:
        self.wanted: str | None = None
        self.restartable = False
        self.end: Callable[[str], None] = lambda _what: None

    def ask(self, what: str) -> None:
        """End the server; safe from any thread. what: STOP and RESTART wait for open answers, KILL does not."""
        self.wanted = what
        self.end(what)


def routes(power: Power) -> APIRouter:
    """The routes that end the server. Each answers first."""
    router = APIRouter(tags=["server"])

    @router.post("/sdapi/v1/server-stop", response_class=PlainTextResponse)
    async def server_stop() -> PlainTextResponse:
        """End the server once open requests are answered; queued jobs are made after the next start."""
        return PlainTextResponse("Stopping.", background=BackgroundTask(power.ask, STOP))

    @router.post("/sdapi/v1/server-kill", response_model=None)
    async def server_kill() -> Response:
        """End the server at once; queued jobs are made after the next start."""
        return JSONResponse(None, background=BackgroundTask(power.ask, KILL))

    @router.post("/sdapi/v1/server-restart", response_model=None, responses={501: {"description": "nobody would start it again"}})
    async def server_restart() -> Response:
        """End the server and start it again with the same command line."""
        if not power.restartable:
            raise Refused(501, "Not Implemented", errors="nobody would start the server again; only launch.py does")
        return JSONResponse(None, background=BackgroundTask(power.ask, RESTART))

    return router
