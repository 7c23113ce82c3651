"""Pieces of the job in hand that other workers make, as the worker knows them that leads it. Start reading at `Pieces.wait`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

LOOK_S = 0.2


class Pieces:
    """Filled by the thread that hears orders, asked by the one that does the job."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._lent: set[int] = set()
        self._came: dict[int, dict[str, Any]] = {}
        self._named = 0

    def name(self, count: int) -> int:
        """The first of so many numbers that no piece of this job had yet."""
        first, self._named = self._named, self._named + count
        return first

    def hear(self, order: dict[str, Any]) -> None:
        """ "lent": that piece is made elsewhere; "piece": it has come, or, without a result, will not."""
        with self._news:
            if order["do"] == "lent":
                self._lent.add(order["number"])
            else:
                self._lent.discard(order["number"])
                if order["result"] is not None:
                    self._came[order["number"]] = order["result"]
            self._news.notify_all()

    def there(self, number: int) -> bool:
        """That piece has come."""
        with self._news:
            return number in self._came

    def lent(self, number: int) -> bool:
        """Another worker is at that piece."""
        with self._news:
            return number in self._lent

    def wait(self, number: int, patience_s: float, stopped: Callable[[], bool]) -> dict[str, Any] | None:
        """That piece's result, once; None when it is to be made here, because nobody has it or it takes longer than patience_s."""
        end = time.monotonic() + patience_s
        with self._news:
            while number in self._lent and (left := end - time.monotonic()) > 0 and not stopped():
                self._news.wait(min(LOOK_S, left))
            self._lent.discard(number)
            return self._came.pop(number, None)
