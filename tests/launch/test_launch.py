"""launch.py itself, started as a person would: in a process of its own, with this Python."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START = [sys.executable, str(ROOT / "launch.py")]


def launch(*words: str, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*START, *words], capture_output=True, text=True, timeout=timeout_s, check=False)


def test_an_unknown_flag_exits_2_with_a_close_match():
    done = launch("--lowvarm")
    assert done.returncode == 2
    assert done.stderr == "launch.py: there is no flag --lowvarm; did you mean --lowvram?\n"


def test_a_port_in_use_is_said_before_anything_else(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = launch("--port", str(server.getsockname()[1]), "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "is in use by" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_start_on_a_bare_python_needs_no_package():
    """-I -S: neither site-packages nor the working folder's surroundings."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import launch; "
    code += "print([m for m, found in sys.modules.items() if 'site-packages' in str(getattr(found, '__file__', ''))])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_the_second_start_is_timed():
    """Printed, not asserted: everything up to the moment where the program itself is loaded."""
    began = time.perf_counter()
    done = launch("--exit", "--port", str(_free_port()))
    print(f"\nchecks of a second start, interpreter included: {time.perf_counter() - began:.3f} s")
    assert done.returncode == 0, done.stderr


@dataclass
class Running:
    url: str
    process: subprocess.Popen[str]

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return answer.read()

    def end(self) -> str:
        """Stop as Ctrl+C does; returns what was printed."""
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=60)[0]


@pytest.fixture
def running(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    words = getattr(request, "param", [])
    port = _free_port()
    command = [*START, "--port", str(port), "--data-dir", str(tmp_path), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    program = Running(f"http://127.0.0.1:{port}", process)
    until = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < until:
        try:
            program.get("/internal/ping")
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    yield program
    if process.poll() is None:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT reaches one process only on POSIX")
@pytest.mark.parametrize("running", [["--nowebui", "--use-cpu", "all"]], indirect=True)
def test_it_serves_says_where_and_on_what_and_ends_cleanly(running: Running):
    flags = json.loads(running.get("/sdapi/v1/cmd-flags"))
    assert flags["nowebui"] is True
    assert flags["use_cpu"] == ["all"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        running.get("/")
    assert caught.value.code == 404
    until = time.monotonic() + 240
    while not json.loads(running.get("/internal/jobs"))["worker"]["device"] and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(0.5)
    told = running.end()
    assert running.process.returncode == 0
    assert f"Running at {running.url}/" in told
    assert [line.partition(":")[0] for line in told.splitlines() if line.startswith(("Device", "Memory", "Numbers"))] == [
        "Device",
        "Memory",
        "Numbers",
    ]
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_second_copy_on_the_same_data_is_refused(running: Running, tmp_path: Path):
    running.get("/internal/ping")
    done = launch("--port", str(_free_port()), "--data-dir", str(tmp_path))
    assert done.returncode == 1
    assert "Another copy already uses this data folder" in done.stderr
    assert "Traceback" not in done.stderr


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
