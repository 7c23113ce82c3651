"""The files of the job that comes next go over while the present one is computed, so that it need not wait for them.

Only within the disk space that model files may have there, and only while nothing of the present job is on its way. What was sent stays,
whichever job comes next. Knows nothing about Ray. Start reading at `Ahead.look`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from modules.cluster.fitting import fits
from modules.cluster.goods import Goods, with_paths
from modules.cluster.sending import Calls, send
from modules.faults import Cancelled, Fault


class Ahead:
    """goods: what a job needs, raises OSError and Fault; busy: files of the present job are on their way; stays: digests of its files.

    tell: an order for the worker there. shared: files may lie there under the same paths.
    """

    def __init__(
        self,
        post: Calls,
        token: str,
        *,
        goods: Callable[[Mapping[str, Any]], Goods],
        busy: Callable[[], bool],
        stays: Callable[[], Collection[str]],
        tell: Callable[[dict[str, Any]], object],
        shared: bool = False,
    ) -> None:
        self._post = post
        self._token = token
        self._goods = goods
        self._busy = busy
        self._stays = stays
        self._tell = tell
        self._shared = shared
        self._next: dict[str, Any] | None = None

    def look(self, job: dict[str, Any] | None) -> None:
        """That job comes next as things are, None: none; what was being sent for another one is sent no further. Comes back at once."""
        if job is not None and not fits(job["kind"], job["resolved"]):
            job = None
        self._next = job
        self.go_on()

    def go_on(self) -> None:
        """Nothing of the present job is on its way any more."""
        if (job := self._next) is not None and not self._busy():
            threading.Thread(target=self._send, args=(job,), daemon=True, name="ahead").start()

    def _send(self, job: dict[str, Any]) -> None:
        def stopped() -> bool:
            return self._next is not job or self._busy()

        try:
            if stopped():
                return
            goods, stays = self._goods(job), self._stays()
            there = send(goods, self._post, self._token, say=lambda text: None, stopped=stopped, shared=self._shared, early=stays)
            if not stopped():
                self._tell({"do": "ahead", "next": with_paths(job, there)})
        except Cancelled:
            pass
        except (Fault, OSError) as fault:  # that job says itself what is wrong with it
            logging.getLogger(__name__).info("%s", fault)
