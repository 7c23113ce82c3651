"""Pictures and captions brought into a session: from files that were sent, from a folder, from a zip. No torch.

Names are made safe and never written over: a file that is there already is not doubled, another one of that name gets a number. What a
caption file belongs to follows it. Whether a picture can be read is `modules.train.data`'s business. Start reading at `take`.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath

from modules.faults import RequestFault
from modules.folders import write_atomic
from modules.train.sessions import PICTURE_ENDINGS, Session

CAPTION_ENDINGS = (".txt", ".caption")
MOST_PICTURES = 100_000
LARGEST_BYTES = 200_000_000
LARGEST_CAPTION_BYTES = 200_000
MOST_NAME_CHARS = 120
UNPACKED_BYTES = 20 * 10**9
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]+')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclass
class Taken:
    """What became of the files. pictures: names in the session, with their folder; refused: (name as it was sent, why)."""

    pictures: list[str] = field(default_factory=list[str])
    captions: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def take(session: Session, files: Iterable[tuple[str, bytes]]) -> Taken:
    """Write pictures, their captions (.txt and .caption of the same name) and what zips of them hold into the session.

    files: (name, perhaps with a folder such as 10_cat before it; content). Raises DiskFault.
    """
    taken, named, captions = Taken(), dict[str, str](), list[tuple[str, bytes]]()
    for name, data in _opened(files, taken):
        ending = PurePosixPath(name).suffix.lower()
        try:
            if ending in CAPTION_ENDINGS:
                captions.append((name, data))
            elif ending in PICTURE_ENDINGS:
                place = _put(session, safe_name(name), data)
                taken.pictures.append(place)
                named[_stem(name)] = place
            else:
                taken.refused.append((name, f"is no picture ({', '.join(PICTURE_ENDINGS)}) and no caption (.txt)"))
        except RequestFault as fault:
            taken.refused.append((name, fault.why))
    for name, data in captions:
        _caption(session, name, data, named, taken)
    return taken


def take_folder(session: Session, folder: Path, *, within: Path | None) -> Taken:
    """Copies of a folder's pictures and captions, its sub-folders' too. within: links must not lead out of it; None: anywhere.

    Raises RequestFault("folder") when it is none or holds no pictures, DiskFault.
    """
    if not folder.is_dir():
        raise RequestFault("folder", "there is no such folder", got=str(folder))
    if session.folder.resolve().is_relative_to(folder.resolve()):
        raise RequestFault("folder", "holds the session itself; choose the folder of the pictures", got=str(folder))
    found = [path for path in _walk(folder) if within is None or path.resolve().is_relative_to(within.resolve())]
    if not any(path.suffix.lower() in PICTURE_ENDINGS for path in found):
        raise RequestFault("folder", f"holds no pictures ({', '.join(PICTURE_ENDINGS)})", got=str(folder))
    if len(found) > MOST_PICTURES:
        raise RequestFault("folder", f"holds {len(found)} files; the most is {MOST_PICTURES}", got=str(folder))
    unread: list[tuple[str, str]] = []
    taken = take(session, _read(folder, found, unread))
    taken.refused += unread
    return taken


def safe_name(name: str) -> str:
    """A name that every system can hold, with at most one folder before it. Raises RequestFault("file") when nothing is left of it."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")][-2:]
    clean = [_part(part) for part in parts]
    if not clean or clean[-1].startswith(".") or PurePosixPath(clean[-1]).suffix != PurePosixPath(parts[-1]).suffix:
        raise RequestFault("file", "has no name that can be kept", got=name)
    return "/".join(part for part in clean if part)


def _part(text: str) -> str:
    plain = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text)).strip(" .")
    path = PurePosixPath(plain)
    short = path.stem[: MOST_NAME_CHARS - len(path.suffix)].rstrip(" .") + path.suffix if plain else ""
    while len(short.encode()) > 240:
        path = PurePosixPath(short)
        short = path.stem[:-1] + path.suffix
    return f"_{short}" if _RESERVED.fullmatch(short) else short


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).with_suffix("").as_posix().casefold()


def _put(session: Session, name: str, data: bytes) -> str:
    """Its name in the session: the same when these very bytes are there already, else with a number when another file has it."""
    if len(data) > LARGEST_BYTES:
        raise RequestFault("file", f"is larger than {LARGEST_BYTES // 10**6} MB")
    path = PurePosixPath(name)
    digest = hashlib.sha256(data).digest()
    for number in range(1, MOST_PICTURES):
        tried = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        target = session.paths.pictures / tried
        others = _same_stem(target)
        if not others:
            write_atomic(target, data, overwrite=False)
            return tried.as_posix()
        if target in others and hashlib.sha256(target.read_bytes()).digest() == digest:
            return tried.as_posix()
    raise RequestFault("file", "is there too often under that name", got=name)


def _same_stem(target: Path) -> list[Path]:
    """Pictures that would share a caption's file with it: of the same name but for capitals and ending."""
    if not target.parent.is_dir():
        return []
    stem = target.stem.casefold()
    return [path for path in target.parent.iterdir() if path.stem.casefold() == stem and path.suffix.lower() in PICTURE_ENDINGS]


def _caption(session: Session, name: str, data: bytes, named: dict[str, str], taken: Taken) -> None:
    """Beside the picture that came with it, or the one of that name that is there."""
    place = named.get(_stem(name))
    target = session.paths.pictures / (place or safe_name(name))
    if len(data) > LARGEST_CAPTION_BYTES:
        taken.refused.append((name, f"is longer than {LARGEST_CAPTION_BYTES} bytes"))
        return
    if place is None and not _same_stem(target):
        taken.refused.append((name, "belongs to no picture of that name"))
        return
    text = data.decode("utf-8-sig", "replace").strip()
    write_atomic(target.with_suffix(".txt"), text.encode())
    taken.captions += 1


def _opened(files: Iterable[tuple[str, bytes]], taken: Taken) -> Iterator[tuple[str, bytes]]:
    """The files, with zips opened."""
    for name, data in files:
        if PurePosixPath(name).suffix.lower() != ".zip":
            yield name, data
            continue
        try:
            with zipfile.ZipFile(BytesIO(data)) as packed:
                yield from _members(packed, name)
        except (zipfile.BadZipFile, RequestFault, NotImplementedError, RuntimeError, EOFError) as error:
            taken.refused.append((name, error.why if isinstance(error, RequestFault) else f"is no zip file that can be read: {error}"))


def _members(packed: zipfile.ZipFile, name: str) -> Iterator[tuple[str, bytes]]:
    members = [one for one in packed.infolist() if not one.is_dir() and not PurePosixPath(one.filename).name.startswith((".", "__MACOSX"))]
    wanted = [one for one in members if PurePosixPath(one.filename).suffix.lower() in (*PICTURE_ENDINGS, *CAPTION_ENDINGS)]
    if len(wanted) > MOST_PICTURES or sum(one.file_size for one in wanted) > UNPACKED_BYTES:
        raise RequestFault("file", f"holds more than {MOST_PICTURES} files or {UNPACKED_BYTES // 10**9} GB", got=name)
    for member in wanted:
        if member.file_size <= LARGEST_BYTES:
            with packed.open(member) as source:
                yield member.filename, source.read(LARGEST_BYTES + 1)


def _walk(folder: Path) -> list[Path]:
    """Pictures first, so that their captions find them."""
    found: list[Path] = []
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(one for one in inner if not one.startswith("."))
        found += [Path(place) / one for one in sorted(names) if not one.startswith(".")]
    return sorted((path for path in found if path.suffix.lower() in (*PICTURE_ENDINGS, *CAPTION_ENDINGS)), key=_captions_last)


def _captions_last(path: Path) -> tuple[bool, str]:
    return path.suffix.lower() in CAPTION_ENDINGS, str(path)


def _read(folder: Path, paths: Iterable[Path], unread: list[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            if path.stat().st_size > LARGEST_BYTES:
                unread.append((name, f"is larger than {LARGEST_BYTES // 10**6} MB"))
                continue
            yield name, path.read_bytes()
        except OSError as error:
            unread.append((name, f"cannot be read: {error.strerror}"))
