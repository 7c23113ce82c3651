"""Disk and port: what is said when they will not do."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from modules.faults import SetupFault
from modules.setup import checks


def test_enough_space_passes_and_too_little_says_how_much(tmp_path: Path):
    checks.disk(tmp_path / "not" / "yet", 1, "a test")
    with pytest.raises(SetupFault, match=r"GiB free and installing needs 1073741824\.0 GiB"):
        checks.disk(tmp_path, 2**60, "installing")


def test_a_free_port_passes():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    checks.port("127.0.0.1", number)


def test_a_port_in_use_names_the_holder_and_another_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with pytest.raises(SetupFault, match=f"Port {number} is in use") as caught:
            checks.port("127.0.0.1", number)
    assert "--port " in caught.value.message
    if Path("/proc/net/tcp").exists():
        assert f"process {os.getpid()}" in caught.value.message


def test_a_foreign_address_is_named():
    with pytest.raises(SetupFault, match="not an address of this machine"):
        checks.port("192.0.2.1", 7860)


def test_the_checks_are_quick(tmp_path: Path):
    """Printed, not asserted: times depend on the machine."""
    began = time.perf_counter()
    checks.disk(tmp_path, 1, "a test")
    checks.port("127.0.0.1", 0)
    print(f"\ndisk and port checked in {(time.perf_counter() - began) * 1000:.1f} ms")
