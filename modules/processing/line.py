"""Work that follows a picture (encoding it, writing it) on a thread of its own, in order, while the device goes on.

Knows nothing about pictures. Start reading at `Line.put`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

WAITING = 8  # pieces of work; each holds a picture in memory


class Line:
    """One thread, which begins with the first piece of work. Whoever puts work waits while too much of it waits already."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._work: queue.Queue[Callable[[], None]] = queue.Queue(waiting)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, work: Callable[[], None]) -> None:
        """Have this done after everything that was put before. It must not raise."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._do, daemon=True, name="line")
                self._thread.start()
        self._work.put(work)

    @property
    def here(self) -> bool:
        """The caller is itself work of this line."""
        return threading.current_thread() is self._thread

    def wait(self) -> None:
        """Until everything is done that was put before. Not for work of this line itself."""
        if self._thread is not None:
            done = threading.Event()
            self._work.put(done.set)
            done.wait()

    def _do(self) -> None:
        while True:
            self._work.get()()
