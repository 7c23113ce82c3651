"""Files kept by what they hold, on a machine that works for another one: each comes once, in pieces, and is checked when it is whole.

Knows bytes, digests and a limit of disk space; knows nothing about Ray or jobs. Several processes may use one folder.
Start reading at `Blobs.have`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import filelock

from modules.faults import DiskFault, ModelFault
from modules.folders import sync_folder, write_atomic
from modules.weights.hashes import file_sha256

RECENT_S = 900.0
_DIGEST = re.compile("[0-9a-f]{64}")


class Blobs:
    """folder: of its own; budget_bytes: as much lies there at most, but for what jobs of the last quarter of an hour needed."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._whole = folder / "whole"
        self._parts = folder / "parts"
        self._views = folder / "views"
        self._budget_bytes = budget_bytes
        for each in (self._whole, self._parts, self._views):
            each.mkdir(parents=True, exist_ok=True)

    def have(self, digest: str) -> tuple[int, bool]:
        """(bytes that are here, it is whole). digest: SHA-256 in hex. Raises ValueError for another text."""
        if self._path(digest).is_file():
            return self._path(digest).stat().st_size, True
        part = self._part(digest)
        return (part.stat().st_size if part.is_file() else 0), False

    def put(self, digest: str, offset_bytes: int, data: bytes) -> int:
        """Add a piece behind what is here; how many bytes are here now. One that does not fit there changes nothing: send from there on.

        Raises DiskFault when there is no space.
        """
        with self._alone(digest):
            size, whole = self.have(digest)
            if whole or size != offset_bytes:
                return size
            try:
                with self._part(digest).open("ab") as file:
                    file.write(data)
            except OSError as error:
                raise DiskFault(f"cannot keep a model file in {self._parts}: {error.strerror}. Free some space there.") from error
            return size + len(data)

    def finish(self, digest: str) -> None:
        """All pieces are here. Raises ModelFault when they are not what was sent; they are forgotten then."""
        with self._alone(digest):
            part = self._part(digest)
            if self._path(digest).is_file():
                part.unlink(missing_ok=True)
                return
            if not part.is_file() or file_sha256(part) != digest:
                part.unlink(missing_ok=True)
                raise ModelFault("A file came over damaged and was thrown away. Try again; if it happens again, look at the network.")
            with part.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(part, self._path(digest))
            sync_folder(self._whole)

    def make_room(self, wanted_bytes: int, needed: Collection[str]) -> None:
        """Remove files that were used longest ago until so many bytes more are within the budget. needed: digests that stay.

        Raises DiskFault when the disk itself is too full for them.
        """
        files = sorted((p for p in self._whole.iterdir() if p.is_file()), key=lambda p: p.stat().st_atime_ns)
        held = sum(p.stat().st_size for p in files)
        recent_s = time.time() - RECENT_S
        for path in files:
            if held + wanted_bytes <= self._budget_bytes or path.stat().st_atime > recent_s:
                break
            if path.name not in needed:
                held -= path.stat().st_size
                self.forget(path.name)
        free = shutil.disk_usage(self._whole).free
        if free < wanted_bytes:
            raise DiskFault(
                f"{self._whole} has {free // 2**20} MiB left and {wanted_bytes // 2**20} MiB of model files are needed. Free some space."
            )

    def could_hold(self, wanted_bytes: int, needed: Collection[str]) -> bool:
        """So many bytes more are within the budget and on the disk, once files went that are neither needed nor used lately."""
        recent_s = time.time() - RECENT_S
        files = [(p, p.stat()) for p in self._whole.iterdir() if p.is_file()]
        held = sum(status.st_size for _, status in files)
        old = sum(status.st_size for p, status in files if p.name not in needed and status.st_atime <= recent_s)
        return held - old + wanted_bytes <= self._budget_bytes and wanted_bytes <= shutil.disk_usage(self._whole).free

    def view(self, name: str, files: Mapping[str, str]) -> Path:
        """The files under names again. files: path below -> digest; "" alone for a single file, which is then called name itself.

        The same files give the same path. Raises ModelFault when one is not here.
        """
        text = "\n".join(f"{below} {digest}" for below, digest in sorted(files.items()))
        root = self._views / hashlib.sha256(f"{name}\n{text}".encode()).hexdigest()[:32]
        whole = root / PurePosixPath(name).name
        for below, digest in files.items():
            source = self._path(digest)
            if not source.is_file():
                raise ModelFault(f"{name} is not whole on this machine. Try again.")
            os.utime(source, ns=(time.time_ns(), source.stat().st_mtime_ns))  # of use; what reads the file tells another one by its mtime
            place = whole / _inside(below) if below else whole
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                _link(source, place)
        return whole

    def about(self) -> dict[str, int]:
        """{"held_bytes", "budget_bytes", "free_bytes": of the disk}."""
        held = sum(p.stat().st_size for p in self._whole.iterdir() if p.is_file())
        return {"held_bytes": held, "budget_bytes": self._budget_bytes, "free_bytes": shutil.disk_usage(self._whole).free}

    def forget(self, digest: str) -> None:
        """Remove the file, and every view that shows it."""
        inode = self._path(digest).stat().st_ino
        for root in self._views.iterdir():
            if any(p.is_file() and p.stat().st_ino == inode for p in root.rglob("*")):
                shutil.rmtree(root, ignore_errors=True)
        self._path(digest).unlink(missing_ok=True)

    def _alone(self, digest: str) -> filelock.FileLock:
        return filelock.FileLock(self._parts / f"{_checked(digest)}.lock")

    def _path(self, digest: str) -> Path:
        return self._whole / _checked(digest)

    def _part(self, digest: str) -> Path:
        return self._parts / _checked(digest)


def _checked(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"no SHA-256: {digest[:80]!r}")
    return digest


def _inside(below: str) -> PurePosixPath:
    """Raises ValueError for a path that leads out."""
    path = PurePosixPath(below)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"leads out of its folder: {below[:80]!r}")
    return path


def _link(source: Path, place: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    with contextlib.suppress(FileExistsError):
        try:
            os.link(source, place)
        except FileExistsError:
            raise
        except OSError:
            write_atomic(place, source.read_bytes(), overwrite=False)
