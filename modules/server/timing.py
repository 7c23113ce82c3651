"""The X-Process-Time header, and --api-log's line for each API call.

Knows the clock only. Start reading at `Timing`.
"""

from __future__ import annotations

import sys
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Timing:
    """Outermost middleware: every answer says how many seconds it took, to four decimals."""

    def __init__(self, app: ASGIApp, log_api: bool = False) -> None:
        self._app = app
        self._log_api = log_api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = f"{time.perf_counter() - began:.4f}"
                MutableHeaders(scope=message)["X-Process-Time"] = took
                if self._log_api and scope["path"].startswith("/sdapi/"):
                    sys.stdout.write(log_line(scope, message["status"], took))
                    sys.stdout.flush()
            await send(message)

        await self._app(scope, receive, send_timed)


def log_line(scope: Scope, status: int, took: str) -> str:
    """Time, status, protocol, method, path, client, duration. The path is quoted, so it cannot forge a line."""
    client = (scope.get("client") or ("?",))[0]
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"API {now} {status} HTTP/{scope.get('http_version')} {scope['method']} {scope['path']!r} {client} {took}\n"
