"""A connection that must say what it wants in time: uvicorn itself waits for ever for the end of the headers.

Knows uvicorn's protocol for HTTP/1.1 and the clock; the guard limits the body. Start reading at `Prompt`.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_S = 20.0


class Prompt(H11Protocol):
    """Closed when the headers of a request are not whole within `headers_s` of the connection or of the request's first byte."""

    headers_s = HEADERS_S
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - uvicorn's own
        super().connection_made(transport)
        self._look()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Wait for headers as long as no request has begun; uvicorn's keep-alive timer waits between requests."""
        if self.conn.their_state is not h11.IDLE:
            self._rest()
        elif self._patience is None:
            self._patience = self.loop.call_later(self.headers_s, self.transport.close)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
