"""What a job needs from this machine: model files and pictures, by what they hold; and the job with other paths in it.

Knows the plain data of a job; knows nothing about Ray or about how bytes travel. Start reading at `goods_of`.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.control.maps.files import found
from modules.control.maps.row import ANNOTATORS
from modules.control.maps.table import MAPS
from modules.faults import ModelFault, RequestFault
from modules.folders import Folders, write_atomic
from modules.inputs import Inputs, references_in
from modules.request import REFERENCE
from modules.upscale.finishing import FINISHING, files_of
from modules.upscale.table import A1111_NAMES, PLACES, upscaler_files
from modules.weights.hashes import file_sha256

NOT_SENT = frozenset({".bin", ".ckpt", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".md", ".png", ".jpg", ".jpeg", ".gitattributes"})
PROMPTS = ("all_prompts", "all_negative_prompts")


@dataclass(frozen=True, kw_only=True)
class Goods:
    """files: digest -> where it lies here. views: path in the job -> {path below: digest}, "" below for a single file.

    placed: path below the other machine's data folder -> digest, for what is found there by its name.
    """

    files: dict[str, Path] = field(default_factory=dict[str, Path])
    views: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    placed: dict[str, str] = field(default_factory=dict[str, str])

    def without(self, paths: Collection[str]) -> Goods:
        """The same but for these views."""
        views = {path: files for path, files in self.views.items() if path not in paths}
        wanted = {*self.placed.values(), *(digest for files in views.values() for digest in files.values())}
        return Goods(files={digest: path for digest, path in self.files.items() if digest in wanted}, views=views, placed=self.placed)

    def size_bytes(self, digest: str) -> int:
        return self.files[digest].stat().st_size


class Digests:
    """SHA-256 of files, kept in a file: one is read again only when its size or time changes. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._known: dict[str, list[Any]] = json.loads(path.read_text())
        except (OSError, ValueError):
            self._known = {}

    def of(self, path: Path) -> str:
        """Raises OSError."""
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        with self._lock:
            known = self._known.get(str(path))
        if known is not None and known[:2] == stamp:
            return str(known[2])
        digest = file_sha256(path)
        with self._lock:
            self._known[str(path)] = [*stamp, digest]
            write_atomic(self._path, json.dumps(self._known).encode())
        return digest


def goods_of(job: Mapping[str, Any], folders: Folders, digests: Digests) -> Goods:
    """Everything that lies here and that a worker would open for this job. Raises OSError, RequestFault."""
    goods = Goods()
    for text in dict.fromkeys(_paths_in([job.get("resolved"), job.get("made")])):
        path = Path(text)
        if path.is_dir():
            goods.views[text] = {p.relative_to(path).as_posix(): _add(goods, p, digests) for p in _model_files(path)}
        elif path.is_file():
            goods.views[text] = {"": _add(goods, path, digests)}
    resolved = job.get("resolved") or {}
    inputs = Inputs(folders)
    for reference in sorted(references_in(json.dumps(resolved))):
        path, digest = inputs.path(reference), reference.removeprefix(REFERENCE)
        goods.files[digest] = path
        goods.placed[f"cache/inputs/{path.name}"] = digest
    for place, path in (*_by_name(resolved, folders), *_of_preprocessors(resolved, folders), *_of_tools(resolved, folders)):
        goods.placed[f"models/{place}"] = _add(goods, path, digests)
    return goods


def goods_of_paths(data: Any) -> Goods:
    """The files of a moment that plain data names. Raises OSError."""
    goods = Goods()
    for text in dict.fromkeys(_paths_in(data)):
        digest = file_sha256(Path(text))
        goods.files[digest] = Path(text)
        goods.views[text] = {"": digest}
    return goods


def with_paths(data: Any, other: Mapping[str, str]) -> Any:
    """Plain data in which every text that is one of these paths is the other one."""
    if isinstance(data, dict):
        return {name: with_paths(value, other) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [with_paths(value, other) for value in data]
    return other.get(data, data) if isinstance(data, str) else data


def _add(goods: Goods, path: Path, digests: Digests) -> str:
    digest = digests.of(path)
    goods.files[digest] = path
    return digest


def _paths_in(data: Any) -> Iterator[str]:
    """Every absolute path under the name "path", of what is there."""
    if isinstance(data, dict):
        for name, value in data.items():
            if name == "path" and isinstance(value, str) and Path(value).is_absolute():
                yield value
            else:
                yield from _paths_in(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _paths_in(value)


def _model_files(folder: Path) -> list[Path]:
    """What a model folder is loaded from: all but pickles, pictures and descriptions."""
    found = [p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() not in NOT_SENT]
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def _by_name(resolved: Mapping[str, Any], folders: Folders) -> Iterator[tuple[str, Path]]:
    """(place below the models, file) of what a worker looks for in its own folders: embeddings that a prompt names, upscalers."""
    later = resolved.get("hires") or {}
    prompts = " ".join(text for holder in (resolved, later) for name in PROMPTS for text in holder.get(name) or ())
    for base in folders.model_folders("embeddings"):
        for path in sorted(base.rglob("*.safetensors")) if base.is_dir() else ():
            if path.stem in prompts:
                yield f"embeddings/{path.name}", path
    words = json.dumps(resolved)
    for name, path in upscaler_files(folders)[0]:
        if any(json.dumps(known) in words for known in {name, path.stem, A1111_NAMES.get(path.stem, name)}):
            yield f"{path.parent.name if path.parent.name in PLACES else PLACES[0]}/{path.name}", path


def _of_preprocessors(resolved: Mapping[str, Any], folders: Folders) -> Iterator[tuple[str, Path]]:
    """The same of the weights that the preprocessors of ControlNet units read. What is missing here is told by who needs it."""
    names = {row["unit"]["module"] for row in resolved.get("control") or ()}
    for row in (MAPS.get(name) for name in sorted(names) if name in MAPS):
        for needed in row.needs:
            with contextlib.suppress(ModelFault):
                lies = found(needed, row, folders)
                for path in _model_files(lies) if lies.is_dir() else [lies]:
                    yield f"{ANNOTATORS}/{path.relative_to(lies.parent).as_posix()}", path


def _of_tools(resolved: Mapping[str, Any], folders: Folders) -> Iterator[tuple[str, Path]]:
    """The same of the tools that finish a picture: faces, background."""
    settings, asked = resolved.get("settings") or {}, resolved.get("request") or {}
    wanted = {settings["face_restoration_model"]} if settings.get("face_restoration") else set[str]()
    for tool in FINISHING.values():
        value = asked.get(tool.field)
        if tool.name in wanted or value == tool.name or (isinstance(value, int | float) and value > 0):
            with contextlib.suppress(RequestFault):
                for path in files_of(tool, folders):
                    yield f"{tool.folder}/{path.name}", path
