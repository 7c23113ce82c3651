"""The program's files go from one commit to another, so that at every moment either the old version starts or the new one does.

The new tree is laid out beside the old one first. Then a journal and the files that will be replaced are written down, then each file is
replaced whole by a rename; `recover.py` takes it back when that is cut off. Start reading at `switch`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from modules.faults import SetupFault
from modules.folders import write_atomic
from modules.setup import recover
from modules.setup.releases import Difference, git, head

FOLDER = ".update"
HEAVY = "models/"  # what the check of a new version needs no copy of


def lay_out(program: Path, commit: str) -> Path:
    """The files of a commit in .update/tree, without models; the place. What lay there goes. Raises SetupFault."""
    paths = git(program, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    return _write_out(program, commit, "tree", [path for path in paths if path and not path.startswith(HEAVY)])


def in_the_way(program: Path, tree: Path, added: Sequence[str]) -> list[str]:
    """Files of the person where the new version has some of its own: those that are not the same."""
    return [path for path in added if os.path.lexists(program / path) and not _same(program / path, tree / path)]


def switch(program: Path, commit: str, found: Difference, *, notes: Mapping[str, str | None], branch: str | None = None) -> None:
    """Replace the files and have git say the new commit. notes: files of .update that change with them, None for one that goes.

    branch: one that is at this commit, to be on again. Raises SetupFault when something fails; everything is as before then.
    """
    folder = program / FOLDER
    before, before_branch = head(program)
    tree = _write_out(program, commit, "new", [*found.changed, *found.added])
    _write_out(program, before, "old", [*found.changed, *found.removed])
    journal = {"commit": before, "branch": before_branch, "to": commit, "pid": os.getpid()}
    files = {"changed": found.changed, "added": found.added, "removed": found.removed}
    noted = {name: read_note(program, name) for name in notes}
    write_atomic(folder / "journal.json", json.dumps({**journal, **files, "notes": noted}).encode())
    if hasattr(os, "sync"):
        os.sync()
    write_atomic(folder / "recover.py", Path(recover.__file__).read_bytes())
    try:
        for path in [*found.changed, *found.added]:
            (program / path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(tree / path, program / path)
        for path in found.removed:
            (program / path).unlink(missing_ok=True)
        for name, text in notes.items():
            _note(folder / name, text)
        git(program, "read-tree", commit)
        git(program, *(["symbolic-ref", "HEAD", f"refs/heads/{branch}"] if branch else ["update-ref", "--no-deref", "HEAD", commit]))
    except (OSError, SetupFault) as error:
        recover.recover(str(folder))
        raise SetupFault(f"The files could not be replaced ({error}). Everything is as it was.") from error
    (folder / "recover.py").unlink()
    _tidy(program, found.removed)


def read_note(program: Path, name: str) -> str | None:
    """A file of .update; None when there is none."""
    try:
        return (program / FOLDER / name).read_text(encoding="utf-8")
    except OSError:
        return None


def _note(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
    else:
        write_atomic(path, text.encode())


def forget_layout(program: Path) -> None:
    """Remove what was laid out for a switch."""
    for name in ("tree", "new", "old"):
        shutil.rmtree(program / FOLDER / name, ignore_errors=True)
    (program / FOLDER / "index").unlink(missing_ok=True)


def _write_out(program: Path, commit: str, name: str, paths: Sequence[str]) -> Path:
    """Files of a commit as git would check them out, in .update/NAME."""
    place = program / FOLDER / name
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True)
    index = program / FOLDER / "index"
    index.unlink(missing_ok=True)
    own = {"GIT_INDEX_FILE": str(index)}
    git(program, "read-tree", commit, env=own)
    git(program, "checkout-index", "-z", "--stdin", f"--prefix={FOLDER}/{name}/", env=own, told="".join(f"{path}\0" for path in paths))
    return place


def _same(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except OSError:
        return False


def _tidy(program: Path, removed: Sequence[str]) -> None:
    """Folders that have nothing left in them but compiled leftovers."""
    for folder in sorted({(program / path).parent for path in removed}, key=lambda p: -len(p.parts)):
        while folder != program and folder.is_dir() and all(child.name == "__pycache__" for child in folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
            folder = folder.parent
