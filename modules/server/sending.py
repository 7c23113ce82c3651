"""A body while it arrives: cut off where it is too large or comes too slowly, so that nobody holds a request open with it.

Knows sizes and the clock. Start reading at `Incoming`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

_MB = 1024 * 1024
BODY_LIMIT_BYTES = 64 * _MB


@dataclass(frozen=True)
class Patience:
    """limit: bytes of a body. first_s: seconds that any body has; rate: bytes that earn it a further second."""

    limit: int = BODY_LIMIT_BYTES
    first_s: float = 20.0
    rate: float = 1024.0

    @property
    def too_large(self) -> str:
        return f"The body is larger than {self.limit // _MB} MB"


class Incoming:
    """Stands in for `receive`. Raises HTTPException 413 or 408 into whoever reads the body."""

    def __init__(self, receive: Receive, patience: Patience) -> None:
        self._receive = receive
        self._patience = patience
        self._taken = 0
        self._began: float | None = None
        self._whole = False

    async def __call__(self) -> Message:
        if self._whole:  # what is waited for now is that the client leaves
            return await self._receive()
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        left_s = self._began + self._patience.first_s + self._taken / self._patience.rate - now
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, left_s))
        except TimeoutError:
            raise HTTPException(408, "The body came too slowly", headers={"Connection": "close"}) from None
        self._taken += len(message.get("body", b""))
        if self._taken > self._patience.limit:  # a chunked body does not say its length beforehand
            raise HTTPException(413, self._patience.too_large)
        self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message
