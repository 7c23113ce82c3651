"""Folders of pictures that a person named: where they may lie, and which pictures are in them, in the order that people expect.

Looks at names only. Start reading at `folder_of` and `pictures_in`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from modules.faults import RequestFault
from modules.folders import Folders, safe_join
from modules.processing.extras_plan import ENDINGS

_DIGITS = re.compile(r"(\d+)")


def folder_of(text: str, folders: Folders, *, anywhere: bool = False, field: str = "folder") -> Path:
    """The folder that a person named, absolute. anywhere: it may lie outside the data folder. Raises RequestFault of the field."""
    plain = text.strip()
    if not plain:
        raise RequestFault(field, "a folder is needed")
    if anywhere:
        folder = Path(plain).expanduser().resolve()
    else:
        try:
            folder = safe_join(folders.data, plain)
        except RequestFault as fault:
            why = f"must be a folder inside the data folder, {folders.data}; on the command line any folder can be used"
            raise RequestFault(field, why, got=text) from fault
    if not folder.is_dir():
        raise RequestFault(field, "there is no such folder", got=str(folder))
    return folder


def pictures_in(folder: Path, *, recursive: bool, within: Path | None) -> list[str]:
    """Names of the picture files, relative to the folder with slashes, in natural order. within: links that lead out of it are left out.

    Raises RequestFault("folder") when it cannot be read.
    """
    found: list[str] = []
    try:
        for place, inner, files in os.walk(folder, onerror=_refused):
            inner[:] = sorted(name for name in inner if not name.startswith(".")) if recursive else []
            for name in files:
                path = Path(place) / name
                if name.startswith(".") or path.suffix.lower() not in ENDINGS:
                    continue
                if within is None or path.resolve().is_relative_to(within.resolve()):
                    found.append(path.relative_to(folder).as_posix())
    except OSError as error:
        raise RequestFault("folder", f"cannot be read: {error.strerror}", got=str(folder)) from error
    return sorted(found, key=natural)


def natural(name: str) -> list[Any]:
    """The order that people expect: 2 before 10."""
    return [int(part) if part.isdecimal() else part.casefold() for part in _DIGITS.split(name)]


def _refused(error: OSError) -> None:
    raise error
