"""What takes how much of the disk: each model, each folder of pictures, and the rest of the data folder; counted in a thread.

Knows sizes and file names, nothing about what is in the files. Start reading at `count`, then `DiskCount`.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modules.folders import MODEL_KINDS, Folders

STALE_S = 600.0
WHOLE = ("model_index.json", "config.json")  # a folder with one of these is one model
MARKS = (".preview", ".civitai", ".info")  # "name.preview.png" belongs to "name.safetensors"
SMALL_BYTES = 1_000_000  # a file of its own below this is no model
PAUSE_EVERY = 2000  # files, after which other threads get a turn
Seen = set[tuple[int, int]]


@dataclass
class Pile:
    """Files that belong together. kind: the folder of models they lie in, or ""."""

    name: str
    kind: str = ""
    bytes: int = 0
    files: int = 0


@dataclass
class Usage:
    """models, outputs, others: the largest first; free_bytes, total_bytes: of the disk with the data folder; seconds: counting took."""

    models: list[Pile] = field(default_factory=list[Pile])
    outputs: list[Pile] = field(default_factory=list[Pile])
    others: list[Pile] = field(default_factory=list[Pile])
    free_bytes: int = 0
    total_bytes: int = 0
    counted_s: float = 0.0
    seconds: float = 0.0


class DiskCount:
    """The latest count, and one in the background when it is too old."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._busy = False
        self._usage: Usage | None = None
        self._fault = ""

    def look(self, *, again: bool = False) -> dict[str, Any]:
        """{"counting", "fault", "usage": `Usage` as data or None}, at once. again: count anew even when the last count is fresh."""
        with self._lock:
            old = self._usage is None or time.time() - self._usage.counted_s > STALE_S
            if not self._busy and (again or (old and not self._fault)):
                self._busy, self._fault = True, ""
                threading.Thread(target=self._count, daemon=True, name="disk-count").start()
            return {"counting": self._busy, "fault": self._fault, "usage": None if self._usage is None else asdict(self._usage)}

    def _count(self) -> None:
        try:
            usage, fault = count(self._folders), ""
        except OSError as error:
            usage, fault = None, f"{error.filename}: {error.strerror}"
        with self._lock:
            self._busy, self._fault = False, fault
            self._usage = usage or self._usage


def count(folders: Folders) -> Usage:
    """Count everything now. A file with several names (hard links) counts once."""
    began = time.perf_counter()
    seen: Seen = set()
    kinds = [*MODEL_KINDS, *(p.name for p in _folders_in(folders.models) if p.name not in MODEL_KINDS and not p.name.startswith("."))]
    models: list[Pile] = []
    for kind in kinds:
        for base in folders.model_folders(kind):
            models += _models_in(base, kind, seen)
    outputs = [_pile(path, path.name, seen) for path in _folders_in(folders.outputs)]
    others = {"cache": folders.cache, "log": folders.logs, "extensions": folders.data / "extensions"}
    others["bin of models"] = folders.models / ".bin"
    disk = shutil.disk_usage(next(p for p in (folders.data, *folders.data.parents) if p.exists()))
    return Usage(
        models=_sorted(models),
        outputs=_sorted(outputs),
        others=_sorted([_pile(path, name, seen) for name, path in others.items() if path.is_dir()]),
        free_bytes=disk.free,
        total_bytes=disk.total,
        counted_s=time.time(),
        seconds=round(time.perf_counter() - began, 3),
    )


def _sorted(piles: list[Pile]) -> list[Pile]:
    return sorted((pile for pile in piles if pile.bytes), key=lambda pile: (-pile.bytes, pile.name))


def _models_in(base: Path, kind: str, seen: Seen) -> list[Pile]:
    """A pile a model: a folder that is one, or a file with what lies beside it under its name; small things together."""
    piles: dict[str, Pile] = {}
    rest = Pile(f"other files in {base.name}", kind)
    waiting = [base]
    while waiting:
        folder = waiting.pop()
        entries = list(_entries(folder))
        if folder != base and any(entry.name in WHOLE for entry in entries):
            name = str(folder.relative_to(base))
            piles[name] = _pile(folder, name, seen, kind)
            continue
        waiting += [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        for entry in entries:
            if entry.is_file() and (size := _once(entry, seen)) is not None:
                pile = piles.setdefault(_stem(Path(entry.path).relative_to(base)), Pile("", kind))
                pile.bytes, pile.files = pile.bytes + size, pile.files + 1
    for name, pile in piles.items():
        pile.name = name
        if pile.bytes < SMALL_BYTES:
            rest.bytes, rest.files = rest.bytes + pile.bytes, rest.files + pile.files
    return [*(pile for pile in piles.values() if pile.bytes >= SMALL_BYTES), rest]


def _stem(path: Path) -> str:
    """What names the model that a file belongs to."""
    stem = path.with_suffix("")
    return str(stem.with_suffix("") if stem.suffix in MARKS else stem)


def _pile(folder: Path, name: str, seen: Seen, kind: str = "") -> Pile:
    """Everything in a folder."""
    pile, waiting = Pile(name, kind), [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            elif (size := _once(entry, seen)) is not None:
                pile.bytes, pile.files = pile.bytes + size, pile.files + 1
                if pile.files % PAUSE_EVERY == 0:
                    time.sleep(0.005)
    return pile


def _once(entry: os.DirEntry[str], seen: Seen) -> int | None:
    """Size of a file that was not counted under another name; None for one that was, or that has just gone."""
    try:
        stat = entry.stat()
    except OSError:
        return None
    if stat.st_nlink > 1 or entry.is_symlink():
        key = (stat.st_dev, stat.st_ino)
        if key in seen:
            return None
        seen.add(key)
    return stat.st_size


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from list(found)
    except OSError:  # gone, or not ours to read
        return


def _folders_in(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir()]
