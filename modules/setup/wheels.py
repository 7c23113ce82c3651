"""`python launch.py wheels FOLDER`: everything that the program needs as wheels in a folder, for a machine without a network.

There `python launch.py --wheels FOLDER` installs from it. Knows pip's words. Start reading at `fill`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from modules.faults import SetupFault
from modules.setup import checks, environment, pip


def fill(program: Path, python: Path, words: Sequence[str], *, say: Callable[[str], None] = print) -> int:
    """Carry out `launch.py wheels WORDS`. python: an interpreter with pip. Raises SetupFault with pip's error."""
    asked = _asked(words)
    folder = Path(asked.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    checks.disk(folder, checks.INSTALL_BYTES // 2, "the wheels")
    files = [environment.REQUIREMENTS, *([environment.TEST_REQUIREMENTS] if asked.tests else [])]
    command = command_line(python, folder, [program / name for name in files], platforms=asked.platform, version=asked.python)
    say(f"collecting wheels in {folder}; several GB the first time")
    done = subprocess.run(command, cwd=program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if done.returncode:
        raise SetupFault(pip.explain(done.stdout.splitlines(), command))
    count = len(list(folder.glob("*.whl")))
    say(f"{count} wheel{'' if count == 1 else 's'} in {folder}. On the other machine: python launch.py --wheels FOLDER")
    return 0


def command_line(
    python: Path, folder: Path, files: Sequence[Path], *, platforms: Sequence[str] = (), version: str | None = None
) -> list[str]:
    """The pip command. For a machine like this one packages without a wheel are built; for another one there must be a wheel."""
    named = [word for file in files for word in ("-r", str(file))]
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    if not platforms and not version:
        return [str(python), "-m", "pip", "wheel", *quiet, "--wheel-dir", str(folder), *named]
    aimed = [word for name in platforms for word in ("--platform", name)]
    aimed += ["--python-version", version] if version else []
    return [str(python), "-m", "pip", "download", *quiet, "--only-binary=:all:", *aimed, "--dest", str(folder), *named]


def _asked(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="launch.py wheels", description="Collect the packages of the program for a machine without a network."
    )
    parser.add_argument("folder", metavar="FOLDER", help="where the wheels go; what is there already is not fetched again")
    parser.add_argument("--platform", action="append", default=[], metavar="TAG", help="another system, as win_amd64; may be repeated")
    parser.add_argument("--python", metavar="VERSION", help=f"another Python, as 3.12; this is {sys.version_info[0]}.{sys.version_info[1]}")
    parser.add_argument("--tests", action="store_true", help="also what the tests need")
    return parser.parse_args(list(words))
