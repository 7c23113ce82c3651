"""Refuses every connection that leaves this machine, in the test run and in each Python process it starts.

Python imports a module of this name by itself when its folder is on PYTHONPATH, so child processes are covered.
Each attempt raises and is written to the file named by OFFLINE_LOG; tests/conftest.py fails the test that made it.
Knows nothing about the program under test. Start reading at `watch`.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys

LOCAL_NAMES = {"", "localhost", "localhost.localdomain", "ip6-localhost", "0.0.0.0", "::"}


class LeftTheMachine(OSError):
    """A connection or a name look-up that would have left this machine."""


def is_local(host: object) -> bool:
    """Is this host name or address this machine's own?"""
    if host is None:
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    if text.lower() in LOCAL_NAMES or text == socket.gethostname():
        return True
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def watch(event: str, args: tuple[object, ...]) -> None:
    """The audit hook. Raises LeftTheMachine for a foreign address; Unix sockets and loopback pass."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        if not isinstance(address, tuple) or not address:
            return
        host: object = address[0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = args[0]
    else:
        return
    if is_local(host):
        return
    line = f"{event} {host!r} in process {os.getpid()}: {' '.join(sys.argv[:3])}\n"
    log = os.environ.get("OFFLINE_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.write(line)
    raise LeftTheMachine(f"tests may not leave this machine: {line.strip()}")


if os.environ.get("OFFLINE_LOG"):
    sys.addaudithook(watch)
