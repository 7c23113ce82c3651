"""How the supervisor and a worker process talk: one JSON object a line over the worker's stdin and stdout.

Plain data only, so the same messages could travel over a network. To the worker: {"do": ...}; from it: {"say": ...}.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO


class Wire:
    """Both ends of one conversation. Sending is safe from several threads."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._in = incoming
        self._out = outgoing
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Raises OSError when the other side is gone."""
        line = json.dumps(message, ensure_ascii=True).encode() + b"\n"
        with self._lock:
            self._out.write(line)
            self._out.flush()

    def messages(self) -> Iterator[dict[str, Any]]:
        """Messages until the other side closes. A line that is not a message ends the conversation."""
        for line in self._in:
            try:
                message = json.loads(line)
            except ValueError:
                return
            if isinstance(message, dict):
                yield message
