"""Bringing an extension into extensions/: from an address by git, from a .zip, from a folder. Runs nothing of it.

It is put together in a hidden folder and takes its name in one step, so a download that breaks leaves nothing. Start reading at `bring`.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from modules.faults import DiskFault, RequestFault
from modules.folders import Folders
from modules.plugins import git
from modules.plugins.origin import plain_address
from modules.upkeep.reach import Broken, DownloadFault, Reach

ARCHIVE_BYTES = 1_000_000_000
UNPACKED_BYTES = 4_000_000_000
FILES = 50_000
CHUNK = 1 << 20
SOURCE = "source"
# What makes a folder an extension: one of these is in it.
SIGNS = (
    "scripts", "javascript", "localizations", "install.py", "preload.py", "style.css", "metadata.ini", "extensions-builtin", "html",
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,99}")
_BRANCH_ENDING = re.compile(r"-(?:main|master|v?\d[\w.]*|[0-9a-f]{40})$")
_SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//)\S+")


def is_remote(source: str) -> bool:
    """The source lies on another machine: an address, in git's short spelling too."""
    return "://" in source or _SCP.fullmatch(source.strip()) is not None


def bring(source: str, folders: Folders, *, branch: str = "", say: Callable[[str], None] = lambda line: None) -> Path:
    """The extension's new folder in the data folder's extensions/. source: https address of a repository or a .zip, a folder, a .zip.

    Raises RequestFault("source") for what is no extension or has a name that is taken, GitFault, DownloadFault, DiskFault.
    """
    source = source.strip().strip('"')
    if not source:
        raise RequestFault(SOURCE, "give the address of a repository, or a folder or .zip on this machine")
    base = folders.data / "extensions"
    with _room(base) as room:
        if is_remote(source):
            found = _from_address(source, branch, room, say)
        else:
            found = _from_disk(Path(os.path.expandvars(source)).expanduser(), room, say)
        if not any((found / sign).exists() for sign in SIGNS):
            raise RequestFault(SOURCE, "is no extension: it has none of " + ", ".join(SIGNS[:6]), got=source)
        place = free_place(folders, found.name)
        try:
            os.rename(found, place)
        except OSError as error:
            raise DiskFault(f"{place.name} cannot be put into {base}: {error.strerror}.") from error
    return place


def free_place(folders: Folders, name: str) -> Path:
    """Where an extension of that name goes. Raises RequestFault for a name that cannot be one, or is taken."""
    if not _NAME.fullmatch(name) or name.endswith((".", " ")):
        raise RequestFault(SOURCE, "has a name that no folder here can have; rename it: letters, digits, spaces and ._+- only", got=name)
    for base in dict.fromkeys([folders.program / "extensions", folders.data / "extensions"]):
        if base.is_dir() and any(other.name.lower() == name.lower() for other in base.iterdir()):
            raise RequestFault(SOURCE, f"there is an extension {name} already; update it, or remove it first", got=name)
    return folders.data / "extensions" / name


@contextmanager
def _room(base: Path) -> Iterator[Path]:
    """A hidden folder beside the extensions, gone afterwards."""
    room = base / f".incoming-{secrets.token_hex(4)}"
    try:
        room.mkdir(parents=True)
    except OSError as error:
        raise DiskFault(f"{base} cannot be written: {error.strerror}.") from error
    try:
        yield room
    finally:
        shutil.rmtree(room, onerror=_writable)


def _writable(remove: Callable[[str], object], path: str, _error: object) -> None:
    """git makes files read-only, which some systems do not remove."""
    os.chmod(path, stat.S_IWUSR | stat.S_IRUSR)
    remove(path)


def _from_address(source: str, branch: str, room: Path, say: Callable[[str], None]) -> Path:
    parts = urlsplit(source)
    if parts.scheme not in ("https", "ssh", "git+https") and not _SCP.fullmatch(source):
        raise RequestFault(SOURCE, "must be an https address", got=source)
    name = re.sub(r"\.(git|zip)$", "", PurePosixPath(parts.path.rstrip("/").rpartition(":")[2]).name)
    if parts.path.endswith(".zip"):
        archive = room / "archive.zip"
        say(f"downloading {parts.netloc}{parts.path}")
        _download(source, archive)
        return _unpacked(archive, name, room)
    say(f"fetching {parts.netloc or source}{parts.path if parts.netloc else ''} with git")
    git.clone(source.removeprefix("git+"), room / (name or "extension"), branch)
    return room / (name or "extension")


def _download(url: str, path: Path) -> None:
    """One file. Raises DownloadFault."""
    try:
        with Reach(keys=False).get(url) as answer, path.open("wb") as file:
            count = 0
            while piece := answer.read(CHUNK):
                count += len(piece)
                if count > ARCHIVE_BYTES:
                    raise RequestFault(SOURCE, f"is larger than {ARCHIVE_BYTES // 1_000_000} MB", got=url)
                file.write(piece)
    except Broken as error:
        raise DownloadFault(f"{plain_address(url)} could not be fetched: {error}. Check the network and try again.") from error


def _from_disk(path: Path, room: Path, say: Callable[[str], None]) -> Path:
    if not path.is_absolute():
        path = Path.cwd() / path
    if path.is_file() and path.suffix.lower() == ".zip":
        say(f"unpacking {path.name}")
        return _unpacked(path, path.stem, room)
    if not path.is_dir():
        raise RequestFault(SOURCE, "there is no such folder or .zip on this machine", got=str(path))
    if room.resolve().is_relative_to(path.resolve()):
        raise RequestFault(SOURCE, "holds the folder that it would be copied into", got=str(path))
    if not any((path / sign).exists() for sign in SIGNS):
        raise RequestFault(SOURCE, "is no extension: it has none of " + ", ".join(SIGNS[:6]), got=str(path))
    say(f"copying {path.name}")
    target = room / path.resolve().name
    try:
        shutil.copytree(path, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    except (OSError, shutil.Error) as error:
        raise DiskFault(f"{path.name} could not be copied: {str(error)[:300]}") from error
    return target


def _unpacked(archive: Path, name: str, room: Path) -> Path:
    """The one folder in an archive, or the archive as a folder of its name. Raises RequestFault for an archive that reaches out of it."""
    inside = room / "unpacked"
    inside.mkdir()
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.filename.startswith("__MACOSX/")]
            _check(members)
            opened.extractall(inside, members)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise RequestFault(SOURCE, f"is no .zip that can be opened: {error}", got=archive.name) from error
    except OSError as error:
        raise DiskFault(f"The archive could not be unpacked: {error.strerror}.") from error
    found = list(inside.iterdir())
    only = found[0] if len(found) == 1 and found[0].is_dir() and found[0].name not in SIGNS else inside
    wanted = room / _BRANCH_ENDING.sub("", only.name if only is not inside else name)
    os.rename(only, wanted)
    return wanted


def _check(members: list[zipfile.ZipInfo]) -> None:
    if len(members) > FILES or sum(member.file_size for member in members) > UNPACKED_BYTES:
        raise RequestFault(SOURCE, f"holds more than {FILES} files or {UNPACKED_BYTES // 1_000_000_000} GB")
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in member.filename or stat.S_ISLNK(member.external_attr >> 16):
            raise RequestFault(SOURCE, "holds a file that would lie outside its folder", got=member.filename)
