"""What a training on another machine makes comes home: states, samples, log and results, each file when it is new, known by its digest.

Two sides: `Homeward` sends, `settle` gives the files their places in the session of the page's machine. A state comes whole or not at all,
so that a machine that is lost takes no more with it than what was learnt since the last state. Knows nothing about Ray.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from modules.cluster.blobs import Blobs
from modules.cluster.fetching import RESULTS, files_of
from modules.cluster.goods import Digests, Goods
from modules.cluster.sending import Calls, send
from modules.faults import DiskFault
from modules.folders import safe_join, sync_folder

STATE = "state"
MIRRORED = (STATE, "output")  # what is gone there goes here too


class Homeward:
    """folder: the session's, on the machine that trains; desk: at home; notes: file for digests."""

    def __init__(self, folder: Path, desk: Calls, notes: Path) -> None:
        self._folder = folder
        self._desk = desk
        self._digests = Digests(notes)
        self._sent = self._listing()  # as it has come from there

    def bring(self) -> None:
        """Everything that is new. Raises what the desk raises, OSError."""
        now = self._listing()
        files = {digest: self._folder / below for below, digest in now.items() if self._sent.get(below) != digest}
        send(Goods(files=files, placed=now), self._desk, "", say=lambda text: None, stopped=lambda: False)
        self._sent = now

    def _listing(self) -> dict[str, str]:
        """Path below -> digest of all that was made; an empty file says nothing."""
        paths = [path for part in (STATE, *RESULTS) for path in files_of(self._folder / part) if path.stat().st_size]
        return {path.relative_to(self._folder).as_posix(): self._digests.of(path) for path in paths}


def settle(blobs: Blobs, folder: Path, placed: Mapping[str, str]) -> None:
    """Give files their places. placed: path below the session -> digest, of all that is to be there; those that did not come lie there.

    Raises DiskFault.
    """
    came = {below: digest for below, digest in placed.items() if blobs.have(digest)[1]}
    try:
        for state in sorted({PurePosixPath(below).parent for below in came if _is_of_state(below)}):
            files = {below: came[below] for below in came if PurePosixPath(below).parent == state}
            _place_folder(blobs, safe_join(folder, str(state)), files)
        for below, digest in came.items():
            if not _is_of_state(below):
                _place(blobs, safe_join(folder, below), digest)
        for part in MIRRORED:
            for path in files_of(folder / part):
                if path.relative_to(folder).as_posix() not in placed:
                    path.unlink()
            _sweep(folder / part)
    except OSError as error:
        raise DiskFault(f"cannot keep what a training made in {folder}: {error.strerror or error}. Free some space.") from error
    for digest in set(came.values()):
        blobs.forget(digest)


def _is_of_state(below: str) -> bool:
    """One of the files of a state, as in state/step-000250/manifest.json."""
    parts = PurePosixPath(below).parts
    return parts[0] == STATE and len(parts) > 2


def _place_folder(blobs: Blobs, target: Path, files: Mapping[str, str]) -> None:
    """A folder with these files and no others, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temp = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new-"))
    try:
        for below, digest in files.items():
            _place(blobs, temp / PurePosixPath(below).name, digest)
        os.chmod(temp, 0o755)
        if target.exists():
            shutil.rmtree(target)
        os.rename(temp, target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def _place(blobs: Blobs, path: Path, digest: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.tmp")
    shutil.copyfile(blobs.view(path.name, {"": digest}), temp)
    with temp.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temp, path)
    sync_folder(path.parent)


def _sweep(root: Path) -> None:
    """Folders that have become empty go."""
    for path in sorted(root.rglob("*"), reverse=True) if root.is_dir() else ():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
