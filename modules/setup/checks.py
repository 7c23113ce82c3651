"""What can be known before anything is installed: is there room on the disk, is the port free, and who holds it.

Each check raises SetupFault with what to do. Start reading at `disk` and `port`.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path

from modules.faults import SetupFault

GIB = 2**30
INSTALL_BYTES = 12 * GIB  # 6.5 GiB unpacked with CUDA, the downloads and their cache beside them, and some air
RUN_BYTES = GIB // 4


def disk(folder: Path, needed_bytes: int, what: str) -> None:
    """Raises SetupFault when fewer than needed_bytes are free where folder lies. what: what they are needed for."""
    free = free_bytes(folder)
    if free < needed_bytes:
        raise SetupFault(
            f"{folder} has {free / GIB:.1f} GiB free and {what} needs {needed_bytes / GIB:.1f} GiB. "
            "Free some space, or move the program to another disk."
        )


def free_bytes(folder: Path) -> int:
    """Free space where the folder is or will be."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    return shutil.disk_usage(existing).free


def port(host: str, number: int) -> None:
    """Raises SetupFault, naming the holder if it can be seen, when the port cannot be listened on."""
    try:
        _bind(host, number)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holder = port_holder(number)
            other = next((n for n in range(number + 1, min(number + 50, 65536)) if _is_free(host, n)), None)
            hint = f"End that one, or start with --port {other}." if other else "End that one, or start with another --port."
            raise SetupFault(f"Port {number} is in use by {holder or 'another program'}. {hint}") from error
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise SetupFault(f"{host} is not an address of this machine. Correct --server-name.") from error
        raise SetupFault(f"Port {number} cannot be opened on {host}: {error.strerror}. Start with another --port.") from error


def _bind(host: str, number: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        if os.name == "posix":  # as the server does: a port whose last connections are only dying down is free
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, number))
        sock.listen(1)


def _is_free(host: str, number: int) -> bool:
    try:
        _bind(host, number)
    except OSError:
        return False
    return True


def port_holder(number: int) -> str | None:
    """The process that listens on a TCP port, as "name (process 123)"; None when it cannot be seen."""
    inodes = _listening_inodes(number)
    if inodes:
        return _owner_of(inodes)
    return _ask_lsof(number)


def _listening_inodes(number: int) -> set[str]:
    """Linux: socket inodes that listen on the port."""
    found: set[str] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            rows = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            cells = row.split()
            if cells[3] == "0A" and int(cells[1].rpartition(":")[2], 16) == number:
                found.add(f"socket:[{cells[9]}]")
    return found


def _owner_of(inodes: set[str]) -> str | None:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            held = any(os.readlink(fd) in inodes for fd in (process / "fd").iterdir())
            if held:
                words = (process / "cmdline").read_bytes().split(b"\0")
                shown = " ".join(w.decode("utf-8", "replace") for w in words[:3] if w)
                return f"{shown[:80]} (process {process.name})"
        except OSError:  # another user's process, or one that just ended
            continue
    return None


def _ask_lsof(number: int) -> str | None:
    """macOS and others with lsof."""
    lsof = shutil.which("lsof")
    if lsof is None:
        return None
    try:
        command = [lsof, "-nP", f"-iTCP:{number}", "-sTCP:LISTEN", "-Fpc"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    fields = {line[0]: line[1:] for line in answer.stdout.splitlines() if line}
    return f"{fields.get('c', 'a program')} (process {fields['p']})" if "p" in fields else None
