"""So many requests in so much time: a limit as people write it ("60/minute"), counted for each name.

The counting is the `limits` library's. Start reading at `Rate`.
"""

from __future__ import annotations

import math
import time

import limits
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from modules.faults import SetupFault


class Rate:
    """One or several limits that all hold, as "10/minute;100/day". Safe with several threads."""

    def __init__(self, text: str, flag: str) -> None:
        """Raises SetupFault for a text that is none."""
        try:
            self._items = limits.parse_many(text)
        except ValueError:
            raise SetupFault(f"{flag} takes a number per second, minute, hour or day, as 60/minute; not {text[:80]!r}.") from None
        if any(item.amount < 1 for item in self._items):
            raise SetupFault(f"{flag}: a limit of 0 lets nobody in; leave the flag out for no limit.")
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def take(self, name: str) -> int:
        """Count one request of this name; the seconds to wait where it is over the limit, else 0. Refused ones do not count."""
        if blocked := [item for item in self._items if not self._limiter.test(item, name)]:
            return max(self._wait_s(item, name) for item in blocked)
        for item in self._items:
            if not self._limiter.hit(item, name):  # another thread came first
                return self._wait_s(item, name)
        return 0

    def _wait_s(self, item: limits.RateLimitItem, name: str) -> int:
        return max(1, math.ceil(self._limiter.get_window_stats(item, name).reset_time - time.time()))
