"""What an extension wants installed, and whether the program's tested set allows it. Installs nothing.

A wish is a line such as "numpy>=1.2"; it comes from requirements.txt, or from a call of `launch.run_pip` in install.py, which
`install_child` writes down. Knows names and versions; knows nothing about pip. Start reading at `judge`.
"""

from __future__ import annotations

import importlib.metadata
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from modules.folders import PROGRAM

LOCK = "requirements.txt"
LINES = 500
# Words of pip that change nothing about which packages are wanted.
_HARMLESS = frozenset({
    "install", "-q", "--quiet", "-U", "--upgrade", "--no-cache-dir", "--prefer-binary", "--no-warn-script-location", "--no-input",
    "--disable-pip-version-check", "--no-build-isolation", "--only-if-needed", "-v",
})  # fmt: skip
_FILE = ("-r", "--requirement")


@dataclass(kw_only=True)
class Verdict:
    """install: what may be installed, as pip takes it; here: what is there already; refused: why not, in words, by wish."""

    install: list[str] = field(default_factory=list[str])
    here: list[str] = field(default_factory=list[str])
    refused: dict[str, str] = field(default_factory=dict[str, str])


def locked(program: Path = PROGRAM) -> dict[str, str]:
    """Canonical name -> version that nothing may change: the tested set, then what is installed of all that it needs."""
    found: dict[str, str] = {}
    for line in (program / LOCK).read_text(encoding="utf-8").splitlines():
        wish = _requirement(line.partition("#")[0].strip())
        pin = next((s.version for s in wish.specifier if s.operator == "=="), "") if wish is not None else ""
        if wish is not None and pin:
            found[canonicalize_name(wish.name)] = pin
    waiting = list(found)
    seen = set(found)
    while waiting:
        for name in _needed(waiting.pop()):
            if name not in seen and (version := installed(name)):
                seen.add(name)
                waiting.append(name)
                found[name] = version
    return found


def installed(name: str) -> str:
    """The version of a package that is here, "" when it is not."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def of_file(path: Path) -> list[str]:
    """The wishes of a requirements file, and of those that it names. Nothing when it cannot be read."""
    return _lines(path, set())


def of_command(command: str, folder: Path) -> list[str]:
    """The wishes of what follows "pip" on a command line, such as "install numpy==1.2". folder: that relative files are looked for in.

    What is no installing, or asks for another index, stays one wish of its own, which `judge` refuses.
    """
    try:
        words = shlex.split(command.replace("\\", "/"))
    except ValueError:
        return [command]
    found: list[str] = []
    if "install" not in words:
        return [command]
    while words:
        word = words.pop(0)
        if word in _FILE and words:
            found += of_file(folder / words.pop(0))
        elif word.startswith("--requirement="):
            found += of_file(folder / word.partition("=")[2])
        elif word.startswith("-r") and len(word) > 2 and not word.startswith("--"):
            found += of_file(folder / word[2:])
        elif word.startswith("-") and word not in _HARMLESS:
            return [command]
        elif word not in _HARMLESS:
            found.append(word)
    return found


def judge(wishes: Iterable[str], lock: Mapping[str, str]) -> Verdict:
    """Each wish against the lock: there already, to be installed, or refused with names and versions."""
    verdict = Verdict()
    for text in dict.fromkeys(wish.strip() for wish in wishes):
        wish = _requirement(text)
        if wish is None:
            verdict.refused[text] = "this is no plain name of a package with versions; install it by hand if you trust it"
            continue
        if wish.marker is not None and not wish.marker.evaluate():
            continue
        name = canonicalize_name(wish.name)
        if name in lock:
            if wish.url is not None or not _contains(wish, lock[name]):
                asked = wish.url or str(wish.specifier)
                verdict.refused[text] = f"{wish.name} {asked} is wanted; this program works with {wish.name} {lock[name]} and keeps it"
            else:
                verdict.here.append(text)
        elif wish.url is not None:
            verdict.refused[text] = f"{wish.name} would come from {wish.url}, past the package index; install it by hand if you trust it"
        elif (version := installed(name)) and _contains(wish, version):
            verdict.here.append(text)
        else:
            verdict.install.append(text)
    return verdict


def missing(path: Path) -> list[str]:
    """The wishes of a requirements file that are not met by what is installed."""
    verdict = judge(of_file(path), {})
    return [*verdict.install, *verdict.refused]


def _contains(wish: Requirement, version: str) -> bool:
    try:
        plain = Version(version).public  # 2.1+cpu is 2.1 for those who ask for it
    except InvalidVersion:
        return False
    return wish.specifier.contains(plain, prereleases=True)


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _needed(name: str) -> list[str]:
    """Canonical names of what an installed package needs here."""
    try:
        wishes = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = [wish for text in wishes if (wish := _requirement(text)) is not None]
    return [canonicalize_name(wish.name) for wish in found if wish.marker is None or wish.marker.evaluate({"extra": ""})]


def _lines(path: Path, seen: set[Path]) -> list[str]:
    if path.resolve() in seen or not path.is_file():
        return []
    seen.add(path.resolve())
    found: list[str] = []
    for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()[:LINES]:
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        if text.startswith(_FILE):
            found += _lines(path.parent / text.split(maxsplit=1)[-1].strip(), seen)
        elif text:
            found.append(text)
    return found
