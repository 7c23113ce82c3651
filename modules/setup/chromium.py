"""Finds Chromium for the browser tests, and installs Debian's where that is allowed. Start reading at `find_or_install`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "msedge", "chrome")
PACKAGES = ("chromium", "fonts-dejavu-core", "fonts-noto-color-emoji")  # without fonts the page has no letters and no symbols
_PLACES = {
    "darwin": ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium"),
    "win32": (
        r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
        r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
    ),
}


def find() -> str | None:
    """The browser named by the variable CHROMIUM, else one of the system's."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    for name in NAMES:
        if found := shutil.which(name):
            return found
    places = (os.path.expandvars(p) for p in _PLACES.get(sys.platform, ()))
    return next((p for p in places if Path(p).exists()), None)


def find_or_install(say: Callable[[str], None]) -> tuple[str | None, str]:
    """(the browser or None, why there is none). Installs Debian's packages when run as root on Debian or its kin."""
    found = find()
    if found:
        return found, ""
    if os.environ.get("CHROMIUM"):
        return None, f"the variable CHROMIUM names {os.environ['CHROMIUM']}, which is no program"
    advice = "no Chromium was found; install Chromium, Chrome or Edge, or name one in the variable CHROMIUM"
    if shutil.which("apt-get") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None, advice
    say(f"installing {', '.join(PACKAGES)} from the system's packages")
    for words in (["update", "-q"], ["install", "-qy", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", *words],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            said = [line for line in done.stdout.splitlines() if line.strip()][-3:]
            return None, f"apt-get {words[0]} failed: {' | '.join(said)}"
    return find(), advice
