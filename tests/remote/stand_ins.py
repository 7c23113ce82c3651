"""Programs that stand in for ngrok, cloudflared and others: they write down how they were called and say what the real ones say.

Start reading at `Bench`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WAIT_S = 180.0  # what is awaited comes soon; a busy machine may take long
# A line of the documented output each; the addresses are made up.
NGROK_LINES = (
    '{"lvl":"info","msg":"no configuration paths supplied","t":"2026-09-30T02:40:00Z"}',
    '{"addr":"127.0.0.1:4040","lvl":"info","msg":"starting web service","obj":"web","t":"2026-09-30T02:40:00Z"}',
    '{"addr":"http://localhost:7860","lvl":"info","msg":"started tunnel","name":"command_line","obj":"tunnels","t":"2026-09-30T02:40:01Z",'
    '"url":"https://ab12-203-0-113-7.ngrok-free.app"}',
)
QUICK = "https://random-words-here-1234.trycloudflare.com"
CLOUDFLARED_LINES = (
    "2026-08-31T12:00:00Z INF Thank you for trying Cloudflare Tunnel. Read https://developers.cloudflare.com/cloudflare-one/ first.",
    "2026-08-31T12:00:01Z INF Requesting new quick Tunnel on trycloudflare.com...",
    "2026-08-31T12:00:02Z INF |  Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):  |",
    "2026-08-31T12:00:02Z INF |  https://random-words-here-1234.trycloudflare.com                                          |",
)
HEAD = """#!{python}
import json, os, subprocess, sys, time
from pathlib import Path
book = Path({book!r})
calls = json.loads(book.read_text()) if book.exists() else []
calls.append({{"argv": sys.argv[1:], "pid": os.getpid(), "token": os.environ.get("NGROK_AUTHTOKEN") or os.environ.get("TUNNEL_TOKEN")}})
book.with_suffix(".new").write_text(json.dumps(calls))
os.replace(book.with_suffix(".new"), book)
def say(*lines):
    for line in lines:
        print(line, file=sys.{stream}, flush=True)
"""


class Bench:
    """A folder that is all of PATH. programs: what lies in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        monkeypatch.setenv("PATH", str(folder))
        for name in ("NGROK_AUTHTOKEN", "TUNNEL_TOKEN"):
            monkeypatch.delenv(name, raising=False)

    def put(self, name: str, body: str, *, stream: str = "stdout") -> None:
        """A program of that name; body: Python, with say(*lines), and calls: how often it was called, this time included."""
        path = self.folder / name
        path.write_text(HEAD.format(python=sys.executable, book=str(self._book(name)), stream=stream) + body)
        path.chmod(0o755)

    def says(self, name: str, lines: tuple[str, ...], *, stream: str = "stdout", then: str = "time.sleep(600)") -> None:
        """A program that says lines and does something."""
        self.put(name, f"say(*{list(lines)!r})\n{then}\n", stream=stream)

    def calls(self, name: str) -> list[dict[str, Any]]:
        """How it was called each time: argv, pid, token."""
        book = self._book(name)
        return json.loads(book.read_text()) if book.exists() else []

    def _book(self, name: str) -> Path:
        return self.folder.parent / f"{name}.json"


def until(what: Callable[[], Any]) -> Any:
    """Wait until something is true and give it back."""
    end = time.monotonic() + WAIT_S
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return found


def gone(pid: int) -> bool:
    """No process of that number runs, or it is dead and only waits to be counted."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return Path("/proc/self").exists()  # it went in between; where there is no /proc, it runs
