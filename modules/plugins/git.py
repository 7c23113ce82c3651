"""git as a program: fetch an extension, look whether there is something newer, take it over. Asks other machines, when a person says so.

Knows git's commands; knows nothing about what an extension is. Start reading at `clone`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from modules.faults import Fault

CLONE_S = 900.0
ASK_S = 60.0
# No questions at a terminal that nobody looks at, no programs named by an address.
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
}
_OFFLINE = (
    "Could not resolve host",
    "unable to access",
    "Connection refused",
    "Network is unreachable",
    "Connection timed out",
    "unable to look up",
)


class GitFault(Fault):
    """git is not there, or could not do what was asked. offline: the other machine could not be reached."""

    kind = "git"

    def __init__(self, message: str, *, offline: bool = False) -> None:
        super().__init__(message, offline=offline)
        self.offline = offline


@dataclass(frozen=True, kw_only=True)
class News:
    """behind: how many commits the other side has more; commit: the newest there; said: the newest one's first line."""

    behind: int
    commit: str
    said: str


def there() -> bool:
    """git can be called."""
    return shutil.which("git") is not None


def clone(url: str, folder: Path, branch: str = "") -> None:
    """Fetch a repository into a folder that is not there yet. Raises GitFault."""
    run(folder.parent, "clone", *(("--branch", branch) if branch else ()), "--", url, str(folder), wait_s=CLONE_S)


def news(folder: Path) -> News:
    """What the other side has that this folder does not. Raises GitFault, `offline` when it cannot be reached."""
    _must_be_own(folder)
    run(folder, "fetch", "--quiet", "origin", wait_s=CLONE_S)
    upstream = _upstream(folder)
    behind = int(run(folder, "rev-list", "--count", f"HEAD..{upstream}") or 0)
    commit, _, said = run(folder, "log", "-1", "--format=%H %s", upstream).partition(" ")
    return News(behind=behind, commit=commit, said=said[:200])


def update(folder: Path) -> str:
    """Take over what was fetched; the new commit. Raises GitFault, also when files were changed here by hand."""
    _must_be_own(folder)
    changed = run(folder, "status", "--porcelain", "--untracked-files=no")
    if changed:
        names = ", ".join(line[2:].strip() for line in changed.splitlines()[:5])
        raise GitFault(f"Files of {folder.name} were changed here ({names}). Put them back, or remove the extension and install it again.")
    upstream = _upstream(folder)
    if run(folder, "rev-list", "--count", f"{upstream}..HEAD") not in ("", "0"):
        raise GitFault(f"{folder.name} has commits of its own that the other side does not have. Remove it and install it again.")
    run(folder, "reset", "--quiet", "--hard", upstream)
    return run(folder, "rev-parse", "HEAD")


def date_of(folder: Path) -> int | None:
    """When the commit that is checked out was made, in seconds since 1970; None when git cannot tell."""
    try:
        _must_be_own(folder)
        found = run(folder, "log", "-1", "--format=%ct")
    except GitFault:
        return None
    return int(found) if found.isdecimal() else None


def run(folder: Path, *words: str, wait_s: float = ASK_S) -> str:
    """What git prints, without the last line break. Raises GitFault with git's own words."""
    if not there():
        raise GitFault("git is not installed on this machine. Install it, or download the extension as a .zip and install that.")
    command = ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", *words]
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_DIR")} | _QUIET
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=wait_s, check=False, encoding="utf-8",
            errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise GitFault(f"git {words[0]} took longer than {wait_s:.0f} s. Check the network and try again.", offline=True) from error
    except OSError as error:
        raise GitFault(f"git cannot be run: {error}.") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        text = " ".join(lines[-2:]) or f"exit {done.returncode}"
        if any(sign in done.stderr for sign in _OFFLINE):
            raise GitFault(f"The address cannot be reached from this machine: {text}", offline=True)
        raise GitFault(f"git {words[0]} failed: {text}")
    return done.stdout.rstrip("\n")


def _must_be_own(folder: Path) -> None:
    """A folder without a .git of its own may lie inside somebody else's repository: the program's."""
    if not (folder / ".git").exists():
        raise GitFault(f"{folder.name} did not come by git, so there is nothing to ask. Remove it and install it from its address.")


def _upstream(folder: Path) -> str:
    """The branch of the other side that this one follows."""
    branch = run(folder, "rev-parse", "--abbrev-ref", "HEAD")
    if branch == "HEAD":
        return "origin/HEAD"
    return f"origin/{branch}"
