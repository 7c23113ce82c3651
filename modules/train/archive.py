"""A session as one zip file, and back: to keep it, to move it to another machine, to hand it on. No torch.

What comes from a zip is checked by its list before anything is written: names that lead elsewhere, links, doubles, what is no part of a
session, and more data than there is room for are refused, and a refused zip leaves nothing behind. Start reading at `export` and `take_in`.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from modules.faults import DiskFault, RequestFault
from modules.folders import Folders
from modules.train.sessions import PARTS, Session, home_of, new_folder, session_name

MOST_FILES = 200_000
MOST_BYTES = 500 * 10**9
MOST_DEPTH = 8
RESERVE_BYTES = 200_000_000  # room that stays free on the disk
PACKED = frozenset({".txt", ".json", ".jsonl", ".toml", ".csv"})  # pictures and weights do not get smaller
_LEFT_OUT = re.compile(r"\.tmp$|\.lock$|^\.DS_Store$|^Thumbs\.db$", re.IGNORECASE)
_FIELD = "archive"


def export(session: Session, target: Path, *, state: bool = True, cache: bool = False) -> Path:
    """Write the session's zip, whole or not at all. state: with the states to go on from; cache: with what can be made again.

    Everything in it lies below a folder of the session's name. Raises DiskFault.
    """
    left = {name for name, wanted in (("state", state), ("cache", cache)) if not wanted}
    temp = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fd, temp = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".tmp")
        with os.fdopen(fd, "wb") as file:
            _pack(session, file, [part for part in PARTS if part not in left])
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, target)
        temp = ""
    except OSError as error:
        raise DiskFault(f"cannot write {target.name} in {target.parent}: {error.strerror or error}. Free some space.") from error
    finally:
        if temp:
            Path(temp).unlink(missing_ok=True)
    return target


def _pack(session: Session, file: BinaryIO, parts: Iterable[str]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as packed:
        for part in parts:
            place = session.folder / part
            for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
                if not path.is_file() or path.is_symlink() or _LEFT_OUT.search(path.name):
                    continue
                name = f"{session.name}/{path.relative_to(session.folder).as_posix()}"
                how = zipfile.ZIP_DEFLATED if path.suffix.lower() in PACKED else zipfile.ZIP_STORED
                try:
                    packed.write(path, name, compress_type=how)
                except FileNotFoundError:
                    continue  # a running training has just replaced it by a newer one


def take_in(folders: Folders, file: BinaryIO, name: str = "") -> Session:
    """A session out of a zip that `export` wrote. name: of the new session; "": the one it had.

    Raises RequestFault("archive") for anything that is not such a zip, RequestFault("session") when the name is taken, DiskFault.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            had, members = _checked(packed)
            clean = session_name(name or had)
            _check_room(folders, sum(member.file_size for member in members.values()))
            with new_folder(home_of(folders), clean) as folder:
                for inner, member in members.items():
                    _unpack(packed, member, folder / inner)
                for part in ("pictures", "samples", "log", "output"):
                    (folder / part).mkdir(exist_ok=True)
                Session(clean, folder).config()  # one that cannot be read is refused before it has a name
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise RequestFault(_FIELD, f"is no zip file of a session: {error}") from error
    session = Session(clean, home_of(folders) / clean)
    session.save_config(session.config())
    return session


def _checked(packed: zipfile.ZipFile) -> tuple[str, dict[str, zipfile.ZipInfo]]:
    """(the name it had, path inside the session -> member). Raises RequestFault."""
    files = [member for member in packed.infolist() if not member.is_dir()]
    if len(files) > MOST_FILES:
        raise RequestFault(_FIELD, f"holds {len(files)} files; the most is {MOST_FILES}")
    configs = [PurePosixPath(member.filename) for member in files if PurePosixPath(member.filename).name == "config.toml"]
    root = min(configs, key=lambda path: len(path.parts), default=None)
    if root is None or len(root.parts) > 2:
        raise RequestFault(_FIELD, "holds no config.toml, so it is no session")
    base = root.parts[:-1]
    found: dict[str, zipfile.ZipInfo] = {}
    taken: set[str] = set()
    for member in files:
        inner = _inner(member, base)
        if inner is None:
            continue
        key = unicodedata.normalize("NFC", inner).casefold()
        if key in taken:
            raise RequestFault(_FIELD, "holds two files of one name", got=member.filename)
        taken.add(key)
        found[inner] = member
    _check_folders(taken)
    if (total := sum(member.file_size for member in found.values())) > MOST_BYTES:
        raise RequestFault(_FIELD, f"would unpack to {total // 10**9} GB; the most is {MOST_BYTES // 10**9} GB")
    return (base[0] if base else "session"), found


def _inner(member: zipfile.ZipInfo, base: tuple[str, ...]) -> str | None:
    """The member's path in the session; None for what is left out. Raises RequestFault for one that leads elsewhere."""
    name = member.filename
    path = PurePosixPath(name)
    if "\x00" in name or "\\" in name or ":" in name or path.is_absolute() or any(part in ("..", ".") for part in name.split("/")):
        raise RequestFault(_FIELD, "holds a name that leads out of the session", got=name)
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        raise RequestFault(_FIELD, "holds a link or a special file", got=name)
    if member.flag_bits & 0x1:
        raise RequestFault(_FIELD, "is locked with a password", got=name)
    parts = path.parts
    if parts[: len(base)] != base:
        raise RequestFault(_FIELD, "holds more than one folder", got=name)
    parts = parts[len(base) :]
    if (parts and parts[0].startswith(".")) or _LEFT_OUT.search(path.name):
        return None
    alone = len(parts) == 1
    if not parts or parts[0] not in PARTS or alone != ("." in parts[0]) or len(parts) > MOST_DEPTH:
        raise RequestFault(_FIELD, "holds what is no part of a session", got=name)
    return "/".join(parts)


def _check_folders(names: set[str]) -> None:
    """No file may stand where another one needs a folder. Raises RequestFault."""
    for name in names:
        for parent in list(PurePosixPath(name).parents)[:-1]:
            if str(parent) in names:
                raise RequestFault(_FIELD, "holds a file where a folder should be", got=str(parent))


def _check_room(folders: Folders, wanted: int) -> None:
    home = home_of(folders)
    there = next(place for place in (home, *home.parents) if place.exists())
    free = shutil.disk_usage(there).free - RESERVE_BYTES
    if wanted > free:
        raise DiskFault(f"The session takes {wanted / 1e9:.1f} GB, and {max(0, free) / 1e9:.1f} GB are free in {there}. Free some space.")


def _unpack(packed: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write a member; never more bytes than its list said. Raises RequestFault, OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with packed.open(member) as source, target.open("xb") as file:
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise RequestFault(_FIELD, "holds a file that is larger than it says", got=member.filename)
            file.write(chunk)
    if left:
        raise RequestFault(_FIELD, "holds a file that is smaller than it says", got=member.filename)


def rename(folders: Folders, session: Session, name: str) -> Session:
    """The session under another name. Raises RequestFault("session") when that is taken or the session is being trained, DiskFault."""
    clean = session_name(name)
    target = home_of(folders) / clean
    if clean == session.name:
        return session
    same = clean.casefold() == session.name.casefold()  # only other capitals: one folder on many systems
    if target.exists() and not same:
        raise RequestFault("session", "there is a session of that name; take another name", got=clean)
    with session.lock():
        try:
            os.rename(session.folder, target)
        except OSError as error:
            raise DiskFault(f"cannot rename {session.folder}: {error.strerror}.") from error
    renamed = Session(clean, target)
    renamed.save_config(renamed.config())
    return renamed
