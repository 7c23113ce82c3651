"""A few threads for short reads that are asked for many times a second.

Knows threads only. With the framework's pool, two hundred polls at once run on forty threads that hinder each other and the
event loop: the slowest in a hundred then took three times as long. Start reading at `Lane.run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 2


class Lane:
    """Calls wait for one of the threads in the order they came; the event loop goes on meanwhile."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reads")

    async def run(self, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """The result of call(*args, **named), which should take milliseconds. Raises what it raises."""
        return await asyncio.wrap_future(self._pool.submit(call, *args, **named))
