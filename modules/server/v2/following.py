"""A job followed as it goes on: its events, each exactly once, and between them what it is doing and the latest preview.

Knows jobs and the end of the server; knows nothing about how it is sent on. Start reading at `Follower.told`.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modules.faults import UnknownJob
from modules.jobs import Event, Live
from modules.server.errors import Refused
from modules.server.v2.job_shapes import event_of, progress_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.server.generate import Closing

LIVE_S = 0.25  # how often a running job is looked at
QUIET_S = 15.0  # after so long without a word something is said, so that nobody between closes the connection
FEED_PAGE = 200
NONE, URL, INLINE = PREVIEWS = ("none", "url", "inline")


@dataclass(frozen=True)
class Told:
    """One thing to send. number: of an event, to go on behind it; None for progress, which is not kept. A quiet one has no type."""

    type: str = ""
    number: int | None = None
    data: dict[str, Any] | None = None


QUIET = Told()


def preview_of(live: Live, way: str) -> str | None:
    """The preview as a data URI, where that is asked for."""
    if way != INLINE or not live.preview:
        return None
    return f"data:image/jpeg;base64,{base64.b64encode(live.preview).decode()}"


class Follower:
    """Follows one job from an event on. base: prefix of addresses; progress: tell it; previews: one of PREVIEWS.

    ended: the job has, and all of it was told.
    """

    def __init__(self, app: App, closing: Closing, job_id: str, base: str, *, progress: bool = True, previews: str = URL) -> None:
        self._app = app
        self._closing = closing
        self._job = job_id
        self._base = base
        self._progress = progress
        self._previews = previews
        self._shown: Live | None = None
        self.ended = False

    async def told(self, after: int) -> AsyncIterator[Told]:
        """Everything behind event `after` until the job has ended; ends too when the server is about to stop."""
        jobs = self._app.jobs
        job = await asyncio.to_thread(jobs.get, self._job)
        past = await asyncio.to_thread(jobs.events, self._job)
        after = min(after, past[-1].number if past else 0)
        self.ended = job.finished and all(event.number <= after for event in past)
        if self.ended:
            return
        running, spoke = job.state == "running", time.monotonic()
        while True:
            pause = LIVE_S if running and self._progress else QUIET_S
            try:
                events = await self._closing.wait_for(jobs.wait_events(self._job, after, pause))
            except (Refused, UnknownJob):  # the server stops; the job was forgotten
                return
            for event in events:
                after, running, spoke = event.number, _runs(event, running), time.monotonic()
                self.ended = event.type == "done"
                yield Told(event.type, event.number, event_of(event, self._base).model_dump())
                if self.ended:
                    return
            if running and self._progress and (news := self._news()) is not None:
                spoke = time.monotonic()
                yield news
            elif time.monotonic() - spoke >= QUIET_S:
                spoke = time.monotonic()
                yield QUIET

    def _news(self) -> Told | None:
        """What the job does, when that is not what was told last."""
        live = self._app.jobs.live_of(self._job)
        if live is None or live == self._shown:
            return None
        self._shown = live
        progress = progress_of(live, f"{self._base}/jobs/{self._job}", preview_of(live, self._previews))
        data = progress.model_dump() if progress else {}
        return Told("progress", None, {**data, "preview": None} if self._previews == NONE else data)


async def changes(app: App, closing: Closing, base: str, after: int) -> AsyncIterator[Told]:
    """The events of all jobs behind number `after`, until the server is about to stop."""
    while True:
        try:
            found = await closing.wait_for(app.jobs.wait_changes(after, FEED_PAGE, QUIET_S))
        except Refused:
            return
        for event in found:
            after = event.serial
            yield Told(event.type, event.serial, event_of(event, base, over_all=True).model_dump())
        if not found:
            yield QUIET


def _runs(event: Event, before: bool) -> bool:
    return event.data.get("state") == "running" if event.type == "state" else before
