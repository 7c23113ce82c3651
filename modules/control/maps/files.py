"""Where the weights of preprocessors lie, and what to say when they do not. Opens no file; loads neither torch nor numpy.

Start reading at `found`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from modules.control.maps.row import ANNOTATORS, MapRow, Needed
from modules.faults import ModelFault
from modules.folders import Folders

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
PACKAGE = "pip install "  # what is published as a package is no file


def found(needed: Needed, row: MapRow, folders: Folders) -> Path:
    """The file or folder, in an annotator folder or right below one. Raises ModelFault with its name, size and place."""
    for name in needed.names:
        for path in _places(folders, name):
            if _whole(path, needed):
                return path
    raise ModelFault(_missing(needed, row, folders))


def lacking(row: MapRow, folders: Folders) -> str:
    """Why a preprocessor cannot be used as things are, in words with what to do; "" when it can."""
    if row.why_not:
        return f"The preprocessor {row.name} is not there: {row.why_not}."
    for needed in row.needs:
        if needed.published.startswith(PACKAGE):
            if importlib.util.find_spec(needed.name) is None:
                return f"The preprocessor {row.name} needs the package {needed.name}: {needed.published}, then start again."
            continue
        try:
            found(needed, row, folders)
        except ModelFault as fault:
            return fault.message
    return ""


def _places(folders: Folders, name: str) -> Iterator[Path]:
    for base in folders.model_folders(ANNOTATORS):
        yield base / name
        if base.is_dir():
            yield from sorted(base.glob(f"*/{name}"))


def _whole(path: Path, needed: Needed) -> bool:
    if not needed.is_folder:
        return path.is_file()
    return (path / "config.json").is_file() and any(path.glob("*.safetensors"))


def _missing(needed: Needed, row: MapRow, folders: Folders) -> str:
    place = folders.model_folders(ANNOTATORS)[0]
    size = f"{needed.megabytes} MB" if needed.megabytes < 1000 else f"{needed.megabytes / 1000:.1f} GB"
    if needed.is_folder:
        others = f" (or {' or '.join(needed.instead)})" if needed.instead else ""
        return (
            f"The preprocessor {row.name} needs the model {needed.name}{others}, about {size}, as a folder with config.json and "
            f"model.safetensors in {place}. It is published as {needed.published}."
        )
    stem = needed.name.removesuffix(".safetensors")
    pickle = next((p for end in PICKLES for p in _places(folders, stem + end) if p.is_file()), None)
    if pickle is not None:
        return (
            f"The preprocessor {row.name} needs {needed.name}. {pickle.name} is there, but it is a pickle, which can run programs, and is "
            f"not read: convert it on the Models tab, or with launch.py models unpickle {pickle}."
        )
    return (
        f"The preprocessor {row.name} needs {needed.name}, about {size}, in {place}. It is published as {needed.published}; "
        "put that file there and convert it on the Models tab."
    )
