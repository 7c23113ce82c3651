"""`python launch.py update` and `rollback`: to a release and back, where the program was cloned with git.

Everything is made ready and tried beside the version that is in use; then the files are switched (`switching`). Models, pictures, settings
and the job list are never touched; what was used before stays until the next update. Start reading at `update`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import SetupFault
from modules.flags import Flags
from modules.setup import checks, environment, pip, releases, running, switching
from modules.setup.releases import Release

FORMER, VENV = "former.json", "venv"
CHECK_TIMEOUT_S = 600.0
MOST_LISTED = 12
Say = Callable[[str], None]


def check_starts(python: Path, tree: Path) -> str:
    """What keeps the copy in `tree` from starting with this Python; "" when nothing does."""
    words = ["-m", "modules.setup.starts"] if (tree / "modules" / "setup" / "starts.py").exists() else ["-c", "import modules.app"]
    try:
        done = subprocess.run([str(python), *words], cwd=tree, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return "" if done.returncode == 0 else (said[-1] if said else f"it ended with {done.returncode}")


@dataclass(frozen=True, kw_only=True)
class Means:
    """What reaches beyond the program's own files. make_venv(folder); install: as `pip.install`; check: as `check_starts`."""

    make_venv: Callable[[Path], None] = environment.make_venv
    install: Callable[..., None] = pip.install
    check: Callable[[Path, Path], str] = check_starts


def update(program: Path, flags: Flags, *, say: Say, means: Means | None = None) -> int:
    """Carry out `launch.py update WORDS`. Raises SetupFault, with everything as before, when it cannot be done."""
    asked = _asked(flags.rest)
    data = Path(flags.data_dir or program).resolve()
    releases.require_clone(program, data)
    releases.fetch(program)
    known = releases.releases(program)
    commit, branch = releases.head(program)
    here = releases.version_of(program, commit, known)
    wanted = releases.named(known, asked.to) if asked.to else releases.latest(known)
    if wanted is None:
        say(f"This is {here}. There is no release yet.")
        return 0
    if commit == wanted.commit or (not asked.to and releases.contains(program, commit, wanted.commit)):
        say(f"This is {here}; the latest release is {wanted.version}. There is nothing to do.")
        return 0
    if asked.check:
        say(f"This is {here}. {wanted.version} can be had: python launch.py update" + (f" --to {wanted.version}" if asked.to else ""))
        return 0
    _take(program, flags, wanted, (commit, branch, here), data, say, means or Means())
    say(f"Updated from {here} to {wanted.version}. `python launch.py rollback` goes back.")
    return 0


def rollback(program: Path, flags: Flags, *, say: Say) -> int:
    """Carry out `launch.py rollback`: the version and the environment before the last update. Raises SetupFault."""
    data = Path(flags.data_dir or program).resolve()
    releases.require_clone(program, data)
    former = _former(program)
    commit, _ = releases.head(program)
    if former is None or commit != former["to"]:
        raise SetupFault("There is no update to go back from. `python launch.py update --to VERSION` takes any release.")
    _refuse_busy(program, data)
    found = releases.difference(program, commit, former["commit"])
    switching.lay_out(program, former["commit"])
    _refuse_in_the_way(program, found.added)
    branch = former["branch"] if former["branch"] and _is_at(program, former["branch"], former["commit"]) else None
    switching.switch(program, former["commit"], found, notes={VENV: former["venv"], FORMER: None}, branch=branch)
    switching.forget_layout(program)
    say(f"Back at {former['version']}.")
    for line in _jobs_back(data, former.get("jobs_format")):
        say(line)
    return 0


def _asked(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="launch.py update", description="Bring the program to a release; models and pictures stay.")
    parser.add_argument("--to", metavar="VERSION", help="this release, older ones too; without it the latest")
    parser.add_argument("--check", action="store_true", help="only say whether there is a newer release")
    return parser.parse_args(list(words))


def _take(program: Path, flags: Flags, wanted: Release, was: tuple[str, str | None, str], data: Path, say: Say, means: Means) -> None:
    """Make the release ready beside what there is, try it, and switch to it."""
    commit, branch, here = was
    _refuse_busy(program, data)
    say(f"Preparing {wanted.version}; {here} stays in use until it is ready.")
    tree = switching.lay_out(program, wanted.commit)
    found = releases.difference(program, commit, wanted.commit)
    _refuse_in_the_way(program, found.added)
    used = environment.home(program).name
    venv = _environment_for(program, flags, tree, wanted, say, means)
    python = environment.python_of(program / venv) if venv else Path(sys.executable)
    say("Trying the new version.")
    if problem := means.check(python, tree):
        raise SetupFault(f"{wanted.version} does not start on this machine, so {here} stays: {problem}")
    former = {"commit": commit, "branch": branch, "version": here, "venv": used, "to": wanted.commit, "jobs_format": _jobs_format(data)}
    notes = {VENV: venv or used, FORMER: json.dumps(former)}
    switching.switch(program, wanted.commit, found, notes=notes)
    switching.forget_layout(program)
    _remove_old(program, keep={venv or used, used}, say=say)


def _environment_for(program: Path, flags: Flags, tree: Path, wanted: Release, say: Say, means: Means) -> str:
    """Name of the folder with the packages of the release: one that has them already, else a new one. "": this Python has them.

    Raises SetupFault when this Python is not ours and lacks some of them.
    """
    requirements = tree / environment.REQUIREMENTS
    if not environment.find(program, no_venv=flags.no_venv).own:
        missing, _ = environment.compare(requirements)
        if missing:
            command = pip.quoted([sys.executable, "-m", "pip", "install", *missing])
            raise SetupFault(f"{wanted.version} needs other packages than this Python has. Install them first:\n    {command}")
        return ""
    for venv in environment.homes(program):
        if environment.python_of(venv).exists() and environment.is_stamped(venv, requirements):
            return venv.name
    venv = program / f"venv-{wanted.version}"
    checks.disk(program, checks.INSTALL_BYTES, "installing the packages of the new version")
    if not environment.python_of(venv).exists():
        say(f"making {venv}")
        means.make_venv(venv)
    environment.clean_interrupted(venv)
    say(f"installing {environment.REQUIREMENTS} of {wanted.version}")
    words = [*environment.from_wheels(flags.wheels), "-r", str(requirements)]
    means.install(environment.python_of(venv), words, log=program / "log" / "install.log", say=lambda text: say(f"  {text}"), cwd=tree)
    environment.stamp(venv, requirements)
    return venv.name


def _refuse_busy(program: Path, data: Path) -> None:
    """Raises SetupFault when the program runs, or files of it were changed by hand."""
    if who := running.holder(data):
        raise SetupFault(f"The program runs ({who}). End it first, then update.")
    if changed := releases.changed_by_hand(program):
        raise SetupFault(
            f"These files of the program were changed here:\n{_listed(changed)}\n"
            "Keep your changes with `git stash` or a commit, or drop one with `git checkout -- FILE`; then update."
        )


def _refuse_in_the_way(program: Path, added: Sequence[str]) -> None:
    taken = switching.in_the_way(program, program / switching.FOLDER / "tree", added)
    if taken:
        raise SetupFault(f"The other version has files where you have some of your own:\n{_listed(taken)}\nMove them away and try again.")


def _listed(paths: Sequence[str]) -> str:
    more = [f"    and {len(paths) - MOST_LISTED} more"] if len(paths) > MOST_LISTED else []
    return "\n".join([*(f"    {path}" for path in paths[:MOST_LISTED]), *more])


def _former(program: Path) -> dict[str, Any] | None:
    try:
        return json.loads(switching.read_note(program, FORMER) or "null")
    except ValueError:
        return None


def _is_at(program: Path, branch: str, commit: str) -> bool:
    return releases.git(program, "for-each-ref", f"refs/heads/{branch}", "--format=%(objectname)").strip() == commit


def _remove_old(program: Path, keep: set[str], say: Say) -> None:
    """Environments that neither this version nor the one before uses."""
    for venv in environment.homes(program):
        if venv.name not in keep and (venv / environment.STAMP).exists() and Path(sys.prefix).resolve() != venv.resolve():
            say(f"removing {venv}, which no version uses any more")
            shutil.rmtree(venv, ignore_errors=True)


def _jobs_format(data: Path) -> int | None:
    """The format of the job list of a data folder; None when there is none yet."""
    path = data / "cache" / "jobs.sqlite"
    if not path.exists():
        return None
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def _jobs_back(data: Path, wanted: int | None) -> list[str]:
    """Put the job list of before in place of one that the newer version has changed. What was done, in words."""
    path = data / "cache" / "jobs.sqlite"
    present = _jobs_format(data)
    kept = path.with_name(f"jobs.format-{wanted}.sqlite")
    if wanted is None or present is None or present <= wanted:
        return []
    if not kept.exists():
        return [f"The job list {path} was changed by the newer version; move it away to start with an empty one."]
    aside = path.with_name(f"jobs.format-{present}.sqlite")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.replace(aside)
    for rest in ("-wal", "-shm"):
        path.with_name(f"{path.name}{rest}").unlink(missing_ok=True)
    whole = path.with_name(f".{path.name}.back")
    shutil.copy2(kept, whole)
    whole.replace(path)
    return [f"The job list is the one of before the update; the newer one lies beside it as {aside.name}."]
