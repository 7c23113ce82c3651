"""Waking those who wait for something to happen to a job: threads, and tasks of any event loop.

Knows who waits for what; knows nothing about what happened. Start reading at `Bell`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Bell:
    """Rings for one job; whoever waits for that job, or for any, wakes up."""

    def __init__(self) -> None:
        self._threads = threading.Condition()
        self._tasks: dict[str | None, set[Sleeper]] = {}
        self._lock = threading.Lock()

    def ring(self, job_id: str) -> None:
        """From any thread."""
        with self._threads:
            self._threads.notify_all()
        with self._lock:
            sleepers = [*self._tasks.get(job_id, ()), *self._tasks.get(None, ())]
        for sleeper in sleepers:
            sleeper.wake()

    def wait(self, timeout_s: float) -> None:
        """Block this thread until the next ring for any job, or until the time is up."""
        with self._threads:
            self._threads.wait(timeout_s)

    @contextmanager
    def sleeper(self, job_id: str | None) -> Iterator[Sleeper]:
        """Somebody on the running event loop who waits for that job; None: for all. Rings are heard from here on."""
        sleeper = Sleeper()
        with self._lock:
            self._tasks.setdefault(job_id, set()).add(sleeper)
        try:
            yield sleeper
        finally:
            with self._lock:
                self._tasks[job_id].discard(sleeper)
                if not self._tasks[job_id]:
                    del self._tasks[job_id]


class Sleeper:
    """One who waits, on the event loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    def wake(self) -> None:
        """From any thread; a loop that has ended hears nothing."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rung.set)

    async def wait(self, timeout_s: float) -> bool:
        """True when the bell rang since the last call; False when the time was up first."""
        try:
            await asyncio.wait_for(self._rung.wait(), timeout_s)
        except TimeoutError:
            return False
        self._rung.clear()
        return True
