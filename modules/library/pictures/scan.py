"""Walks the output folders for picture files. Opens none of them; a folder that has not changed is not even listed again.

Knows file names, sizes and times. Files that come, go, move or change outside of the program are met here.
Start reading at `look`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from modules.folders import Folders
from modules.knobs import knobs_of
from modules.library.pictures.index import Changes, PictureIndex
from modules.library.pictures.rows import ENDINGS, KINDS, Found
from modules.settings import Settings

DEPTH_LIMIT = 16
EARLY = 500
FRESH_S = 3.0  # a folder that changed so lately may change again without its time showing it (some disks count in two seconds)
PREFIX = "outdir_"
USUAL = ("txt2img-images", "img2img-images", "extras-images", "txt2img-grids", "img2img-grids")  # below outputs/ of such programs


def roots(folders: Folders, settings: Settings) -> dict[Path, str]:
    """Folder -> the kind of pictures that is saved into it, "" where several kinds or others may lie.

    From the settings whose names begin with outdir_, outputs/ itself for whatever else lies there, and folders of other programs.
    """
    found: dict[Path, str] = {}
    for text in settings.extra_picture_dirs:
        folder = Path(os.path.normpath(folders.data / Path(str(text)).expanduser()))
        found |= {folder: kind_of(folder.name)} | {folder / name: kind_of(name) for name in USUAL}
    for name in knobs_of(Settings):
        if not name.startswith(PREFIX) or not (text := getattr(settings, name)):
            continue
        folder = Path(os.path.normpath(folders.data / Path(text).expanduser()))
        kind = kind_of(name.removeprefix(PREFIX))
        found[folder] = kind if found.get(folder, kind) == kind else ""
    return {folders.outputs: ""} | found


def kind_of(word: str) -> str:
    """The kind of pictures that a folder or setting of this name is for, "" when it does not tell."""
    return "grid" if word.endswith("grids") else next((kind for kind in KINDS if word.startswith(kind)), "")


def look(
    index: PictureIndex, wanted: Mapping[Path, str], *, thorough: bool = False, early: Callable[[Changes], object] = lambda _: None
) -> Changes:
    """What is different on the disk from what the index knows. wanted: see `roots`.

    thorough: list every folder and look at every file, also where nothing seems to have changed. early: is handed part of the new
    files as soon as there are EARLY of them, where the index knew nothing, so that the first of many show soon.
    """
    known = index.folder_stamps()
    below: dict[str, list[str]] = {}
    for path, (parent, _) in known.items():
        below.setdefault(parent, []).append(path)
    changes = Changes()
    seen: set[str] = set()
    real: set[str] = set()
    innermost_first = sorted(wanted.items(), key=lambda item: len(item[0].parts), reverse=True)
    queue = deque((str(root), str(root.parent), kind, 0) for root, kind in innermost_first)
    while queue:
        folder, parent, kind, depth = queue.popleft()
        try:
            stamp_ns = os.stat(folder).st_mtime_ns
            if folder in seen or (identity := os.path.realpath(folder)) in real:
                continue
        except OSError:  # not there, or not ours to read
            continue
        seen.add(folder)
        real.add(identity)
        if not thorough and known.get(folder, ("", 0))[1] == stamp_ns:
            inner = below.get(folder, [])
        else:
            inner = _list(index, folder, kind, changes)
            changes.folders[folder] = (parent, 0 if time.time() - stamp_ns / 1e9 < FRESH_S else stamp_ns)
        if not known and len(changes.new) >= EARLY:
            early(changes)
            changes = Changes()
        if depth < DEPTH_LIMIT:
            queue.extend((path, folder, kind, depth + 1) for path in inner)
    changes.gone_folders = [path for path in known if path not in seen]
    _follow_moves(index, changes)
    return changes


def _list(index: PictureIndex, folder: str, kind: str, changes: Changes) -> list[str]:
    """Compare one folder with its rows. Returns the folders in it."""
    inner: list[str] = []
    before = index.files_in(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:  # went away just now
        return []
    for entry in entries:
        if entry.name.startswith(".") or not _speakable(entry.name):
            continue
        if entry.is_dir():
            inner.append(entry.path)
        elif os.path.splitext(entry.name)[1].lower() in ENDINGS:
            found = _file(entry, kind)
            if found is not None and before.pop(entry.path, None) != found.stamp:
                changes.new.append(found)
    changes.gone.extend(before)
    return inner


def _follow_moves(index: PictureIndex, changes: Changes) -> None:
    """A file that went from one place and came up in another with the same size and time is the same picture."""
    if not changes.new or not (changes.gone or changes.gone_folders):
        return
    left = set(changes.gone)
    left_folders = set(changes.gone_folders)
    candidates = index.moved_candidates([found.stamp for found in changes.new])
    for found in changes.new:
        old = [p for p in candidates.get(found.stamp, ()) if p in left or os.path.dirname(p) in left_folders]
        same_name = [p for p in old if os.path.basename(p) == found.path.name]
        if chosen := (same_name or old)[:1]:
            left.discard(chosen[0])
            candidates[found.stamp].remove(chosen[0])
            changes.moved[chosen[0]] = found
    moved = {str(found.path) for found in changes.moved.values()}
    changes.new = [found for found in changes.new if str(found.path) not in moved]
    changes.gone = [path for path in changes.gone if path in left]


def found_at(path: Path, kind: str) -> Found:
    """A file that lies at a path. Raises OSError when there is none."""
    return _of_stat(path, kind, path.stat())


def _file(entry: os.DirEntry[str], kind: str) -> Found | None:
    try:
        return _of_stat(Path(entry.path), kind, entry.stat())
    except OSError:  # a link to nothing, or taken away just now
        return None


def _of_stat(path: Path, kind: str, stat: os.stat_result) -> Found:
    kind = "grid" if kind != "extras" and path.name.startswith("grid-") else kind
    return Found(path=path, kind=kind, size_bytes=stat.st_size, stamp=f"{stat.st_size}:{stat.st_mtime_ns}", changed_s=stat.st_mtime)


def _speakable(name: str) -> bool:
    """False for names whose bytes are no text: no list, database or JSON can hold them."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
