"""A server over the real App and job room, with the runner of tests/faults/backend.py in place of models.

Start reading at `JobServer`; `tests.server.v2.conftest` makes one for each module that asks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from modules.app import App, build
from modules.flags import Flags
from modules.jobs import Job, Jobs
from modules.server import create
from tests.browser.servers import free_port

BACKEND = "tests.faults.backend:build"
APPLE: dict[str, Any] = {"kind": "txt2img", "request": {"prompt": "a red apple", "width": 64, "height": 64, "steps": 2, "seed": 1}}


@dataclasses.dataclass
class JobServer:
    """url: of the server, without a slash at the end."""

    app: App
    url: str
    http: httpx.Client

    def get(self, path: str, status: int = 200, **asked: Any) -> Any:
        """The JSON of an answer below /api/v2."""
        answer = self.http.get(f"/api/v2/{path}", **asked)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, status: int = 200, **asked: Any) -> Any:
        """The JSON of an answer to a POST below /api/v2."""
        answer = self.http.post(f"/api/v2/{path}", json=body, **asked) if body is not None else self.http.post(f"/api/v2/{path}", **asked)
        assert answer.status_code == status, answer.text
        return answer.json()

    def slow(self, **knobs: Any) -> Job:
        """A job of the stand-in runner, queued as any other; by default it runs for about a second."""
        return self.app.jobs.submit("fake", {}, {"pictures": 2, "steps": 25, "step_s": 0.02, **knobs})

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """No job begins meanwhile, and none is left over from before."""
        until(lambda: not self.app.jobs.list(states=("queued", "running")))
        self.app.jobs.pause()
        try:
            yield
        finally:
            for job in self.app.jobs.list(states=("queued",)):
                self.app.jobs.cancel(job.id)
            self.app.jobs.resume()


@contextlib.contextmanager
def job_server(data: Path, **flags: Any) -> Iterator[JobServer]:
    """Serves from a thread until the block ends."""
    made = build(Flags(data_dir=str(data), **flags))
    made.jobs.stop()
    made = dataclasses.replace(made, jobs=Jobs(made.folders, {}, runner=BACKEND))
    made.start()
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(create(made), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, timeout=60) as http:
            yield JobServer(made, url, http)
    finally:
        server.should_exit = True
        thread.join()
        made.stop()


def until(what: Callable[[], Any], timeout_s: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def events_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events as a browser reads them: {"id", "event", "data"}; comments as {"comment"}."""
    found: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if not line:
            if found:
                yield found
            found = {}
        elif name in ("id", "event", "data", "retry"):
            found[name] = json.loads(value) if name == "data" else value
        else:
            found["comment"] = value
