"""The releases of the program as its git repository knows them: versions, what was changed by hand, what differs between two of them.

Knows git; changes nothing but what `fetch` brings. Start reading at `releases`.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modules.faults import SetupFault

KEPT = ("ui-config.json",)  # tracked, and meant to be changed by hand: an update leaves it as the person has it
_VERSION = re.compile(r"v?(\d+(?:\.\d+)+)((?:a|b|rc|-alpha|-beta|-rc)[.\d]*)?")
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
ARCHIVE = (
    "This copy was unpacked from an archive, not cloned with git, so it cannot update itself. Download the newer release, unpack it "
    'beside this one and start it with --data-dir "{data}": it takes your settings, models and pictures from here. '
    "This copy stays as it is until you remove it."
)


@dataclass(frozen=True)
class Release:
    """version: "0.5.0"; tag: as git has it; commit: in full; early: a candidate, which is only taken when it is named."""

    version: str
    tag: str
    commit: str
    early: bool = False

    @property
    def order(self) -> tuple[tuple[int, ...], bool, str]:
        """Sorts old before new, a candidate before its release."""
        found = _VERSION.fullmatch(self.tag)
        return tuple(int(n) for n in found.group(1).split(".")) if found else (), not self.early, self.tag


@dataclass(frozen=True)
class Difference:
    """Files between two commits, by their paths: in both but not the same, only in the new one, only in the old one."""

    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def git(program: Path, *words: str, env: Mapping[str, str] | None = None, told: str = "") -> str:
    """What `git WORDS` in the program's folder prints. told: its standard input. Raises SetupFault with git's own words."""
    own = {k: v for k, v in os.environ.items() if k not in _MISLEADING} | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(env or {})}
    command = ["git", *words]
    try:
        done = subprocess.run(
            command, cwd=program, env=own, input=told, capture_output=True, text=True, encoding="utf-8", errors="surrogateescape",
            check=False,
        )  # fmt: skip
    except OSError as error:
        raise SetupFault(f"git cannot be run ({error}). Install git, or download the release as an archive.") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise SetupFault(f"`git {words[0]}` failed: {' '.join(said[-3:]) or f'exit {done.returncode}'}")
    return done.stdout


def require_clone(program: Path, data: Path) -> None:
    """Raises SetupFault, saying how else to get a newer version, when the program's folder is no git clone."""
    if not (program / ".git").exists():
        raise SetupFault(ARCHIVE.format(data=data))
    if shutil.which("git") is None:
        raise SetupFault("git is not installed, and this copy was made with it. Install git and try again.")


def fetch(program: Path) -> None:
    """Bring the tags of the remote repository. Raises SetupFault when it cannot be reached."""
    names = git(program, "remote").split()
    if not names:
        raise SetupFault("This clone has no remote repository to ask for releases. Add one: git remote add origin ADDRESS")
    remote = "origin" if "origin" in names else names[0]
    git(program, "fetch", "--tags", "--no-recurse-submodules", remote)


def releases(program: Path) -> list[Release]:
    """Every tag that is a version, old ones first."""
    lines = git(program, "for-each-ref", "refs/tags", "--format=%(refname:strip=2) %(objectname) %(*objectname)").splitlines()
    found: list[Release] = []
    for tag, *commits in (line.split() for line in lines):
        match = _VERSION.fullmatch(tag)
        if match:
            found.append(Release(match.group(1) + (match.group(2) or ""), tag, commits[-1], early=bool(match.group(2))))
    return sorted(found, key=lambda release: release.order)


def latest(known: list[Release]) -> Release | None:
    """The newest one that is no candidate."""
    return next((release for release in reversed(known) if not release.early), None)


def named(known: list[Release], wanted: str) -> Release:
    """The release a person means: "0.5.0" or "v0.5.0". Raises SetupFault, with those that are near, when there is none."""
    bare = wanted.removeprefix("v")
    for release in known:
        if bare in (release.version, release.tag.removeprefix("v")):
            return release
    versions = [release.version for release in known]
    near = difflib.get_close_matches(bare, versions, n=3, cutoff=0.5) or versions[-3:]
    raise SetupFault(f"There is no release {wanted}. " + (f"There is {', '.join(near)}." if near else "There are no releases at all."))


def head(program: Path) -> tuple[str, str | None]:
    """(the commit that is checked out, its branch or None)."""
    commit = git(program, "rev-parse", "--verify", "HEAD").strip()
    branch = git(program, "branch", "--show-current").strip()
    return commit, branch or None


def contains(program: Path, commit: str, older: str) -> bool:
    """Is `older` an ancestor of `commit`, or the same?"""
    return not git(program, "rev-list", "-1", f"{commit}..{older}").strip()


def changed_by_hand(program: Path) -> list[str]:
    """Tracked files that are not as the checked-out commit has them, without those of KEPT."""
    lines = git(program, "status", "--porcelain", "--untracked-files=no", "--no-renames", "-z").split("\0")
    return sorted(line[3:] for line in lines if line and line[3:] not in KEPT)


def difference(program: Path, old: str, new: str) -> Difference:
    """What has to be changed on the disk to go from one commit to the other; a file of KEPT that was changed by hand is not in it."""
    words = git(program, "diff-tree", "-r", "-z", "--no-renames", "--name-status", old, new).split("\0")
    kinds: dict[str, list[str]] = {"M": [], "A": [], "D": []}
    kept = {path for path in KEPT if git(program, "status", "--porcelain", "--untracked-files=no", "--", path).strip()}
    for kind, path in zip(words[::2], words[1::2], strict=False):
        if path not in kept:
            kinds["M" if kind == "T" else kind].append(path)
    return Difference(*(tuple(sorted(kinds[kind])) for kind in "MAD"))


def version_of(program: Path, commit: str, known: list[Release]) -> str:
    """What a commit is called: its release, or what its own files say and its first letters."""
    for release in known:
        if release.commit == commit:
            return release.version
    text = git(program, "show", f"{commit}:modules/__init__.py")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    return f"{found.group(1) if found else 'unknown'} ({commit[:8]})"
