"""Ray started and ended on this machine: as the head of a cluster, or as one more machine of it. Command lines only; imports no Ray.

Start reading at `start_words` and `join_words`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from modules.cluster.hosts import RESOURCE
from modules.folders import PROGRAM, write_atomic

PORT = 6379
LOOPBACK = "127.0.0.1"
TOKEN_FILE = Path("~/.ray/auth_token")  # where Ray looks for it, see its "Token authentication"
CURRENT = Path(tempfile.gettempdir()) / "ray" / "ray_current_cluster"  # where Ray notes the address of the one on this machine
# Even switched off, Ray tells its makers' server that there will be no reports, unless that is another one. It then still asks the
# addresses at which a cloud tells its machines where they are.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/"}
RAY = ("-m", "ray.scripts.scripts")


def start_words(*, host: str, port: int, workers: int) -> list[str]:
    """The command that makes this machine the head. host: the address that others reach it at; workers: on this machine."""
    return [sys.executable, *RAY, "start", "--head", f"--node-ip-address={host}", f"--port={port}", *_common(workers)]


def join_words(*, address: str, workers: int) -> list[str]:
    """The command that adds this machine to a cluster, until it is stopped."""
    return [sys.executable, *RAY, "start", f"--address={address}", *_common(workers)]


def stop_words() -> list[str]:
    """The command that ends Ray on this machine."""
    return [sys.executable, *RAY, "stop"]


def surroundings(token: str | None, address: str = "", base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for Ray's processes: who may join must know the token, nothing is reported to Ray's makers, and our code is found.

    address: of the cluster.
    """
    path = os.pathsep.join(filter(None, [str(PROGRAM), base.get("PYTHONPATH", "")]))
    own = {**QUIET, "PYTHONPATH": path, **({"RAY_AUTH_TOKEN": token} if token else {})}
    return {**base, **own, **reach(address, {**base, **own})}


def reach(address: str, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for a process that talks to the cluster at an address: the token is used where there is one, loopback stays loopback.

    The latter Ray does by itself only on some systems; elsewhere it takes the machine's own address instead.
    """
    if address == "auto":
        with contextlib.suppress(OSError):
            address = CURRENT.read_text().strip()
    host = address.removeprefix("ray://").rpartition(":")[0] or address
    own = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if host in (LOOPBACK, "localhost") else {}
    known = "RAY_AUTH_TOKEN" in base or TOKEN_FILE.expanduser().is_file()
    return {**own, "RAY_AUTH_MODE": "token"} if known and "RAY_AUTH_MODE" not in base else own


def token_here() -> str:
    """The token of this machine's clusters, made and kept for Ray when there is none. Raises DiskFault."""
    place = TOKEN_FILE.expanduser()
    known = place.read_text().strip() if place.is_file() else ""
    if known:
        return known
    token = secrets.token_hex(32)
    write_atomic(place, token.encode(), mode=0o600)
    return token


def _common(workers: int) -> list[str]:
    offers = ["--resources", json.dumps({RESOURCE: workers})] if workers else []
    return ["--include-dashboard=false", "--disable-usage-stats", *offers]
