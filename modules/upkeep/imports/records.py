"""The record of an import: what was so before, so that it can be undone. A folder for each in imports/ of the data folder.

Start reading at `Record`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from modules.faults import RequestFault
from modules.folders import Folders, write_atomic

PLACE, FILE, LINKS = "imports", "record.json", "links.jsonl"
_ID = re.compile(r"[0-9]{8}-[0-9]{6}(-[0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One import. settings, others, defaults: name -> [before, after], None before where there was none; styles: those that were added.

    models, pictures: what was added to the two lists of folders; later: settings that wait for their files; job: its id, undone_s: when.
    """

    id: str
    folder: str
    made_s: float
    settings: Mapping[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    others: Mapping[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    defaults: Mapping[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    styles: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    models: list[str] = field(default_factory=list[str])
    pictures: list[str] = field(default_factory=list[str])
    later: Mapping[str, Any] = field(default_factory=dict[str, Any])
    job: str = ""
    undone_s: float = 0.0


def new_id(folders: Folders) -> str:
    """A name that no import has."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return next(name for n in range(1, 1000) if not place(folders, name := stamp if n == 1 else f"{stamp}-{n}").exists())


def place(folders: Folders, key: str) -> Path:
    """The folder of a record. Raises RequestFault for what is no name of one."""
    if not _ID.fullmatch(key):
        raise RequestFault("id", "means no import; look at the list again", got=key)
    return folders.data / PLACE / key


def write(folders: Folders, record: Record) -> None:
    """Raises DiskFault."""
    write_atomic(place(folders, record.id) / FILE, json.dumps(asdict(record), indent=1, ensure_ascii=False).encode())


def with_job(folders: Folders, record: Record, job: str) -> Record:
    """The same record with the id of the job that does the rest. Raises DiskFault."""
    record = replace(record, job=job)
    write(folders, record)
    return record


def read(folders: Folders, key: str) -> Record:
    """Raises RequestFault when there is none."""
    try:
        return Record(**json.loads((place(folders, key) / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RequestFault("id", "means an import whose record is not there any more; look at the list again", got=key) from error


def past(folders: Folders) -> list[Record]:
    """Every import there was, the latest first."""
    try:
        names = sorted((p.name for p in (folders.data / PLACE).iterdir() if _ID.fullmatch(p.name)), reverse=True)
    except OSError:
        return []
    found: list[Record] = []
    for name in names:
        try:
            found.append(read(folders, name))
        except RequestFault:  # it was cut off before it had a record
            continue
    return found


def links(folders: Folders, key: str) -> list[tuple[Path, Path]]:
    """(the file there, the hard link here) of every link that an import made."""
    try:
        lines = (place(folders, key) / LINKS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found: list[tuple[Path, Path]] = []
    for line in lines:
        try:
            source, target = json.loads(line)
        except ValueError:  # the last line was cut off by a crash
            continue
        found.append((Path(source), Path(target)))
    return found
