"""Runs pip and turns what it says into a few lines for a person; when it fails, its real error and what to do.

Knows pip's words; knows nothing about which packages the program needs. Start reading at `install`.
"""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from modules.faults import SetupFault

# Settings of the surroundings that would send packages elsewhere than into the environment asked for.
MISLEADING = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH")
BEAT_S = 15.0
SMALL_MB = 5.0
_DOWNLOADING = re.compile(r"^\s*Downloading (?:\S*/)?([A-Za-z0-9_.]+?)-(\d[^-\s]*)-?\S* \((\d+(?:\.\d+)?) (kB|MB|GB)\)")
_OFFLINE = "There is no connection to the package index. Check the network; behind a proxy set HTTPS_PROXY."
_FOREIGN = "This folder may not be written. Move the program to a folder of yours."
_ADVICE = (
    ("No space left on device", "The disk is full. Free some space and start again; what is downloaded is kept."),
    ("PermissionError", _FOREIGN),
    ("Permission denied", _FOREIGN),
    ("externally-managed-environment", "This Python belongs to the system. Start without --no-venv."),
    ("THESE PACKAGES DO NOT MATCH THE HASHES", "A download was damaged. Run the command below with --no-cache-dir added."),
    ("Temporary failure in name resolution", _OFFLINE),
    ("Failed to establish a new connection", _OFFLINE),
    ("ReadTimeoutError", "The connection to the package index is too slow or broke off. Start again; what is downloaded is kept."),
    ("CERTIFICATE_VERIFY_FAILED", "The index's certificate is not trusted here. Behind a company proxy set PIP_CERT to its certificate."),
    ("No matching distribution found", "The package index has no build for this Python or machine. Use Python 3.11 to 3.13, 64 bit."),
)


def install(python: Path, wanted: Sequence[str], *, log: Path, say: Callable[[str], None], cwd: Path | None = None) -> None:
    """Run `python -m pip install WANTED`. wanted: requirements, or "-r" and a file. log: pip's whole output.

    Raises SetupFault with pip's error and the command that repairs it.
    """
    command = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", *wanted]
    log.parent.mkdir(parents=True, exist_ok=True)
    env = {k: v for k, v in os.environ.items() if k not in MISLEADING} | {"PYTHONUNBUFFERED": "1"}
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace", env=env, cwd=cwd
        )
    except OSError as error:
        raise SetupFault(f"{python} cannot be run: {error}. Remove the folder venv and start again.") from error
    lines = _follow(process, log, say)
    code = process.wait()
    if code < 0:
        lines.append(f"ERROR: pip was ended by signal {-code}; if nobody did that, memory ran out")
    if code:
        raise SetupFault(explain(lines, command))
    say(f"installed in {time.monotonic() - began:.0f} s")


def _follow(process: subprocess.Popen[str], log: Path, say: Callable[[str], None]) -> list[str]:
    """Read pip's output to its end, say what matters and that it is still alive. Returns all lines."""
    lines: list[str] = []
    arriving: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            arriving.put(line.rstrip())
        arriving.put(None)

    threading.Thread(target=read, daemon=True).start()
    began = time.monotonic()
    doing = "looking up packages"
    try:
        with log.open("w", encoding="utf-8") as file:
            while True:
                try:
                    line = arriving.get(timeout=BEAT_S)
                except queue.Empty:
                    say(f"{doing} ... {time.monotonic() - began:.0f} s")
                    continue
                if line is None:
                    return lines
                file.write(line + "\n")
                file.flush()
                lines.append(line)
                news = human(line)
                if news:
                    doing = news
                    say(news)
    except BaseException:  # Ctrl+C: pip must not go on alone; the next start takes up where it was
        process.terminate()
        process.wait()
        raise


def human(line: str) -> str | None:
    """What one line of pip's output means for a person, or None when it means nothing."""
    found = _DOWNLOADING.match(line)
    if found:
        name, version, size, unit = found.groups()
        megabytes = float(size) * {"kB": 0.001, "MB": 1.0, "GB": 1000.0}[unit]
        return f"downloading {name.replace('_', '-')} {version} ({megabytes:.0f} MB)" if megabytes >= SMALL_MB else None
    if line.startswith("Installing collected packages:"):
        count = line.count(",") + 1
        return f"unpacking {count} package{'s' if count > 1 else ''}; this takes a minute or two"
    if line.strip().startswith("Building wheel for"):
        return f"building {line.split()[3]}"
    return None


def explain(lines: Sequence[str], command: Sequence[str]) -> str:
    """The message of a failed install: advice when the cause is known, pip's own error, and the command to repair it."""
    text = "\n".join(lines)
    advice = next((what for sign, what in _ADVICE if sign in text), "The packages could not be installed.")
    spoken = [line.strip()[:300] for line in lines if line.strip()]
    errors = [line for line in spoken if line.lower().startswith(("error", "fatal"))] or spoken
    plain = [w for w in command if w not in ("--no-input", "--disable-pip-version-check", "--progress-bar", "off")]
    told = [f"    {line}" for line in errors[-8:]]
    return "\n".join([advice, "pip said:", *told, "To repair it, run:", f"    {quoted(plain)}", "and start again."])


def quoted(command: Sequence[str]) -> str:
    """A command line that can be pasted into this system's shell."""
    if sys.platform == "win32":
        return subprocess.list2cmdline(command)
    return " ".join(f'"{w}"' if re.search(r"[^\w@%+=:,./-]", w) else w for w in command)
