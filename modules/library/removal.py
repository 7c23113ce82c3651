"""Taking a model away: into a bin beside the models, from where it can be put back. Nothing is deleted here.

Start reading at `remove`.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from modules.faults import DiskFault, ModelFault, RequestFault
from modules.folders import PROGRAM, write_atomic
from modules.library.rows import ModelRow
from modules.library.sidecars import beside

BIN = ".bin"  # a hidden folder, so that scans pass it over
RECORD = "where-from.json"
_OWN = PROGRAM / "models"


def remove(row: ModelRow) -> Path:
    """Move a model and what lies beside it into its folder's bin. Returns the folder in the bin.

    Raises ModelFault for a model that belongs to the program or is gone, DiskFault when it cannot be moved.
    """
    path = Path(row.path)
    if path.is_relative_to(_OWN) and row.name.startswith("darkroom-"):
        raise ModelFault(f"{row.name} belongs to the program and stays.")
    if not path.exists():
        raise ModelFault(f"{row.name} is not there any more. Refresh the list.")
    moved = [path, *beside(row)]
    place = _new_place(Path(row.base), row.name)
    write_atomic(place / RECORD, json.dumps({"folder": str(path.parent), "files": [p.name for p in moved]}).encode())
    _move(moved, place)
    return place


def restore(place: Path, bases: list[Path]) -> Path:
    """Put back what `remove` moved to a folder of a bin. bases: the model folders whose bins count. Returns the model's path.

    Raises RequestFault when there is no such folder, DiskFault when something stands in the way.
    """
    base = next((b for b in bases if place.resolve().parent == (b / BIN).resolve()), None)
    try:
        record: dict[str, Any] = json.loads((place / RECORD).read_text(encoding="utf-8")) if base else {}
        folder, names = Path(record["folder"]), [Path(name).name for name in record["files"]]
        if base is None or not folder.is_relative_to(base):
            raise ValueError(f"{folder} is outside {base}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestFault("place", "is no folder of the bin that a model could be put back from", got=str(place)) from error
    if taken := next((name for name in names if (folder / name).exists()), None):
        raise DiskFault(f"{taken} is already in {folder}. Move that one away first.")
    folder.mkdir(parents=True, exist_ok=True)
    _move([place / name for name in names], folder)
    (place / RECORD).unlink(missing_ok=True)
    place.rmdir()
    return folder / names[0]


def _new_place(base: Path, name: str) -> Path:
    stamp = time.strftime("%Y-%m-%d %H%M%S")
    for n in range(100):
        place = base / BIN / (f"{stamp} {name}" if n == 0 else f"{stamp} {name} ({n})")
        if not place.exists():
            return place
    raise DiskFault(f"The bin in {base} is full of folders of this moment. Empty it and try again.")


def _move(paths: list[Path], folder: Path) -> None:
    """All of them or none. A rename, so within one disk."""
    done: list[tuple[Path, Path]] = []
    try:
        for path in paths:
            target = folder / path.name
            os.rename(path, target)
            done.append((path, target))
    except OSError as error:
        for path, target in reversed(done):
            os.rename(target, path)
        raise DiskFault(f"{paths[0].name} cannot be moved: {error.strerror}. Is it in use, or the folder read-only?") from error
