"""Which captioners lie in the model folders, and what kind a folder is: told by its config.json and its tensors, never by its name.

Reads descriptions and the headers of weight files; loads nothing, imports no torch. Start reading at `captioners` and `find`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.caption import CAPTIONERS, Kind, Published, tagger
from modules.caption.tags import read_tags
from modules.faults import ModelFault, UnknownName
from modules.folders import Folders
from modules.weights import header

PLACES = ("BLIP", "CLIP", "caption", *tagger.PLACES)  # folders in models/
STARTER = "darkroom-starter"
CONFIG, GENERATION = "config.json", "generation_config.json"
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
)  # without one, transformers makes up an empty one
MOST_DEPTH = 4
_CONFIG_LIMIT_BYTES = 4_000_000
_INDEX = "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_HUB_FOLDER = re.compile(r"models--[^/]+?--(?P<name>.+)")
_LICENCE = re.compile(r"^license:\s*[\"']?([\w .+-]{1,60})", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A captioner in a folder. kind: its id in `CAPTIONERS`; does: what this one can do; size_bytes: of its weights; licence: "" unknown.

    repo: where it is published, "" when it is none of the well-known ones. config, generation: its config.json and
    generation_config.json.
    """

    name: str
    path: Path
    kind: str
    does: tuple[str, ...]
    size_bytes: int
    licence: str = ""
    repo: str = ""
    config: dict[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)
    generation: dict[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)

    @property
    def starter(self) -> bool:
        """It came with the program."""
        return self.name.startswith(STARTER)


def captioners(folders: Folders) -> tuple[list[Installed], dict[str, str]]:
    """(every captioner, {name of a folder that looks like one: why it cannot be used}). People's own first, by name, then the starter's."""
    found: dict[str, Installed] = {}
    refused: dict[str, str] = {}
    for base in (base for place in PLACES for base in folders.model_folders(place)):
        for folder in _folders_with_config(base):
            name = _name_of(folder)
            if name.casefold() in (known.casefold() for known in (*found, *refused)):
                name = folder.relative_to(base.parent).as_posix()
                if name in found or name in refused:
                    continue
            try:
                found[name] = describe(folder, name)
            except ModelFault as fault:
                refused[name] = fault.message
    rows = sorted(found.values(), key=lambda row: (row.starter, row.name.casefold()))
    return rows, refused


def find(rows: Iterable[Installed], refused: dict[str, str], wanted: str, field_name: str = "model") -> Installed:
    """The captioner of a name: its folder's, its path, or its address on the hub. Letters' case does not matter.

    Raises ModelFault when there is one that cannot be used, UnknownName with close matches; for a well-known model that is not here it
    says how to get it.
    """
    rows = list(rows)
    text = wanted.strip().casefold()
    last = text.rpartition("/")[2]
    meant = tagger.folder_name(last)
    for matches in (lambda row: text in (row.name.casefold(), str(row.path).casefold()), lambda row: row.name.casefold() in (last, meant)):
        if (row := next(filter(matches, rows), None)) is not None:
            return row
    for name, why in refused.items():
        if name.casefold() in (text, last):
            raise ModelFault(why)
    for _, kind in CAPTIONERS:
        for known in kind.published:
            if known.name.casefold() in (last, meant):
                note = f" ({known.note})" if known.note else ""
                place = {"clip": "CLIP", tagger.ID: tagger.PLACES[0]}.get(kind.id, "BLIP")
                raise ModelFault(
                    f"{known.repo} is not here yet: {known.gigabytes:g} GB, {known.licence}{note}. Put its files into "
                    f"models/{place}/{known.name}, or fetch them: python launch.py models download {known.repo} --kind {place}"
                )
    raise UnknownName(field_name, wanted, [row.name for row in rows])


def describe(folder: Path, name: str = "") -> Installed:
    """What the captioner in a folder is. Raises ModelFault in words: no such kind, no safetensors, weights of another kind, damage."""
    name = name or _name_of(folder)
    if tagger.is_tagger(folder):
        return _tagger(folder, name)
    config = _json(folder / CONFIG, name)
    files = weight_files(folder, name)
    kind = _kind_of(config, name)
    if not any((folder / file).is_file() for file in TOKENIZERS):
        raise ModelFault(f"{name} has no tokenizer ({', '.join(TOKENIZERS[:3])}) in its folder. Copy the model again.")
    tensors = [tensor for path in files for tensor in header.read(path).tensors]
    lacking = [start for start in kind.tensors if not any(tensor.startswith(start) for tensor in tensors)]
    if lacking:
        raise ModelFault(
            f"{name} calls itself {kind.architecture}, but its weights have no {' and no '.join(lacking)}*. "
            f"Those parts would be random; take the model that was made for it{_such_as(kind)}."
        )
    known = _published(kind, name)
    generation = _json(folder / GENERATION, name) if (folder / GENERATION).is_file() else {}
    return Installed(
        name=name,
        path=folder,
        kind=kind.id,
        does=(known.does if known else ()) or kind.does,
        size_bytes=sum(path.stat().st_size for path in files),
        licence=_licence(folder) or (known.licence if known else ""),
        repo=known.repo if known else "",
        config=config,
        generation=generation,
    )


def _tagger(folder: Path, name: str) -> Installed:
    """Raises ModelFault when its list of tags is damaged."""
    kind = CAPTIONERS.get(tagger.ID)
    known = _published(kind, name)
    read_tags(folder)
    return Installed(
        name=name,
        path=folder,
        kind=kind.id,
        does=kind.does,
        size_bytes=(folder / tagger.MODEL).stat().st_size,
        licence=_licence(folder) or (known.licence if known else ""),
        repo=known.repo if known else "",
    )


def weight_files(folder: Path, name: str) -> list[Path]:
    """The safetensors files of a folder: one, or those that its index names; a tagger's network. Raises ModelFault when there are none or
    one is missing.
    """
    if tagger.is_tagger(folder):
        return [folder / tagger.MODEL]
    if (index := folder / _INDEX).is_file():
        rows = _json(index, name).get("weight_map")
        names = sorted({str(value) for value in rows.values()}) if isinstance(rows, dict) else []
        if missing := [n for n in names if Path(n).name != n or not (folder / n).is_file()]:
            raise ModelFault(f"{name} lacks {', '.join(missing[:5])}, which its {_INDEX} names. Fetch the missing files.")
        if names:
            return [folder / n for n in names]
    if (single := folder / "model.safetensors").is_file():
        return [single]
    pickles = [p.name for p in sorted(folder.iterdir()) if p.suffix.lower() in _PICKLES]
    if pickles:
        raise ModelFault(f"{name} has its weights as {pickles[0]}, a pickle, which can run code. Convert it to model.safetensors first.")
    raise ModelFault(f"{name} has no model.safetensors in its folder. Copy the model again.")


def _kind_of(config: dict[str, Any], name: str) -> Kind:
    said = config.get("architectures") or []
    classes = [str(c) for c in said] if isinstance(said, list) else []
    model_type = str(config.get("model_type", ""))
    for _, kind in CAPTIONERS:
        if kind.architecture in classes or (not classes and kind.model_type == model_type):
            return kind
    told = ", ".join(classes) or model_type or "nothing known"
    raise ModelFault(f"{name} is {told}; this version runs {', '.join(kind.title for _, kind in CAPTIONERS)}. Take one of those.")


def _folders_with_config(base: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(base, followlinks=True):
        path = Path(folder)
        depth = len(path.relative_to(base).parts)
        inner[:] = sorted(n for n in inner if not n.startswith(".")) if depth < MOST_DEPTH else []
        if path != base and (CONFIG in names or tagger.is_tagger(path)):
            inner.clear()
            yield path


def _name_of(folder: Path) -> str:
    """The folder's name; for a snapshot in the hub's own layout the model's."""
    if folder.parent.name == "snapshots" and (hub := _HUB_FOLDER.fullmatch(folder.parent.parent.name)):
        return hub["name"]
    return folder.name


def _published(kind: Kind, name: str) -> Published | None:
    last = name.rpartition("/")[2].casefold()
    return next((known for known in kind.published if known.name.casefold() == last), None)


def _such_as(kind: Kind) -> str:
    return f", such as {kind.published[0].repo}" if kind.published else ""


def _licence(folder: Path) -> str:
    """As the model card's head says it."""
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as file:
            match = _LICENCE.search(file.read(4000))
    except OSError:
        return ""
    return match[1].strip() if match else ""


def _json(path: Path, name: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > _CONFIG_LIMIT_BYTES:
            raise ModelFault(f"{name}: {path.name} is far too large for a description. Copy the model again.")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelFault(f"{name}: {path.name} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelFault(f"{name}: {path.name} is damaged ({error}). Copy the model again.") from error
    if not isinstance(found, dict):
        raise ModelFault(f"{name}: {path.name} is damaged. Copy the model again.")
    return found
