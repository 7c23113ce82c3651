"""The real server over the real App and job room, with the runner of `backend` in place of models. Start reading at `serving`."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from modules.app import App, build
from modules.flags import Flags
from modules.jobs import Jobs
from modules.server import create
from tests.browser.servers import free_port


@dataclasses.dataclass
class Serving:
    """url: of the server, without a slash at the end."""

    url: str
    app: App


@contextlib.contextmanager
def serving(data: Path, *, port: int | None = None, **flags: Any) -> Iterator[Serving]:
    """Serves from a thread until the block ends, as `launch.py` does without the page."""
    app = build(Flags(data_dir=str(data), **flags))
    app.jobs.stop()
    app = dataclasses.replace(app, jobs=Jobs(app.folders, {}, runner="tests.clients.backend:build"))
    app.start()
    api = create(app)
    port = port or free_port()
    server = _Server(uvicorn.Config(api, port=port, log_level="warning", timeout_graceful_shutdown=1), api.state.closing.begin)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield Serving(f"http://127.0.0.1:{port}", app)
    finally:
        server.should_exit = True
        thread.join(20)
        app.stop()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: Any = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)


def until(what: Callable[[], Any], timeout_s: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
