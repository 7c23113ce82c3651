"""One component of a model, wherever it lies: in a single file, in a file of its own, or in a diffusers folder.

Whatever the source, its tensors have the names of the diffusers (or transformers) class, and its config is worked out from their
shapes. Start reading at `find` and `open_component`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from modules.faults import ModelFault
from modules.weights.header import Header, TensorInfo
from modules.weights.layouts import carried, rules
from modules.weights.layouts.files import Tensors, header_of, headers_of
from modules.weights.layouts.kinds import KINDS
from modules.weights.layouts.rules import Entry, Shape
from modules.weights.layouts.table import LAYOUTS, Part

if TYPE_CHECKING:
    from torch import Tensor

_SCALES = ("scale_weight", "weight_scale", "scale_input", "input_scale", "scaled_fp8")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor of a component comes from: its file, its name there, and the rule it went through.

    scale: the name of the number that 8-bit weights are multiplied with, as ComfyUI writes them; "" when there is none.
    """

    source: Header
    name: str
    entry: Entry
    scale: str = ""


@dataclass(frozen=True, kw_only=True)
class Component:
    """name: "unet", "vae", ...; tensors: canonical name -> type and shape; places: where each lies; config: see `config_of`.

    naming: of the source, "" for diffusers' own names; raw: the source's names without prefix -> (file, name there), those that no rule
    knows included; unknown: these. Use `read` for numbers.
    """

    name: str
    part: Part
    tensors: Mapping[str, TensorInfo]
    places: Mapping[str, Place]
    config: Mapping[str, Any]
    naming: str
    raw: Mapping[str, tuple[Header, str]]
    unknown: tuple[str, ...]

    @property
    def shapes(self) -> dict[str, Shape]:
        """Canonical name -> shape."""
        return {name: info.shape for name, info in self.tensors.items()}

    def read(self, files: Tensors, name: str) -> Tensor:
        """One tensor, by its canonical name, as its class wants it."""
        place = self.places[name]
        if place.entry.how == "stack":
            total = place.source.tensors[place.name].shape[0]
            value = files.read(place.source, place.name, rules.span(place.entry, name, total))
        else:
            value = rules.to_part(place.entry, files.read(place.source, place.name))
        if place.scale:
            import torch

            value = (value.to(torch.float32) * files.read(place.source, place.scale).to(torch.float32)).to(torch.bfloat16)
        return value

    def own(self, name: str) -> str:
        """A canonical name as the class itself has it: `CLIPTextModel` has no "text_model." in its names (transformers from 5.6)."""
        return name.removeprefix("text_model.") if self.part.model == "CLIPTextModel" else name


def find(source: Header, part: Part) -> tuple[str, str] | None:
    """(naming, prefix) under which a component lies in a file; naming "" means diffusers' own names. None: it is not there."""
    kind = KINDS[part.kind]
    for naming, prefix in part.homes:
        if prefix + kind.namings[naming].mark in source.tensors:
            return naming, prefix
    for _, prefix in part.homes:
        if any(prefix + mark in source.tensors for mark in (kind.mark, kind.mark.removeprefix("text_model."))):
            return "", prefix
    return None


def open_component(path: Path, layout: str, name: str, published: Path | None = None) -> Component:
    """A component of a single file, of a file that holds nothing else, or of a diffusers folder.

    published: a folder in the diffusers layout with the configs of the family, for what shapes cannot tell.
    Raises ModelFault when it is not there or not what it should be.
    """
    part = LAYOUTS[layout].parts[name]
    base = _json(published / name / "config.json") if published else {}
    if path.is_dir():
        folder = path / name if (path / name).is_dir() else path
        return assembled(name, part, [(source, "", "") for source in headers_of(folder)], _json(folder / "config.json"), whole=True)
    source = header_of(path)
    home = find(source, part)
    if home is None:
        raise ModelFault(f"{path.name} holds no {name.replace('_', ' ')} that this version knows.")
    return assembled(name, part, [(source, *home)], base)


def component_of(source: Header, layout: str, name: str, base: Mapping[str, Any] | None = None) -> Component | None:
    """As `open_component`, from a header that is at hand; None when the component is not in it."""
    part = LAYOUTS[layout].parts[name]
    home = find(source, part)
    return assembled(name, part, [(source, *home)], base or {}) if home else None


def config_beside(path: Path) -> dict[str, Any]:
    """What config.json in the folder of a weight file says; empty when there is none. Raises ModelFault when it cannot be read."""
    return _json(path.parent / "config.json")


def assembled(name: str, part: Part, sources: list[tuple[Header, str, str]], base: Mapping[str, Any], *, whole: bool = False) -> Component:
    """A component from its headers, each with the naming and prefix that `find` gave. whole: `base` is its own config, taken as it is.

    Raises ModelFault when it is not whole or of an unknown build.
    """
    tensors: dict[str, TensorInfo] = {}
    places: dict[str, Place] = {}
    raw: dict[str, tuple[Header, str]] = {}
    unknown: list[str] = []
    for source, naming, prefix in sources:
        shapes = {inner: source.tensors[prefix + inner].shape for inner in source.under(prefix)}
        entries = _entries(part, naming, shapes)
        known = {entry.single for entry in entries}
        unknown += sorted(shapes.keys() - known) if prefix else []
        raw |= {inner: (source, prefix + inner) for inner in shapes if prefix or inner in known}
        for entry in entries:
            info = source.tensors[prefix + entry.single]
            scale = _scale_of(prefix + entry.single, source)
            for own, shape in _part_shapes(source, entry, info.shape).items():
                tensors[own] = TensorInfo("BF16" if scale else info.dtype, shape)
                places[own] = Place(source, prefix + entry.single, entry, scale)
    for left in _left_out(part, tensors, bool(sources[0][1])):
        del tensors[left], places[left]
    shapes = {own: info.shape for own, info in tensors.items()}
    config = config_of(name, part, shapes, base, carried.config(sources[0][0], name))
    return Component(
        name=name,
        part=part,
        tensors=tensors,
        places=places,
        config={**config, **base} if whole else config,
        naming=sources[0][1],
        raw=raw,
        unknown=tuple(unknown),
    )


def _scale_of(name: str, source: Header) -> str:
    """The name of the scale of an 8-bit weight; "" when it has none."""
    stem = name.removesuffix("weight")
    names = tuple(stem + end for end in _SCALES[:2]) if stem != name else ()
    return next((scale for scale in names if source.shape(scale) in ((), (1,))), "")


def _entries(part: Part, naming: str, shapes: Mapping[str, Shape]) -> list[Entry]:
    kind = KINDS[part.kind]
    found = kind.namings[naming].reading(shapes).from_single(shapes) if naming else [Entry(name, (name,)) for name in shapes]
    entries: list[Entry] = []
    for entry in found:
        if entry.single.endswith(_SCALES):
            continue
        parts = tuple(own for own in map(kind.canonical, entry.parts) if own)
        if len(parts) == len(entry.parts):
            entries.append(Entry(entry.single, parts, _how(entry, part, naming, len(shapes[entry.single])), entry.rows))
    return entries


def _how(entry: Entry, part: Part, naming: str, axes: int) -> str:
    """As the rule says; but matrices and 1 x 1 convolutions stand for each other in the autoencoders of any age."""
    if entry.how == "conv" or (part.kind == "vae" and not naming and ".attentions." in entry.single):
        return "conv" if axes == 4 else "same"
    return entry.how


def _part_shapes(source: Header, entry: Entry, shape: Shape) -> dict[str, Shape]:
    try:
        return rules.part_shapes(entry, shape)
    except (ValueError, IndexError) as error:
        raise ModelFault(f"{source.path.name} has a tensor of an unusual shape: {error}. This version cannot read it.") from error


def _left_out(part: Part, names: Mapping[str, Any], single: bool) -> list[str]:
    """What a file carries and the class has no place for: spare last layers, the projection of an encoder without one."""
    left = [name for name in names if name == "text_projection.weight" and part.model == "CLIPTextModel"]
    if part.spare_layers and single:
        layers = rules.blocks(names, "text_model.encoder.layers.")
        spare = tuple(f"text_model.encoder.layers.{n}." for n in range(layers - part.spare_layers, layers))
        left += [name for name in names if name.startswith(spare)]
    return left


def config_of(
    name: str, part: Part, shapes: Mapping[str, Shape], base: Mapping[str, Any], said: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The config of a component: what its shapes tell, else what the file says, else the family's rule, else its published value.

    shapes: by canonical names. Raises ModelFault when they are not those of such a component.
    """
    told, guess = _told(name, part, shapes)
    return {**part.published, **{k: v for k, v in base.items() if not k.startswith("_")}, **guess, **(said or {}), **told}


def guessed(component: Component) -> dict[str, Any]:
    """The part of a config that any reader of the tensors finds out without being told."""
    told, guess = _told(component.name, component.part, component.shapes)
    return {**guess, **told}


def _told(name: str, part: Part, shapes: Mapping[str, Shape]) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        told = KINDS[part.kind].config(shapes)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ModelFault(f"The {name.replace('_', ' ')} is not whole or of an unknown build ({error}).") from error
    return told, part.guess(told)


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFault(f"{path.parent.name}/{path.name} cannot be read: {error}. Copy the model again.") from error
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}
