"""What backends keep on the disk: folders that come into being whole or not at all, are looked at before use, and have a limit together.

Knows files only, no torch. Start reading at `made`, then `tidy`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from modules.folders import write_atomic

ABOUT = "about.json"
PART = ".part-"  # followed by the number of the process that writes it
PIECES, PIECE_BYTES = 64, 16_384  # of a file, to tell a damaged one: gigabytes are not read through at every start


def entry(folder: Path, key: str) -> Path:
    """Where what belongs to a key lies."""
    return folder / key


def whole(path: Path) -> bool:
    """Is this entry there, with every file as it was written?"""
    try:
        files: dict[str, str] = json.loads((path / ABOUT).read_text(encoding="utf-8"))["files"]
        return bool(files) and all(_digest(path / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def made(folder: Path, key: str, write: Callable[[Path], None]) -> Path:
    """The entry of a key, made by write(empty folder) where it is not there or damaged. Nothing is left behind when that fails.

    Marks it as used now. Raises OSError, and what `write` raises.
    """
    path = entry(folder, key)
    if whole(path):
        os.utime(path / ABOUT)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{PART}{os.getpid()}-", dir=folder))
    try:
        new = part / "new"
        new.mkdir()
        write(new)
        digests = {file.name: _digest(file) for file in sorted(new.iterdir())}
        write_atomic(new / ABOUT, json.dumps({"files": digests}, indent=1).encode())
        if path.exists():
            path.rename(part / "old")
        new.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return path


def forget(folder: Path, key: str) -> None:
    """Remove the entry of a key; it is made again when it is wanted."""
    shutil.rmtree(entry(folder, key), ignore_errors=True)


def tidy(folder: Path, most_bytes: float, spare: str = "") -> None:
    """Remove what processes that ended left half-written, and the entries that were not used for longest until all fit into most_bytes.

    spare: a key that stays in any case.
    """
    import psutil  # late: the doctor lists backends on a bare Python

    if not folder.is_dir():
        return
    for part in folder.glob(f"{PART}*"):
        number = part.name.removeprefix(PART).partition("-")[0]
        if not number.isdigit() or not psutil.pid_exists(int(number)):
            shutil.rmtree(part, ignore_errors=True)
    entries = sorted((path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(PART)), key=_used)
    sizes = {path: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in entries}
    for path in entries:
        if sum(sizes.values()) <= most_bytes:
            return
        if path.name != spare:
            shutil.rmtree(path, ignore_errors=True)
            del sizes[path]


def _used(path: Path) -> float:
    """When it was last used; a folder that a library fills itself counts by its own time."""
    about = path / ABOUT
    return (about if about.exists() else path).stat().st_mtime


def _digest(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for n in range(PIECES):
            file.seek(max(0, size - PIECE_BYTES) * n // (PIECES - 1))
            digest.update(file.read(PIECE_BYTES))
    return digest.hexdigest()
