"""What a process of a training needs from the page's machine, fetched by itself: model files by what they hold, and a copy
of the session.

Knows the calls of a desk (`modules.cluster.rank`) and files; nothing about Ray. Start reading at `settled_in`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modules.cluster.blobs import Blobs
from modules.cluster.goods import Digests, Goods, goods_of, with_paths
from modules.cluster.sending import PIECE_S, Calls
from modules.folders import Folders, safe_join
from modules.train.sessions import Session

PICTURES = ("config.toml", "crops.json", "pictures", "class", "state")  # of a session, for every process
RESULTS = ("samples", "log", "output")  # for the one that writes
MARK = ".cluster"  # in the session's folder while it is trained so; who can read it there needs no copy


def goods_to_train(resolved: Mapping[str, Any], folders: Folders, session: Session, digests: Digests, *, results: bool) -> Goods:
    """Everything that a process needs; results: also what was made so far. Raises OSError."""
    goods = goods_of({"resolved": resolved}, folders, digests)
    for part in (*PICTURES, *RESULTS) if results else PICTURES:
        for path in files_of(session.folder / part):
            digest = digests.of(path)
            goods.files[digest] = path
            goods.placed[path.relative_to(session.folder).as_posix()] = digest
    return goods


def files_of(root: Path) -> list[Path]:
    """The file itself, or all below it but for those whose names begin with a dot: they are being written."""
    if root.is_file():
        return [root]
    found = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else []
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]


def settled_in(told: Mapping[str, Any], desk: Calls, data: Path, *, results: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The job with this machine's paths. data: folder for this process alone; results: it is the one that writes.

    Where the session is seen under the same path it is used there, else it is copied. Raises DiskFault, ModelFault, WorkerDied.
    """
    home = Path(told["home"]).expanduser()
    blobs = Blobs(home / "cache" / "blobs", int(told["budget_bytes"]))
    here, seen = Folders.from_data(told["folders"]), is_seen(told)
    luggage: dict[str, Any] = desk.call("luggage", results and not seen, timeout_s=PIECE_S)
    views: dict[str, dict[str, str]] = luggage["views"]
    placed: dict[str, str] = {} if seen else luggage["placed"]
    same = _same(views, Digests(home / "cache" / "digests.json")) if told["shared"] else set[str]()
    wanted = {digest for path, files in views.items() if path not in same for digest in files.values()} | set(placed.values())
    _fetch({digest: luggage["sizes"][digest] for digest in sorted(wanted)}, desk, blobs, say)
    paths = {path: path if path in same else str(blobs.view(Path(path).name, files)) for path, files in views.items()}
    if not seen:
        here = Folders.at(data=data)
        _lay_out(placed, blobs, here.models / "train" / told["resolved"]["session"])
    return {**told, "resolved": with_paths(told["resolved"], paths), "folders": here.to_data()}


def is_seen(told: Mapping[str, Any]) -> bool:
    """The session's folder lies here under the same path: the very folder, not a copy."""
    mark = Path(told["session_folder"]) / MARK
    try:
        return bool(told["shared"]) and mark.read_text(encoding="utf-8") == told["mark"]
    except OSError:
        return False


def _same(views: Mapping[str, Mapping[str, str]], digests: Digests) -> set[str]:
    """The paths under which the same files lie here."""
    found: set[str] = set()
    for path, files in views.items():
        with contextlib.suppress(OSError):
            if all(digests.of(Path(path) / below) == digest for below, digest in files.items()):
                found.add(path)
    return found


def _fetch(sizes: Mapping[str, int], desk: Calls, blobs: Blobs, say: Callable[[str], None]) -> None:
    missing = {digest: size for digest, size in sizes.items() if not blobs.have(digest)[1]}
    blobs.make_room(sum(size - blobs.have(digest)[0] for digest, size in missing.items()), sizes.keys())
    for number, (digest, size) in enumerate(missing.items(), 1):
        say(f"Fetching files ({number} of {len(missing)})")
        there = blobs.have(digest)[0]
        while (there := blobs.put(digest, there, desk.call("piece", digest, there, timeout_s=PIECE_S))) < size:
            pass
        blobs.finish(digest)


def _lay_out(placed: Mapping[str, str], blobs: Blobs, folder: Path) -> None:
    """The session as it is at home; what was encoded here before stays, and other sessions go."""
    for other in folder.parent.iterdir() if folder.parent.is_dir() else ():
        if other.is_dir() and other != folder:
            shutil.rmtree(other)
    for part in (*PICTURES, *RESULTS):
        if (folder / part).is_dir():
            shutil.rmtree(folder / part)
    for below, digest in placed.items():
        path = safe_join(folder, below)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        shutil.copyfile(blobs.view(os.path.basename(below), {"": digest}), path)
