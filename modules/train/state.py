"""Where a training stands, on disk: written whole or not at all, in two generations, each checked in full before it is believed.

    state/step-000250/manifest.json      position, numbers, and size and SHA-256 of the file beside it
                      tensors.safetensors

A state is any tree of dicts, lists, tuples, numbers, texts, None and tensors (`Position` and whatever the loop adds). Nothing in it can run
code when it is read, so that a session from elsewhere can be gone on with. Start reading at `save` and `load`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from modules.faults import DiskFault

VERSION = 1
GENERATIONS = 2
TENSORS = "tensors.safetensors"
MANIFEST = "manifest.json"
_NAME = re.compile(r"step-\d+")


def save(folder: Path, step: int, tree: Mapping[str, Any]) -> Path:
    """Write a state of `step` beside the others and remove all but the newest two. Returns its folder.

    A crash at any moment leaves the states that were there. Raises DiskFault.
    """
    plain, tensors = _apart(tree)
    temp = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temp = tempfile.mkdtemp(dir=folder, prefix=".new-")
        save_file(tensors, Path(temp) / TENSORS)
        told = {"version": VERSION, "step": step, "file": _print_of(Path(temp) / TENSORS), "tree": plain}
        text = json.dumps(told, ensure_ascii=False)
        (Path(temp) / MANIFEST).write_text(json.dumps({**told, "sum": _sum(text)}, ensure_ascii=False), encoding="utf-8")
        for name in (TENSORS, MANIFEST):
            _synced(Path(temp) / name)
        os.chmod(temp, 0o755)
        target = _placed(Path(temp), folder / f"step-{step:06d}")
        temp = ""
        _synced(folder)
        for old in _generations(folder)[GENERATIONS:]:
            shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise DiskFault(
            f"cannot write the state of the training into {folder}: {error}. Free some space; the state before this one is still there."
        ) from error
    finally:
        if temp:
            shutil.rmtree(temp, ignore_errors=True)
    return target


def load(folder: Path, warn: Callable[[str], None]) -> tuple[int, dict[str, Any]] | None:
    """(step, tree) of the newest state that is whole; None without any. What is damaged is told to `warn` and left where it lies.

    Raises DiskFault when there are states and none can be used: training anew is for a person to decide.
    """
    _take_back(folder)
    found = _generations(folder)
    for number, place in enumerate(found):
        try:
            return _read(place)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            older = found[number + 1].name if number + 1 < len(found) else ""
            if not older:
                raise DiskFault(
                    f"The states of this training in {folder} are damaged ({place.name}: {error}). "
                    "Copy them back from elsewhere, or choose to train anew."
                ) from error
            warn(f"The newest state, {place.name}, is damaged ({error}); the training goes on from the one before it, {older}.")
    return None


def _read(place: Path) -> tuple[int, dict[str, Any]]:
    """Raises OSError, ValueError, KeyError, TypeError, SafetensorError for anything but a whole state."""
    told = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    total = told.pop("sum")
    if total != _sum(json.dumps(told, ensure_ascii=False)):
        raise ValueError("its manifest was changed or cut off")
    if told["version"] > VERSION:
        raise ValueError("it was written by a newer version of the program")
    if told["file"] != _print_of(place / TENSORS):
        raise ValueError("its tensors were changed or cut off")
    return int(told["step"]), _together(told["tree"], load_file(place / TENSORS))


def _generations(folder: Path) -> list[Path]:
    """Folders of states, the newest first."""
    if not folder.is_dir():
        return []
    found = [place for place in folder.iterdir() if _NAME.fullmatch(place.name) and place.is_dir()]
    return sorted(found, key=lambda place: -int(place.name.partition("-")[2]))


def _placed(temp: Path, target: Path) -> Path:
    """Give a finished folder its name; one of that name (the same step, saved again) steps aside first."""
    if target.exists():
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=".old-"))
        os.rename(target, aside / target.name)
        os.rename(temp, target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(temp, target)
    return target


def _take_back(folder: Path) -> None:
    """A state that had stepped aside for a successor which never came gets its name back."""
    for place in folder.glob(".old-*"):
        for state in place.iterdir():
            if not (folder / state.name).exists():
                os.rename(state, folder / state.name)


def _sweep(folder: Path) -> None:
    """Remove what a killed process left."""
    _take_back(folder)
    for pattern in (".old-*", ".new-*"):
        for place in folder.glob(pattern):
            shutil.rmtree(place, ignore_errors=True)


def _print_of(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _synced(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _apart(tree: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """A tree as JSON, and its tensors by name. Exact: a float keeps every bit, a tuple stays a tuple, a key that is a number stays one."""
    tensors: dict[str, torch.Tensor] = {}
    seen: set[int] = set()

    def walk(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            name = str(len(tensors))
            tensor = value.detach().to("cpu").contiguous()
            shared = tensor.numel() and (tensor.data_ptr() in seen or tensor.untyped_storage().nbytes() != tensor.nbytes)
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.clone() if shared else tensor
            return {"$tensor": name}
        if isinstance(value, Mapping):
            return {"$dict": [[walk(key), walk(each)] for key, each in value.items()]}
        if isinstance(value, tuple):
            return {"$tuple": [walk(each) for each in value]}
        if isinstance(value, list):
            return [walk(each) for each in value]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"a {type(value).__name__} cannot be part of a state")

    return walk(tree), tensors


def _together(plain: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(plain, list):
        return [_together(each, tensors) for each in plain]
    if not isinstance(plain, dict):
        return plain
    kind, value = next(iter(plain.items()))
    if kind == "$tensor":
        return tensors[value]
    if kind == "$tuple":
        return tuple(_together(each, tensors) for each in value)
    if kind == "$dict":
        return {_together(key, tensors): _together(each, tensors) for key, each in value}
    raise ValueError(f"unknown part {kind!r}")
