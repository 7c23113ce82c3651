"""One file from the net to the disk: resumable, with its digest, its size and the free space checked. Whole or not there at all.

What has come is in NAME.part with NAME.part.json beside it (where from, which version); a later try goes on there.
Knows nothing about which addresses are allowed: `reach` does. Start reading at `fetch`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from modules.faults import Cancelled, DiskFault, RequestFault
from modules.folders import write_atomic
from modules.upkeep.places import plain_name, room_for
from modules.upkeep.reach import Answer, Broken, DownloadFault, RangeFault, Reach

CHUNK_BYTES = 1 << 20
PATIENCE = 5
LOOK_EVERY_BYTES = 256 << 20
_VERSION = ("etag", "x-linked-etag", "last-modified")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """url; folder, name: where to, name "" as the server calls it; sha256, size_bytes: what it must be, None when not known."""

    url: str
    folder: Path
    name: str = ""
    sha256: str | None = None
    size_bytes: int | None = None
    suffixes: tuple[str, ...] = ()


@dataclass
class _Part:
    """What is here of the file so far. digest: a running SHA-256 of it."""

    path: Path
    version: str = ""
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")


def fetch(wanted: Wanted, reach: Reach, progress: Callable[[int, int | None], None], stop: Callable[[], bool]) -> Path:
    """Download a file; returns its path. progress(bytes here, bytes in all or None); stop: asked all the time.

    Tries again up to PATIENCE times without progress in between. Raises Cancelled (what has come is kept), DownloadFault, DiskFault,
    RequestFault("name") when the file is already there.
    """
    part = _resumed(wanted.folder / f"{wanted.name}.part", wanted.url) if wanted.name else None
    tries = 0
    while True:
        before = part.size if part else 0
        try:
            part, target = _open_part(wanted, reach, part, progress, stop)
            return _finish(wanted, part, target)
        except RangeFault as fault:
            if part is None or tries >= PATIENCE:
                raise
            if part.size and fault.extra.get("span") == f"bytes */{part.size}":  # all of it had come
                return _finish(wanted, part, part.path.with_suffix(""))
            _forget(part)
            tries += 1
        except _Found as found:
            part = found.part
        except _Interrupted as cut:
            part = cut.part or part
            tries = 0 if part and part.size > before else tries + 1
            if tries >= PATIENCE:
                host = urlsplit(wanted.url).hostname
                raise DownloadFault(f"The download from {host} broke off ({cut}). Start it again; it goes on where it is.") from cut
            progress(part.size if part else 0, None)
            _pause(reach.pauses_s[min(tries, len(reach.pauses_s) - 1)], stop)


class _Interrupted(Exception):
    """The connection broke; part is what has come."""

    def __init__(self, why: str, part: _Part | None) -> None:
        super().__init__(why)
        self.part = part


class _Found(Exception):
    """The server told the file's name, and a part of it is here."""

    def __init__(self, part: _Part) -> None:
        super().__init__(part.path.name)
        self.part = part


def _open_part(
    wanted: Wanted, reach: Reach, part: _Part | None, progress: Callable[[int, int | None], None], stop: Callable[[], bool]
) -> tuple[_Part, Path]:
    """Ask for what is missing and take it. The first answer tells the name, if it was not given."""
    headers = {"Range": f"bytes={part.size}-"} if part and part.size else {}
    if headers and part and part.version.startswith('"'):
        headers["If-Range"] = part.version
    try:
        answer = reach.get(wanted.url, headers)
    except Broken as error:
        raise _Interrupted(str(error), part) from error
    with answer:
        name = wanted.name or _name_of(answer, wanted)
        target = wanted.folder / name
        if target.exists():
            raise RequestFault("name", f"{name} is already in {wanted.folder.name}; give another name", got=name)
        if wanted.suffixes and target.suffix.lower() not in wanted.suffixes:
            raise RequestFault("source", f"leads to {name}, which is no model file ({', '.join(wanted.suffixes)})")
        if part is None:
            part = _resumed(wanted.folder / f"{name}.part", wanted.url)
            if part.size:
                raise _Found(part)
        _take(wanted, answer, part, progress, stop)
    return part, target


def _take(wanted: Wanted, answer: Answer, part: _Part, progress: Callable[[int, int | None], None], stop: Callable[[], bool]) -> None:
    version = next((answer.headers[h] for h in _VERSION if h in answer.headers), "")
    if answer.status == 200 or (part.size and version != part.version):
        if answer.status == 206:
            raise RangeFault("The file has changed on its server.")
        _forget(part)
    part.version = version
    total = _total(answer, part.size)
    if None not in (total, wanted.size_bytes) and total != wanted.size_bytes:
        raise DownloadFault(f"The server offers {total} bytes, but {wanted.size_bytes} were announced. Get it from another place.")
    if total is not None:
        room_for(part.path.parent, total - part.size, part.path.stem)
    write_atomic(part.note, json.dumps({"url": _without_query(wanted.url), "version": version}).encode())
    looked = part.size
    try:
        with part.path.open("ab") as file:
            while chunk := answer.read(CHUNK_BYTES):
                file.write(chunk)
                part.digest.update(chunk)
                part.size += len(chunk)
                progress(part.size, total)
                if stop():
                    raise Cancelled
                if total is None and part.size - looked > LOOK_EVERY_BYTES:
                    looked = part.size
                    room_for(part.path.parent, LOOK_EVERY_BYTES, part.path.stem)
    except Broken as error:
        raise _Interrupted(str(error), part) from error
    except OSError as error:
        raise DiskFault(f"{part.path.name} cannot be written: {error.strerror}. Free some space and start it again.") from error
    if total is not None and part.size < total:
        raise _Interrupted(f"{total - part.size} bytes did not come", part)


def _finish(wanted: Wanted, part: _Part, target: Path) -> Path:
    found = part.digest.hexdigest()
    if wanted.sha256 and found != wanted.sha256:
        _forget(part)
        raise DownloadFault(
            f"{target.name} is not what was announced: its SHA-256 is {found[:10]}…, not {wanted.sha256[:10]}…. It was deleted; "
            "get it from another place.",
            sha256=found,
        )
    try:
        with part.path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part.path, target)
    except OSError as error:
        raise DiskFault(f"{target.name} cannot be put in place: {error.strerror}.") from error
    part.note.unlink(missing_ok=True)
    return target


def _resumed(path: Path, url: str) -> _Part:
    """The part that an earlier try left, with the digest of what is in it; an empty one when there is none or it is of another file."""
    part = _Part(path)
    try:
        note = json.loads(part.note.read_text(encoding="utf-8"))
        if note["url"] != _without_query(url) or not note["version"]:
            raise ValueError("of another file")
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                part.digest.update(chunk)
                part.size += len(chunk)
        part.version = note["version"]
        return part
    except (OSError, ValueError, KeyError, TypeError):
        fresh = _Part(path)
        _forget(fresh)
        return fresh


def _forget(part: _Part) -> None:
    part.path.unlink(missing_ok=True)
    part.note.unlink(missing_ok=True)
    part.size, part.digest, part.version = 0, hashlib.sha256(), ""


def _name_of(answer: Answer, wanted: Wanted) -> str:
    """The name the server gives the file, else the last part of the address."""
    header = Message()
    header["content-disposition"] = answer.headers.get("content-disposition", "")
    given = header.get_filename()
    asked, came = (unquote(urlsplit(u).path.rpartition("/")[2]) for u in (wanted.url, answer.url))
    return plain_name(given or (asked if "." in asked else came) or "", field="source")


def _total(answer: Answer, here: int) -> int | None:
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("content-range", ""))
    if answer.status == 206:
        if span is None or int(span[1]) != here:
            raise RangeFault("The server sent another part of the file than was asked for.")
        return int(span[2])
    length = answer.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def _without_query(url: str) -> str:
    return url.partition("?")[0]  # keys stand there; signed addresses change it each time


def _pause(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if stop():
            raise Cancelled
        time.sleep(0.1)
