"""What takes more than one request: trying again, waiting for a job, sending pictures; and reading a stream of events.

Written once as generators: they yield what is to be done (a `Call` or a `Pause`) and are sent its result, so that the sync and the
async client differ only in how they do it. No network here. Start reading at `ask`, then `wait` and `Follow`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from darkroom_client import calls
from darkroom_client.calls import Call
from darkroom_client.errors import JobFailed, Problem, TimedOut, TooMany, Unreachable
from darkroom_client.records import JobDetail, JobEvent, JobPicture, Picture

T = TypeVar("T")
Source = bytes | str | os.PathLike[str] | Picture | JobPicture
"""A picture to begin with: its bytes, a Path to its file, a record of one on the server, or the text that `upload` answered."""
PATIENCE_S = 5.0
WAITING_PATIENCE_S = 60.0  # a server that is started again comes back within it
POLL_S = 25.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
STOPPING = 503


@dataclass(frozen=True)
class Pause:
    """Do nothing for a while."""

    seconds: float


Flow = Generator[Call[Any] | Pause, Any, T]


class Patience:
    """How long to go on after a broken connection. Pauses double; what works in between starts anew."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began: float | None = None
        self._pause = FIRST_PAUSE_S

    def worked(self) -> None:
        """The server answers again."""
        self._began, self._pause = None, FIRST_PAUSE_S

    def after(self, error: Exception) -> Pause:
        """How long to wait before the next try. Raises Unreachable, or the error, when it is enough."""
        now = time.monotonic()
        began = self._began = now if self._began is None else self._began
        wanted = error.retry_after_s if isinstance(error, TooMany) else None
        pause = self._pause if wanted is None else wanted
        if now + pause - began > self._seconds:
            if isinstance(error, Problem):
                raise error
            raise Unreachable(f"The server does not answer: {error or type(error).__name__}.") from error
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        return Pause(pause)


def is_passing(error: Exception) -> bool:
    """The same request may work in a moment."""
    return isinstance(error, httpx.TransportError | TooMany) or (isinstance(error, Problem) and error.status == STOPPING)


def ask(call: Call[T], patience_s: float = PATIENCE_S) -> Flow[T]:
    """The answer; what may be sent again is, when the connection breaks or the server is busy. Raises Unreachable, Problem."""
    patience = Patience(patience_s if call.repeatable else 0.0)
    while True:
        try:
            return (yield call)
        except (httpx.TransportError, Problem) as error:
            if not is_passing(error):
                raise
            pause = patience.after(error)
        yield pause


def wait(job: Any, timeout_s: float | None, check: bool) -> Flow[JobDetail]:
    """The job once it has finished. Raises TimedOut, and with `check` JobFailed."""
    end = None if timeout_s is None else time.monotonic() + timeout_s
    after, name = 0, job if isinstance(job, str) else job.id
    while True:
        left = POLL_S if end is None else max(0.0, end - time.monotonic())
        told = yield from ask(calls.news(name, after, min(left, POLL_S)), WAITING_PATIENCE_S if end is None else max(left, PATIENCE_S))
        if told["finished"]:
            break
        if left <= 0 and timeout_s is not None:
            raise TimedOut(name, timeout_s)
        after = told["last"]
    found = yield from ask(calls.job(name))
    if check and found.state in ("failed", "parked"):
        raise JobFailed(found.id, found.state, found.fault.message if found.fault else "", found.fault.kind if found.fault else "")
    return found


def reference(source: Source) -> Flow[str]:
    """The name under which the server has a picture; sends it when need be. Raises Invalid for what is no picture."""
    if isinstance(source, str):
        return source
    if isinstance(source, Picture | JobPicture):
        data = yield from ask(calls.fetch(source.file))
    else:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    sent = yield from ask(calls.upload(data))
    return sent.reference


def submit_with(
    kind: str, fields: Mapping[str, Any], pictures: Mapping[str, Any], key: str | None, when: Mapping[str, Any]
) -> Flow[JobDetail]:
    """Queue a job whose fields in `pictures` hold a `Source` or several; None is none."""
    request = dict(fields)
    for name, given in pictures.items():
        if isinstance(given, Iterable) and not isinstance(given, bytes | str):
            request[name] = []
            for source in given:
                request[name].append((yield from reference(source)))
        elif given is not None:
            request[name] = yield from reference(given)
    return (yield from ask(calls.submit(kind, request, key, **when)))


class Follow:
    """The events of a job, read line by line from one stream or, when that breaks, several; each event once."""

    def __init__(self, job: Any, previews: str) -> None:
        self._job = job
        self._previews = previews
        self._after: int | None = None
        self._patience = Patience(WAITING_PATIENCE_S)
        self._fields: dict[str, str] = {}
        self.ended = False

    def call(self) -> Call[None]:
        """The request for what is still to come."""
        self._fields = {}
        return calls.stream(self._job, self._after, self._previews)

    def feed(self, line: str) -> JobEvent | None:
        """A line of the stream; the event that it completes."""
        self._patience.worked()
        if line:
            name, _, value = line.partition(":")
            if name in ("event", "data", "id"):
                self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        data, kind = json.loads(fields["data"]), fields.get("event", "message")
        if "id" not in fields:
            return JobEvent(kind, data)
        self._after, self.ended = int(fields["id"]), kind == "done"
        return JobEvent(kind, data["data"], self._after)

    def broken(self, error: Exception) -> Pause:
        """The stream broke off. How long to wait before the next one; raises what cannot pass."""
        if not is_passing(error):
            raise error
        return self._patience.after(error)
