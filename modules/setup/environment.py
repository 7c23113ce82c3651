"""The Python environment of the program: venv/ beside launch.py, or an active one, with the packages it needs.

After an update it may be another folder beside it, which a note in .update/ names.

A stamp, written last, says which requirements were installed; so an interrupted install is taken up again by the next
start, and a start with nothing to do costs milliseconds. Start reading at `ensure`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modules.faults import SetupFault
from modules.setup import checks, pip

REQUIREMENTS = "requirements.txt"
TEST_REQUIREMENTS = "requirements-test.txt"
CLUSTER_REQUIREMENTS = "requirements-cluster.txt"
STAMP = "installed.json"
OWN, NOTE = "venv", ".update/venv"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;#]+)")


@dataclass(frozen=True)
class Environment:
    """python: the interpreter to run the program with. own: it is our venv/; current: this process already runs in it."""

    python: Path
    own: bool
    current: bool


def find(program: Path, *, no_venv: bool) -> Environment:
    """The environment to use: this one when it is a virtual one or --no-venv is given, else venv/ beside the program."""
    own = home(program)
    inside_own = Path(sys.prefix).resolve() == own.resolve()
    if inside_own:
        return Environment(Path(sys.executable), own=True, current=True)
    if no_venv or sys.prefix != sys.base_prefix:
        return Environment(Path(sys.executable), own=False, current=True)
    return Environment(python_of(own), own=True, current=False)


def home(program: Path) -> Path:
    """The folder of our own environment, which need not exist yet: venv, or the one that an update made."""
    try:
        name = (program / NOTE).read_text(encoding="utf-8").strip()
    except OSError:
        name = ""
    return program / (name if name.startswith(f"{OWN}-") and "/" not in name and (program / name).is_dir() else OWN)


def homes(program: Path) -> list[Path]:
    """The environments of ours that there are: venv and those that updates made."""
    return [path for path in (program / OWN, *sorted(program.glob(f"{OWN}-*"))) if (path / "pyvenv.cfg").exists()]


def from_wheels(folder: str | None) -> list[str]:
    """Words that have pip install from a folder of wheels alone; none without a folder. Raises SetupFault when it is not there."""
    if not folder:
        return []
    place = Path(folder).resolve()
    if not place.is_dir():
        raise SetupFault(f"{place} is no folder. `python launch.py wheels FOLDER` fills one on a machine with a network.")
    return ["--no-index", "--find-links", str(place)]


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ensure(
    program: Path,
    *,
    no_venv: bool = False,
    skip_install: bool = False,
    tests: bool = False,
    cluster: bool = False,
    wheels: str | None = None,
    say: Callable[[str], None] = print,
) -> Environment:
    """The environment with everything installed; installs what is missing. tests: also what the tests need, cluster: what workers on
    other machines need; wheels: a folder of wheels to install from instead of the network.

    Raises SetupFault with pip's error, or with what is missing where nothing may be installed.
    """
    environment = find(program, no_venv=no_venv)
    source = from_wheels(wheels)
    more = {TEST_REQUIREMENTS: tests, CLUSTER_REQUIREMENTS: tests or cluster}
    files = [REQUIREMENTS, *(name for name, wanted in more.items() if wanted)]
    for name in files:
        if environment.own:
            _fill_own(program, environment, name, source, skip_install=skip_install, say=say)
        else:
            _fill_given(program, environment, name, source, skip_install=skip_install or no_venv, say=say)
    return environment


def _fill_own(
    program: Path, environment: Environment, name: str, source: list[str], *, skip_install: bool, say: Callable[[str], None]
) -> None:
    """Create venv/ if need be and install one requirements file into it, unless its stamp says that this was done."""
    venv = home(program)
    python = environment.python
    if python.exists() and is_stamped(venv, program / name):
        return
    if skip_install:
        if python.exists():
            return
        raise SetupFault(f"There is no environment in {venv}, and --skip-install forbids making one. Start once without it.")
    checks.disk(program, _install_bytes(venv), "installing the packages")
    if not _works(python):
        say(f"making {venv}")
        make_venv(venv)
    clean_interrupted(venv)
    say(f"installing {name}; several GB the first time")
    pip.install(python, [*source, "-r", name], log=program / "log" / "install.log", say=lambda text: say(f"  {text}"), cwd=program)
    stamp(venv, program / name)


def _fill_given(
    program: Path, environment: Environment, name: str, source: list[str], *, skip_install: bool, say: Callable[[str], None]
) -> None:
    """Install what an environment that is not ours lacks; leave what it has, and say which versions were not tested."""
    missing, other = compare(program / name)
    if other:
        say(f"other versions than the tested ones: {', '.join(other)}")
    if not missing:
        return
    if skip_install:
        command = pip.quoted([str(environment.python), "-m", "pip", "install", *missing])
        lacking = ", ".join(missing)
        raise SetupFault(f"This Python lacks {lacking}. Install with:\n    {command}\nor start without --no-venv and --skip-install.")
    checks.disk(Path(sys.prefix), checks.RUN_BYTES, "installing the packages")
    say(f"installing {', '.join(missing)}")
    pip.install(
        environment.python, [*source, *missing], log=program / "log" / "install.log", say=lambda text: say(f"  {text}"), cwd=program
    )


def compare(requirements: Path) -> tuple[list[str], list[str]]:
    """(requirements that this Python lacks, "name version (tested: version)" of those it has in another version)."""
    missing: list[str] = []
    other: list[str] = []
    for name, version in pins(requirements):
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"{name}=={version}")
            continue
        if here.partition("+")[0] != version:
            other.append(f"{name} {here} (tested: {version})")
    return missing, other


def pins(requirements: Path) -> list[tuple[str, str]]:
    """The (name, version) lines of a requirements file. Raises SetupFault when it is not there."""
    try:
        lines = requirements.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SetupFault(f"{requirements.name} cannot be read: {error}. Restore it from the program's sources.") from error
    return [(m.group(1), m.group(2)) for line in lines if (m := _PIN.match(line.strip()))]


def make_venv(venv: Path) -> None:
    """A fresh virtual environment in place of a broken one. Raises SetupFault; never removes a folder that is not one."""
    if venv.exists():
        if any(venv.iterdir()) and not (venv / "pyvenv.cfg").exists():
            raise SetupFault(f"{venv} is not a virtual environment. Move it away and start again.")
        shutil.rmtree(venv)
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        package = f"python3.{sys.version_info.minor}-venv"
        hint = f"Run: apt install {package}" if "ensurepip" in said else "Start with --no-venv to use this Python as it is."
        raise SetupFault(f"No virtual environment could be made in {venv}:\n{said}\n{hint}")


def _works(python: Path) -> bool:
    """Does this interpreter run and have pip? Not so after an interruption, or when the Python under it was removed."""
    if not python.exists():
        return False
    try:
        return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def clean_interrupted(venv: Path) -> list[str]:
    """Forget packages whose unpacking was cut off, so that pip unpacks them again. Returns their names.

    pip writes INSTALLER (and then RECORD) when all files of a package lie in place; without it the package is a part.
    """
    cut: list[str] = []
    for info in venv.glob("[Ll]ib*/**/site-packages/*.dist-info"):
        if not (info / "INSTALLER").exists() or not (info / "RECORD").exists():
            shutil.rmtree(info)
            cut.append(info.name.partition("-")[0])
    return cut


def is_stamped(venv: Path, requirements: Path) -> bool:
    """Were these requirements, as they stand now, installed completely for this environment's Python?"""
    return _read_stamp(venv).get(requirements.name) == _signature(venv, requirements)


def stamp(venv: Path, requirements: Path) -> None:
    """Note that the requirements are installed. The last act of an install."""
    done = {**_read_stamp(venv), requirements.name: _signature(venv, requirements)}
    temp = venv / f".{STAMP}.tmp"
    temp.write_text(json.dumps(done, indent=1), encoding="utf-8")
    os.replace(temp, venv / STAMP)


def _read_stamp(venv: Path) -> dict[str, str]:
    try:
        noted = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _signature(venv: Path, requirements: Path) -> str:
    """Of the file's content and the environment's Python version."""
    try:
        lines = (venv / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
        version = next((line.partition("=")[2].strip() for line in lines if line.startswith("version")), "")
        return f"{hashlib.sha256(requirements.read_bytes()).hexdigest()} {version}"
    except OSError as error:
        hint = "Restore it, or remove the folder venv, and start again."
        raise SetupFault(f"{error.filename} cannot be read: {error.strerror}. {hint}") from error


def _install_bytes(venv: Path) -> int:
    """Space still to be asked for: less when an earlier install got part of the way."""
    there = sum(f.stat(follow_symlinks=False).st_size for f in venv.rglob("*") if f.is_file()) if venv.is_dir() else 0
    return max(checks.GIB, checks.INSTALL_BYTES - 2 * there)
