"""Setting an extension up: what it wants is looked at first, checked against the tested set, then installed, then its install.py is run.

Only when a person says so; the loader never comes here. Start reading at `look`, then `set_up`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.faults import Fault
from modules.folders import Folders, write_atomic
from modules.plugins import needs
from modules.plugins.install_child import DO, FILE, LOOK
from modules.setup import pip

REQUIREMENTS = "requirements.txt"
LOOK_S = 120.0
DO_S = 1800.0
CONSTRAINTS = "extension-constraints.txt"


class ExtensionFault(Fault):
    """An extension cannot be set up, removed or put back. Says which and why."""

    kind = "extension"


@dataclass(kw_only=True)
class Outlook:
    """What setting up would do. said: what install.py wants besides, in words; fault: where it ended early while it was looked at."""

    verdict: needs.Verdict = field(default_factory=needs.Verdict)
    runs: bool = False
    said: list[str] = field(default_factory=list[str])
    fault: str = ""


def wants(folder: Path) -> dict[str, Any]:
    """What can be seen without running anything: {"file": it has an install.py, "missing": lines of requirements.txt that are not met}."""
    return {"file": (folder / FILE).is_file(), "missing": needs.missing(folder / REQUIREMENTS)}


def look(folder: Path, folders: Folders) -> Outlook:
    """What an extension wants, its install.py run with a `launch` that only writes down. Raises ExtensionFault."""
    wishes = needs.of_file(folder / REQUIREMENTS)
    outlook = Outlook(runs=(folder / FILE).is_file())
    if outlook.runs:
        report = _child(folder, folders, LOOK, LOOK_S)
        for command in report["wishes"]:
            wishes += needs.of_command(str(command), folder)
        outlook.said, outlook.fault = list(report["said"]), str(report["fault"])
    outlook.verdict = needs.judge(wishes, needs.locked(folders.program))
    return outlook


def set_up(folder: Path, folders: Folders, say: Callable[[str], None]) -> list[str]:
    """Install what the extension wants and run its install.py. Returns notes for the person.

    Raises ExtensionFault before anything is installed when the tested set would have to change, SetupFault with pip's words.
    """
    say(f"looking at what {folder.name} wants")
    outlook = look(folder, folders)
    verdict = outlook.verdict
    if verdict.refused:
        lines = [f"{wish}: {why}" for wish, why in verdict.refused.items()]
        raise ExtensionFault(f"Nothing was installed for {folder.name}. " + ". ".join(lines) + ".")
    if verdict.install:
        say(f"installing {', '.join(verdict.install)}")
        pinned = folders.cache / CONSTRAINTS
        lock = needs.locked(folders.program)
        write_atomic(pinned, "".join(f"{name}=={version}\n" for name, version in lock.items()).encode())
        log = folders.logs / f"extension-{folder.name}.log"
        pip.install(Path(sys.executable), ["--constraint", str(pinned), *verdict.install], log=log, say=say)
    notes = list(outlook.said)
    if outlook.runs:
        say("running install.py")
        report = _child(folder, folders, DO, DO_S)
        notes = [str(line) for line in report["said"]]
        if report["fault"] and "pip itself" not in report["fault"]:
            notes.append(f"install.py did not get to its end: {report['fault']}")
    return notes


def _child(folder: Path, folders: Folders, how: str, wait_s: float) -> dict[str, Any]:
    """The report of install.py. Raises ExtensionFault when there is none."""
    with tempfile.TemporaryDirectory() as room:
        path = Path(room) / "report.json"
        command = [sys.executable, "-m", "modules.plugins.install_child", str(folder), str(path), how]
        env = {**os.environ, "PYTHONPATH": str(folders.program), "PYTHONUNBUFFERED": "1"}
        try:
            done = subprocess.run(
                command, cwd=folders.program, env=env, input=json.dumps(folders.to_data()), capture_output=True, timeout=wait_s,
                check=False, encoding="utf-8", errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ExtensionFault(f"The install.py of {folder.name} did not end within {wait_s:.0f} s and was stopped.") from error
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ExtensionFault(
                f"The install.py of {folder.name} ended without a word. Its last ones: {done.stderr.strip()[-400:]}"
            ) from error
