"""Walks the model folders: which weight files and diffusers folders lie there. Opens none of them.

Knows file names, sizes and times; twenty thousand files take a fraction of a second. Start reading at `walk`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from modules.folders import Folders
from modules.library.rows import LOOSE, PLACES, Found
from modules.weights.hashes import model_files
from modules.weights.layouts.files import INDEX as PIECES
from modules.weights.model_folder import INDEX

FORMATS = {
    ".safetensors": "safetensors", ".sft": "safetensors", ".gguf": "gguf", ".ckpt": "pickle", ".pt": "pickle", ".pth": "pickle",
    ".bin": "pickle",
}  # fmt: skip
DEPTH_LIMIT = 12
PIECED = ("ControlNet",)  # places where a folder with an index stands for one model that lies in several files


def walk(folders: Folders, place: str) -> Iterator[Found]:
    """Everything of one place (a key of PLACES, or LOOSE for what lies in models/ itself), each path once.

    Hidden files and folders are passed over (the bin is one). Links are followed, but never in a circle.
    """
    met: set[str] = set()
    if place == LOOSE:
        for base in dict.fromkeys((folders.models, folders.program / "models")):
            yield from (found for found in _below(base, base, place, set(), DEPTH_LIMIT) if str(found.path) not in met)
        return
    for base in folders.model_folders(place):
        for found in _below(base, base, place, set(), 0):
            if str(found.path) not in met:
                met.add(str(found.path))
                yield found


def places() -> tuple[str, ...]:
    """All places there are, the checkpoints' first."""
    return (*PLACES, LOOSE)


def _below(folder: Path, base: Path, place: str, seen: set[str], depth: int) -> Iterator[Found]:
    """seen: real paths of the folders on the way, against links that lead round in a circle."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:  # not there, or not ours to read: the user sees an empty list
        return
    if depth and any(e.name == INDEX or (place in PIECED and e.name.endswith(PIECES)) for e in entries):
        if found := _model_folder(folder, base, place):
            yield found
        return
    for entry in entries:
        if entry.name.startswith(".") or not _speakable(entry.name):
            continue
        if entry.is_dir():
            if depth < DEPTH_LIMIT:
                yield from _below(Path(entry.path), base, place, seen | {real}, depth + 1)
        elif (kind := FORMATS.get(os.path.splitext(entry.name)[1].lower())) and (found := _file(entry, base, place, kind)):
            yield found


def _speakable(name: str) -> bool:
    """False for names whose bytes are no text: no list, database or JSON can hold them."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _file(entry: os.DirEntry[str], base: Path, place: str, kind: str) -> Found | None:
    try:
        stat = entry.stat()
    except OSError:  # a link to nothing, or taken away just now
        return None
    return Found(
        path=Path(entry.path), base=base, place=place, format=kind, size_bytes=stat.st_size, stamp=f"{stat.st_size}:{stat.st_mtime_ns}",
        changed_s=stat.st_mtime,
    )  # fmt: skip


def _model_folder(folder: Path, base: Path, place: str) -> Found | None:
    try:
        stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in model_files(folder)]
    except OSError:  # changed while we looked; the next scan meets it again
        return None
    return Found(
        path=folder, base=base, place=place, format="folder", size_bytes=sum(s.st_size for _, s in stats),
        stamp=";".join(f"{name}:{s.st_size}:{s.st_mtime_ns}" for name, s in stats),
        changed_s=max((s.st_mtime for _, s in stats), default=0.0),
    )  # fmt: skip
