"""What extensions put into the page: scripts, style sheets and translations. Names and order are A1111's.

Knows files; knows nothing about the page. Start reading at `scripts`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.folders import Folders
from modules.plugins.places import Extension

LOCALIZATIONS = "localizations"
FILE_BYTES = 10_000_000
NONE = "None"


@dataclass(frozen=True)
class Asset:
    """A file for the page. path: on the disk; address: below the page, with the time it was changed, so that a browser asks again."""

    path: Path
    address: str


def scripts(folders: Folders, extensions: Sequence[Extension]) -> list[Asset]:
    """javascript/*.js, then *.mjs: of the data folder, then of each extension that is switched on."""
    found = [folders.data / "javascript", *(one.folder / "javascript" for one in extensions if one.enabled)]
    return [_asset(folders, path) for folder in found for ending in (".js", ".mjs") for path in _files(folder, ending)]


def styles(folders: Folders, extensions: Sequence[Extension]) -> list[Asset]:
    """style.css of each extension that is switched on, then user.css of the data folder."""
    found = [one.folder / "style.css" for one in extensions if one.enabled] + [folders.data / "user.css"]
    return [_asset(folders, path) for path in found if path.is_file()]


def localizations(folders: Folders, extensions: Sequence[Extension]) -> dict[str, list[Path]]:
    """Name -> its files: of the program, the data folder, then of extensions that are switched on. Later files add to earlier ones."""
    places = [folders.program / LOCALIZATIONS, folders.data / LOCALIZATIONS]
    places += [one.folder / LOCALIZATIONS for one in extensions if one.enabled]
    found: dict[str, list[Path]] = {}
    for place in dict.fromkeys(places):
        for path in _files(place, ".json"):
            found.setdefault(path.stem, []).append(path)
    return dict(sorted(found.items()))


def words_of(paths: Sequence[Path]) -> tuple[dict[str, str], bool, list[str]]:
    """(English -> the other language, is it written from right to left, what could not be read in words)."""
    words: dict[str, str] = {}
    rtl = False
    notices: list[str] = []
    for path in paths:
        try:
            if path.stat().st_size > FILE_BYTES:
                raise ValueError(f"it is larger than {FILE_BYTES // 1_000_000} MB")
            found: Any = json.loads(path.read_text(encoding="utf-8-sig"))
            if not isinstance(found, dict):
                raise ValueError("it is not an object of texts")
        except (OSError, ValueError) as error:
            notices.append(f"The localization {path.name} could not be read: {error}")
            continue
        rtl = rtl or bool(found.pop("rtl", False))
        words |= {str(key): value for key, value in found.items() if isinstance(value, str) and value}
    return words, rtl, notices


def _asset(folders: Folders, path: Path) -> Asset:
    base = next((base for base in (folders.data, folders.program) if path.is_relative_to(base)), None)
    name = path.relative_to(base).as_posix() if base else path.as_posix()
    return Asset(path, f"file={name}?{path.stat().st_mtime_ns // 1_000_000}")


def _files(folder: Path, ending: str) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ending and path.is_file())
    except OSError:
        return []
