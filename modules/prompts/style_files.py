"""SD.Next's styles: a folder of JSON files, each with a style or a list of them, in folders that are part of the names.

Knows the files; `modules.prompts.styles` holds what is made of them. Start reading at `read_folder`.
Source: the behaviour of SD.Next (its wiki page "Styles", and what it writes itself): name, prompt, negative, extra, wildcards, preview.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.faults import RequestFault
from modules.prompts.styles import Style, check

FILE_BYTES = 5_000_000
FILES = 20_000
PROMPTS = ("prompt",)
NEGATIVES = ("negative", "negative_prompt")  # the second in collections for other programs, which SD.Next reads without it
BESIDE = ("extra", "wildcards")  # parameters of a generation; words that take turns
_BREAKS = re.compile(r"[\t\r\n]+")


def read_folder(folder: Path) -> tuple[list[Style], list[str]]:
    """(the styles, what could not be taken in words), in order of the files' names. Nothing is changed."""
    found: list[Style] = []
    problems: list[str] = []
    beside: list[str] = []
    for path in _files(folder, problems):
        inner = path.relative_to(folder)
        try:
            for one in _records(path):
                style = _style(one, inner)
                found.append(style)
                if any(_text(one, name).strip() for name in BESIDE):
                    beside.append(style.name)
        except (ValueError, RequestFault) as error:
            problems.append(f"{folder.name}/{inner.as_posix()}: {error}")
        except OSError as error:
            problems.append(f"{folder.name}/{inner.as_posix()} cannot be read: {error.strerror}")
    if beside:
        problems.append(
            f"{', '.join(beside[:10])}{' and others' if len(beside) > 10 else ''}: only the prompts are taken over; a style here sets no "
            "other parameters and has no words that take turns. Keep those as a preset of the form, or as a wildcard."
        )
    return found, problems


def _files(folder: Path, problems: list[str]) -> list[Path]:
    found: list[Path] = []
    for here, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        found += [Path(here, name) for name in sorted(files) if name.lower().endswith(".json") and not name.startswith(".")]
        if len(found) > FILES:
            problems.append(f"{folder.name} has more than {FILES} files; the others are left out.")
            return found[:FILES]
    return found


def _records(path: Path) -> Sequence[Mapping[str, Any]]:
    """Raises OSError, ValueError for what is no style."""
    if path.stat().st_size > FILE_BYTES:
        raise ValueError(f"it is larger than {FILE_BYTES // 1_000_000} MB, which no file of styles is")
    data = json.loads(path.read_text(encoding="utf-8-sig"))
    records = [data] if isinstance(data, dict) else data
    if not isinstance(records, list) or not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in records):
        raise ValueError("it holds no style: an object with a name, or a list of such")
    return records


def _style(one: Mapping[str, Any], inner: Path) -> Style:
    """Raises RequestFault for what no style here can hold."""
    name = _BREAKS.sub(" ", str(one["name"])).strip()
    place = inner.parent.as_posix()
    style = Style(name if place == "." else f"{place}/{name}", _text(one, *PROMPTS), _text(one, *NEGATIVES))
    check(style)
    return style


def _text(one: Mapping[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := one.get(name), str) and value), "")
