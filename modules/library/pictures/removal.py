"""Taking pictures away: into a bin in the data folder, from where they can be put back. Nothing is deleted here.

Start reading at `remove`, then `restore`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import DiskFault, RequestFault
from modules.folders import Folders, write_atomic

RECORD = "where-from.json"
SHOWN = 500


@dataclass(frozen=True, kw_only=True)
class Binned:
    """A picture in the bin. place: the name of its folder there; path: where it was; picture: the file now."""

    place: str
    path: str
    picture: Path
    removed_s: float


def folder(folders: Folders) -> Path:
    """The bin for pictures."""
    return folders.data / "bin" / "pictures"


def remove(folders: Folders, path: Path) -> Binned:
    """Move a picture, with the text file of its name if there is one, into the bin. Raises RequestFault when it is gone, DiskFault."""
    if not path.is_file():
        raise RequestFault("id", "means a picture that is not there any more; look at the list again", got=path.name)
    beside = path.with_suffix(".txt")
    moved = [path, *([beside] if beside.is_file() else [])]
    place = _new_place(folder(folders), path.stem)
    now = time.time()
    record = {"folder": str(path.parent), "files": [p.name for p in moved], "removed_s": now}
    write_atomic(place / RECORD, json.dumps(record, ensure_ascii=False).encode())
    try:
        _move(moved, place)
    except DiskFault:
        (place / RECORD).unlink(missing_ok=True)
        place.rmdir()
        raise
    return Binned(place=place.name, path=str(path), picture=place / path.name, removed_s=now)


def restore(folders: Folders, place: str, bases: Iterable[Path]) -> Path:
    """Put a picture back where it was. place: the name of a folder of the bin; bases: the output folders.

    Raises RequestFault when there is no such place, DiskFault when something stands in the way.
    """
    inside = folder(folders) / place
    try:
        if not place or Path(place).name != place:
            raise ValueError(f"{place!r} is no name")
        home, names, _ = _record(inside)
        if not any(home.is_relative_to(base) for base in bases):
            raise ValueError(f"{home} is no folder for pictures any more")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestFault("place", f"is no place of the bin that a picture could be put back from ({error})", got=place) from error
    if taken := next((name for name in names if (home / name).exists()), None):
        raise DiskFault(f"{taken} is already in {home}. Move that one away first.")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskFault(f"cannot make the folder {home}: {error.strerror}. The picture lies in {inside}.") from error
    _move([inside / name for name in names], home)
    (inside / RECORD).unlink(missing_ok=True)
    inside.rmdir()
    return home / names[0]


def listed(folders: Folders) -> list[Binned]:
    """What lies in the bin, the latest first, at most SHOWN."""
    try:
        places = sorted((p for p in folder(folders).iterdir() if p.is_dir()), key=lambda p: p.name, reverse=True)[:SHOWN]
    except OSError:
        return []
    found: list[Binned] = []
    for place in places:
        try:
            home, names, removed_s = _record(place)
        except (OSError, ValueError, KeyError, TypeError):  # not ours, or half gone: the folder stays as it is
            continue
        if (place / names[0]).is_file():
            found.append(Binned(place=place.name, path=str(home / names[0]), picture=place / names[0], removed_s=removed_s))
    return sorted(found, key=lambda one: one.removed_s, reverse=True)


def _record(place: Path) -> tuple[Path, list[str], float]:
    """(folder it was in, file names with the picture first, when). Raises OSError, ValueError, KeyError or TypeError."""
    record: dict[str, Any] = json.loads((place / RECORD).read_text(encoding="utf-8"))
    names = [Path(name).name for name in record["files"]]
    if not names or not all(names):
        raise ValueError("it names no files")
    return Path(record["folder"]), names, float(record.get("removed_s", 0))


def _new_place(base: Path, stem: str) -> Path:
    stamp = time.strftime("%Y-%m-%d %H%M%S")
    short = stem.encode()[:120].decode("utf-8", "ignore").strip(" .") or "picture"
    for n in range(10_000):
        place = base / (f"{stamp} {short}" if n == 0 else f"{stamp} {short} ({n})")
        try:
            place.mkdir(parents=True)
            return place
        except FileExistsError:
            continue
        except OSError as error:
            raise DiskFault(f"cannot make the bin {base}: {error.strerror}. Free some space or mend its rights.") from error
    raise DiskFault(f"The bin {base} is full of folders of this moment. Empty it and try again.")


def _move(paths: list[Path], target: Path) -> None:
    """All of them or none; to another disk by a copy that is whole before the first file goes."""
    done: list[tuple[Path, Path]] = []
    try:
        for path in paths:
            shutil.move(path, target / path.name)
            done.append((path, target / path.name))
    except OSError as error:
        for path, moved in reversed(done):
            shutil.move(moved, path)
        raise DiskFault(f"{paths[0].name} cannot be moved: {error.strerror}. Is it in use, or the folder read-only?") from error
