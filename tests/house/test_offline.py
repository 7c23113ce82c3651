"""The network really is closed during tests: here, in child processes, and when the error is swallowed."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.offline.sitecustomize import is_local

OUTSIDE = "198.51.100.7"  # TEST-NET-2, belongs to nobody


def _forget(log: Path, size: int) -> str:
    """What was logged since `size`; taken out again so that this test does not fail over its own attempts."""
    text = log.read_text(encoding="utf-8")
    log.write_text(text[:size], encoding="utf-8")
    return text[size:]


def test_a_connection_to_another_host_is_refused_and_logged(stays_on_this_machine: Path):
    before = stays_on_this_machine.stat().st_size
    with socket.socket() as sock, pytest.raises(OSError, match="may not leave"):
        sock.connect((OUTSIDE, 80))
    with pytest.raises(OSError, match="may not leave"):
        socket.getaddrinfo("example.org", 80)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(OSError, match="may not leave"):
        sock.sendto(b"x", (OUTSIDE, 53))
    assert len(_forget(stays_on_this_machine, before).splitlines()) == 3


def test_child_processes_are_covered(stays_on_this_machine: Path):
    before = stays_on_this_machine.stat().st_size
    code = f"import socket\ntry: socket.create_connection(('{OUTSIDE}', 80), 1)\nexcept OSError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "may not leave" in done.stdout
    assert OUTSIDE in _forget(stays_on_this_machine, before)


def test_loopback_works():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5) as client:
        assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize(("host", "local"), [("127.0.0.9", True), ("::1", True), (b"localhost", True), ("10.0.0.1", False), ("a.b", False)])
def test_what_counts_as_this_machine(host: object, local: bool):
    assert is_local(host) is local


def test_a_swallowed_attempt_fails_its_test(pytester_run: Path):
    """A made-up test that hides the error still fails, because the attempt was logged."""
    inner = pytester_run / "test_inner.py"
    inner.write_text(
        f"import socket\n\ndef test_hides_it():\n    try:\n        socket.create_connection(('{OUTSIDE}', 80), 1)\n"
        "    except OSError:\n        pass\n"
    )
    root = Path(__file__).parents[2]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(pytester_run),
        str(inner),
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "tried to leave this machine" in done.stdout


@pytest.fixture
def pytester_run(tmp_path: Path) -> Path:
    """A folder for a pytest run of its own."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path
