"""A model, from a diffusers folder or another file, as one file that A1111, Forge, ComfyUI and diffusers read.

Written tensor by tensor; nothing outside the model's components is kept (EMA copies, optimiser states). Start reading at `write`;
`pieces` is the plan it works from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.faults import ModelFault
from modules.weights import stream
from modules.weights.header import Header, TensorInfo
from modules.weights.layouts import carried, extras, rules
from modules.weights.layouts.component import Component, find, guessed, open_component
from modules.weights.layouts.files import Tensors, header_of
from modules.weights.layouts.kinds import KINDS
from modules.weights.layouts.table import LAYOUTS
from modules.weights.stream import Piece

if TYPE_CHECKING:
    from torch import Tensor

Dtype = str | Mapping[str, str] | None
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model opened for conversion. components: by name, in the layout's order; scheduler: its config; source: its file, if it is one."""

    layout: str
    components: Mapping[str, Component]
    scheduler: Mapping[str, Any]
    tokenizers: Mapping[str, Mapping[str, str]]
    source: Header | None = None


def write(
    source: Path,
    target: Path,
    layout: str,
    dtype: Dtype = None,
    metadata: Mapping[str, str] | None = None,
    *,
    parts: Mapping[str, Path] | None = None,
    each: Callable[[int, int], None] | None = None,
) -> None:
    """Write one safetensors file from a diffusers folder or from another file of the layout.

    dtype: "float16", ...; or component -> such a name; None: as stored. parts: components taken from other files instead (a baked VAE).
    metadata: added to what is written anyway. each(done, total): after every tensor. Raises ModelFault, DiskFault.
    """
    model = open_model(source, layout, parts)
    with Tensors() as files:
        stream.write(target, pieces(model, files, dtype), {**described(model, target.stem), **(metadata or {})}, each)


def open_model(source: Path, layout: str, parts: Mapping[str, Path] | None = None) -> Model:
    """The components a source has. Raises ModelFault when the one that makes it this model is not among them."""
    given = parts or {}
    single = header_of(source) if source.is_file() else None
    found: dict[str, Component] = {}
    for name, part in LAYOUTS[layout].parts.items():
        there = find(single, part) is not None if single else (source / name).is_dir()
        if name in given or there:
            found[name] = open_component(given.get(name, source), layout, name)
    if LAYOUTS[layout].core not in found:
        raise ModelFault(f"{source.name} holds no {LAYOUTS[layout].core}; it is not a model of the layout {layout}.")
    if single:
        tokenizers = {part.tokenizer: carried.tokenizer_files(single, part.tokenizer) for part in LAYOUTS[layout].parts.values()}
        return Model(layout=layout, components=found, scheduler=carried.scheduler(single), tokenizers=tokenizers, source=single)
    scheduler = source / "scheduler" / "scheduler_config.json"
    config = json.loads(scheduler.read_text(encoding="utf-8")) if scheduler.is_file() else {}
    return Model(layout=layout, components=found, scheduler=config, tokenizers=_tokenizers(source, found))


def pieces(model: Model, files: Tensors, dtype: Dtype = None) -> list[Piece]:
    """Every tensor of the file to be. files: stays open while they are made."""
    found: list[Piece] = []
    for name, component in model.components.items():
        wanted = dtype if isinstance(dtype, str) or dtype is None else dtype.get(name)
        found += _component(component, files, wanted)
    markers = [] if model.source else extras.markers(model.scheduler)
    if model.source:
        for name in extras.MARKERS:
            if name in model.source.tensors:
                markers.append(_copy(name, model.source, name, files, None))
    return found + markers


def described(model: Model, title: str) -> dict[str, str]:
    """The metadata of the file to be: what the source's says, ModelSpec 1.0.0 fields, and what shapes cannot tell about it."""
    said = dict(model.source.metadata) if model.source and model.source.format == "safetensors" else {}
    said.pop("format", None)
    configs = {name: carried.differing(found.config, guessed(found)) for name, found in model.components.items()}
    core = model.components[LAYOUTS[model.layout].core]
    prediction = _PREDICTIONS.get(str(model.scheduler.get("prediction_type", "")))
    side = _side_px(model)
    fresh = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": LAYOUTS[model.layout].architecture(core.config, prediction or ""),
        "modelspec.title": said.get("modelspec.title", title),
        "modelspec.resolution": said.get("modelspec.resolution", f"{side}x{side}"),
        carried.CONFIGS: json.dumps(configs),
    }
    if prediction:
        fresh["modelspec.prediction_type"] = prediction
    if model.scheduler:
        fresh[carried.SCHEDULER] = json.dumps({k: v for k, v in model.scheduler.items() if k == "_class_name" or not k.startswith("_")})
    tokenizers = {name: texts for name, texts in model.tokenizers.items() if texts}
    if tokenizers:
        fresh[carried.TOKENIZER] = json.dumps(tokenizers, ensure_ascii=False)
    return {**said, **fresh}


def _component(component: Component, files: Tensors, dtype: str | None) -> list[Piece]:
    naming, prefix = component.part.homes[0]
    if component.naming == naming:
        return [_copy(prefix + inner, source, name, files, dtype) for inner, (source, name) in component.raw.items()]
    shapes = component.shapes
    writing = KINDS[component.part.kind].namings[naming].writing(shapes)
    entries = writing.from_parts(component.tensors)
    lost = set(component.tensors) - {part for entry in entries for part in entry.parts}
    if lost:
        raise ModelFault(f"The {component.name} has tensors that have no place in a single file, such as {sorted(lost)[0]}.")
    found = [_joined(component, entry, prefix, rules.single_shape(entry, shapes), files, dtype) for entry in entries]
    made = {piece.name: TensorInfo(piece.dtype, piece.shape) for piece in found}
    return found + extras.pieces(component.part.extras, prefix, made)


def _copy(name: str, source: Header, own: str, files: Tensors, dtype: str | None) -> Piece:
    info = source.tensors[own]
    return Piece(name, stream.in_dtype(info.dtype, dtype), info.shape, lambda: files.read(source, own))


def _joined(component: Component, entry: rules.Entry, prefix: str, shape: rules.Shape, files: Tensors, dtype: str | None) -> Piece:
    def make() -> Tensor:
        return rules.to_single(entry, lambda name: component.read(files, name))

    kind = stream.in_dtype(component.tensors[entry.parts[0]].dtype, dtype)
    return Piece(prefix + entry.single, kind, shape, make)


def _side_px(model: Model) -> int:
    """The side of the pictures it was trained on, from the configs; 1024 when they do not say."""
    cells = model.components[LAYOUTS[model.layout].core].config.get("sample_size")
    vae = model.components.get("vae")
    if not isinstance(cells, int) or vae is None:
        return 1024
    return cells * 2 ** (len(vae.config["block_out_channels"]) - 1)


def _tokenizers(folder: Path, found: Mapping[str, Component]) -> dict[str, dict[str, str]]:
    """The tokenizers with a vocabulary of their own."""
    packed: dict[str, dict[str, str]] = {}
    for component in found.values():
        name = component.part.tokenizer
        if name and (folder / name).is_dir() and component.config["vocab_size"] != carried.VOCABULARIES[component.part.kind]:
            packed[name] = carried.pack_tokenizer(folder / name)
    return packed
