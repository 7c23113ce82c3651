"""`serve` in a process of its own: it says where it is, answers, and ends in order on a signal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.faults import SetupFault
from modules.flags import Flags
from modules.folders import PROGRAM
from modules.server.serve import listen, url_of

SERVER = """
import dataclasses, json, sys
from modules import app as hall, server
from modules.flags import Flags
from modules.jobs import Jobs
flags = Flags(**json.loads(sys.argv[1]))
app = hall.build(flags)
app.jobs.stop()
app = dataclasses.replace(app, jobs=Jobs(app.folders, {}, runner="tests.faults.backend:build"))
app.start()
server.serve(server.create(app), app)
heavy = [name for name in ("torch", "diffusers", "transformers", "gradio") if name in sys.modules]
print("ended", app.jobs.owns_queue, heavy, flush=True)
"""
WAIT_S = 30.0


class Served:
    """A serving process. lines: what it printed so far."""

    def __init__(self, **flags: Any) -> None:
        command = [sys.executable, "-c", SERVER, json.dumps(flags)]
        self.process = subprocess.Popen(command, cwd=PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        while not self.lines or not self.lines[-1].startswith("Running at "):
            assert self.process.stdout is not None
            line = self.process.stdout.readline()
            assert line, self.lines
            self.lines.append(line.strip())
        self.url = self.lines[-1].removeprefix("Running at ")

    def call(self, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=WAIT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def end(self, number: signal.Signals) -> tuple[int, str, float]:
        """(exit status, the rest of what it printed, seconds it took)."""
        began = time.monotonic()
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, rest, time.monotonic() - began


def jobs_of(served: Served) -> list[dict[str, Any]]:
    return served.call("internal/jobs")[1]["jobs"]


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def start(data_dir: Path, free_port: int) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def run(**flags: Any) -> Served:
        started.append(Served(data_dir=str(data_dir), port=free_port, **flags))
        return started[-1]

    yield run
    for served in started:
        if served.process.poll() is None:
            served.process.kill()
            served.process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_it_answers_once_it_says_so_and_stops_the_app_on_a_signal(start: Callable[..., Served], number: signal.Signals) -> None:
    served = start()
    assert served.call("internal/ping") == (200, {})
    status, rest, took = served.end(number)
    assert (status, rest) == (0, "ended False []\n")
    assert took < 10


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
def test_those_who_wait_are_told_and_their_jobs_stay(start: Callable[..., Served], data_dir: Path) -> None:
    served = start()
    assert served.call("internal/queue/pause", {})[1] == {"paused": True}
    answers: list[tuple[int, Any]] = []
    waiting = threading.Thread(target=lambda: answers.append(served.call("sdapi/v1/txt2img", {"prompt": "a", "width": 64, "height": 64})))
    waiting.start()
    until(lambda: bool(jobs_of(served)))
    status, rest, _ = served.end(signal.SIGTERM)
    waiting.join(WAIT_S)
    assert status == 0
    assert "Traceback" not in rest
    [(code, body)] = answers
    assert (code, body["detail"]) == (503, "The server is stopping.")
    again = start()
    [job] = jobs_of(again)
    assert job["state"] == "queued"


def test_a_reachable_address_prints_its_password_once(start: Callable[..., Served]) -> None:
    served = start(listen=True)
    assert served.url.startswith("http://127.0.0.1:")
    assert sum("Password: " in line for line in served.lines) == 1
    assert served.call("internal/ping")[0] == 401


def test_a_taken_port_is_said_in_words(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)), pytest.raises(SetupFault, match=rf"port {free_port}: it is in use.*--port"):
        listen(Flags(port=free_port))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_the_address_shown_can_be_opened_here(free_port: int, host: str) -> None:
    flags = Flags(server_name=host, port=free_port)
    with listen(flags) as listener:
        url = url_of(listener, flags)
        assert url in (f"http://127.0.0.1:{free_port}/", f"http://[::1]:{free_port}/")
        with socket.create_connection(("::1" if "[" in url else "127.0.0.1", free_port), 5):
            pass


def test_a_client_that_leaves_does_not_take_its_job_along(start: Callable[..., Served], free_port: int) -> None:
    served = start()
    served.call("internal/queue/pause", {})
    body = json.dumps({"prompt": "a", "width": 64, "height": 64}).encode()
    with socket.create_connection(("127.0.0.1", free_port)) as leaving:
        leaving.sendall(b"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        until(lambda: bool(jobs_of(served)))
    served.call("internal/queue/resume", {})
    until(lambda: jobs_of(served)[0]["state"] == "done")
