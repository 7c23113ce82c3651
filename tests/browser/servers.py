"""The two servers that the browser is pointed at: the real program in a process of its own, and the stand-in in a thread.

Start reading at `real_server`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from modules import web
from modules.folders import PROGRAM
from tests.web.fake_app import fake_app, fake_server

PATIENCE_S = 240.0  # a page is built in a few seconds, on a busy machine in a minute or two


@dataclass
class Server:
    """url: without a slash at the end. data: its data folder. app: the stand-in App, None for the real program."""

    url: str
    data: Path
    app: Any = None


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for_page(url: str, timeout_s: float, alive: Any = lambda: True) -> None:
    """Until the waiting page has made way for the real one. Raises TimeoutError."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and alive():
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/", timeout=5) as answer:
            if answer.headers.get("X-Darkroom-Page") is None:
                return
        time.sleep(0.1)
    raise TimeoutError(f"no page at {url}")


@contextlib.contextmanager
def real_server(data: Path) -> Iterator[Server]:
    """`python launch.py` with the starter model, its output in data/server.log."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "launch.py", "--no-venv", "--skip-install", "--port", str(port), "--data-dir", str(data)]
    data.mkdir(parents=True, exist_ok=True)
    with (data / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROGRAM, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        try:
            wait_for_page(url, PATIENCE_S, lambda: process.poll() is None)
            yield Server(url, data)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def stand_in_server(data: Path, **jobs: Any) -> Iterator[Server]:
    """The page over the stand-in App, in a thread of this process."""
    app = fake_app(data, **jobs)
    api = fake_server(app)
    web.mount(api, app)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(api, port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for_page(f"http://127.0.0.1:{port}", PATIENCE_S)
        yield Server(f"http://127.0.0.1:{port}", data, app)
    finally:
        server.should_exit = True
        thread.join(10)
