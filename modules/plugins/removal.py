"""Taking an extension away: into a bin beside the others, from where it can be put back. Nothing is deleted here.

Start reading at `remove`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from modules.faults import DiskFault, RequestFault
from modules.folders import Folders
from modules.plugins.places import Extension

BIN = ".bin"  # a hidden folder, so that the loader passes it over
_STAMP = "%Y-%m-%d %H%M%S"


def remove(extension: Extension) -> Path:
    """Move an extension's folder into the bin; the folder there. Raises RequestFault for a built-in one, DiskFault."""
    if extension.builtin:
        raise RequestFault("name", f"{extension.name} belongs to the program and stays; it can be switched off")
    if not extension.folder.is_dir():
        raise RequestFault("name", f"{extension.name} is not there any more")
    bin_ = extension.folder.parent / BIN
    place = _free(bin_, extension.folder.name)
    try:
        bin_.mkdir(parents=True, exist_ok=True)
        os.rename(extension.folder, place)
    except OSError as error:
        raise DiskFault(f"{extension.name} cannot be moved: {error.strerror}. Is it in use, or the folder read-only?") from error
    return place


def binned(folders: Folders) -> list[dict[str, Any]]:
    """What lies in the bins, the latest first: {"place": name of its folder there, "name", "time": as it was removed}."""
    found = [place for base in _bases(folders) for place in _inside(base / BIN)]
    rows = [{"place": p.name, "name": p.name[18:], "time": p.name[:17]} for p in found if len(p.name) > 18]
    return sorted(rows, key=lambda row: row["place"], reverse=True)


def restore(place: str, folders: Folders) -> Path:
    """Put back what `remove` moved; its folder. Raises RequestFault when it is not there or its name is taken, DiskFault."""
    for base in _bases(folders):
        found = next((p for p in _inside(base / BIN) if p.name == place), None)
        if found is None:
            continue
        target = base / place[18:]
        if not place[18:] or target.exists():
            raise RequestFault("place", f"there is an extension {target.name} by now; remove that one first", got=place)
        try:
            os.rename(found, target)
        except OSError as error:
            raise DiskFault(f"{target.name} cannot be put back: {error.strerror}.") from error
        return target
    raise RequestFault("place", "is nothing that lies in the bin of extensions", got=place)


def _bases(folders: Folders) -> list[Path]:
    return list(dict.fromkeys([folders.data / "extensions", folders.program / "extensions"]))


def _inside(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def _free(bin_: Path, name: str) -> Path:
    began = time.time()
    for n in range(100):
        place = bin_ / f"{time.strftime(_STAMP, time.localtime(began + n))} {name}"
        if not place.exists():
            return place
    raise DiskFault(f"The bin {bin_} is full of folders of this moment. Empty it and try again.")
