"""From what is asked to work with nothing left open: which files, which target, what speaks against it. Reads headers only.

Knows names and headers; knows nothing about tensors. What is returned is the `resolved` part of a job: plain data.
Start reading at `plan`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.families import FAMILIES
from modules.faults import ModelFault, RequestFault, UnknownName
from modules.folders import Folders
from modules.library import Library
from modules.request import Checkpoint
from modules.upkeep import known, work
from modules.upkeep.captioner_plan import plan_export
from modules.upkeep.places import CHECKPOINTS, FOLDERS, LORAS, PICKLES, VAES, find, listed, new_target, plain_name
from modules.upkeep.sources import Source, parse_source
from modules.weights import model_folder
from modules.weights.quantisers import NONE, QUANTISERS
from modules.weights.quantisers.saved import claimed

WEIGHTS = (".safetensors", ".sft")
DEVICE = "cpu"  # where the worker for files works
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LORA_USE = re.compile(r"(?P<name>.+?)(:(?P<te>-?\d+(\.\d+)?))?(:(?P<unet>-?\d+(\.\d+)?))?")


@dataclass(frozen=True)
class Desk:
    """What a plan is made with."""

    folders: Folders
    library: Library

    def target(self, place: str, name: str, suffix: str) -> Path:
        """A new file or folder in the first folder of a place."""
        return new_target(self.folders.model_folders(place)[0], name, suffix)

    def checkpoint(self, text: str, field: str) -> Checkpoint:
        """Raises UnknownName; ModelFault for one whose weights are in few bits: nothing can be made of those."""
        try:
            found = self.library.find_checkpoint(text)
        except UnknownName as fault:
            raise UnknownName(field, text, [row.title for row in self.library.checkpoints()]) from fault
        configs = model_folder.read(Path(found.path)).configs if found.format == "folder" else {}
        if small := [(part, name) for part, config in configs.items() if (name := claimed(config))]:
            part, name = small[0]
            raise ModelFault(f"{found.model_name} has its {part.replace('_', ' ')} in few bits ({name}). Take the model it was made of.")
        return found

    def vae(self, text: str) -> str | None:
        """Path of the VAE file, None when none is asked for."""
        return str(find(self.folders, VAES, text, WEIGHTS, field="vae")) if text.strip() else None


def plan(kind: str, data: Mapping[str, Any], folders: Folders, library: Library) -> tuple[dict[str, Any], dict[str, Any]]:
    """(request, resolved) of a job, JSON-ready.

    resolved: every field of the kind's record; "title" and "warnings" for people; "paths": the files read by field name;
    "target": the file or folder to be made. Raises UnknownName, RequestFault and ModelFault when it cannot be carried out.
    """
    asked = work.read(kind, data)
    request = dataclasses.asdict(asked)
    resolved = {"warnings": [], **request, **_PLANS[kind](asked, Desk(folders, library))}
    return request, resolved


def _convert(asked: work.Convert, desk: Desk) -> dict[str, Any]:
    source = desk.checkpoint(asked.source, "source")
    if source.format == "gguf":
        raise ModelFault(f"{source.model_name} is quantised (GGUF); its full weights are gone. Convert the original model instead.")
    suffix = ".safetensors" if asked.form == "safetensors" else ""
    target = desk.target(CHECKPOINTS, asked.name or _default_name(source, asked), suffix)
    return {
        "title": f"Convert {source.model_name} to {target.name}",
        "paths": {"source": source.path, "vae": desk.vae(asked.vae)},
        "models": {"source": dataclasses.asdict(source)},
        "target": str(target),
    }


def _default_name(source: Checkpoint, asked: work.Convert) -> str:
    parts = [plain_name(source.model_name), *([] if asked.dtype == "keep" else [asked.dtype])]
    name = "-".join(parts)
    same_form = (source.format == "folder") == (asked.form == "folder")
    return f"{name}-converted" if same_form and len(parts) == 1 else name


def _quantise(asked: work.Quantise, desk: Desk) -> dict[str, Any]:
    source = desk.checkpoint(asked.source, "source")
    if source.format == "gguf":
        raise ModelFault(f"{source.model_name} is quantised (GGUF); its full weights are gone. Quantise the original model instead.")
    family = FAMILIES.get(source.family)
    asked_for = {"unet": (family.denoiser,), "text_encoder": tuple(family.encoders_of(source.variant))}
    chosen = {field: getattr(asked, field) for field in asked_for if getattr(asked, field) not in ("", NONE)}
    if not chosen:
        raise RequestFault("unet", "a quantisation for the network or for the text encoders is needed", allowed=QUANTISERS.names())
    for field, name in chosen.items():
        if why := QUANTISERS.get(name).refusal(DEVICE):
            raise RequestFault(field, f"{name} cannot be made by the program's worker for files, which works on the CPU: {why}", got=name)
    names = {field: str(QUANTISERS.name_of(name)) for field, name in chosen.items()}
    target = desk.target(CHECKPOINTS, asked.name or "-".join([plain_name(source.model_name), *dict.fromkeys(names.values())]), "")
    return {
        "title": f"Quantise {source.model_name} to {target.name}",
        "paths": {"source": source.path},
        "models": {"source": dataclasses.asdict(source)},
        "quantise": {part: name for field, name in names.items() for part in asked_for[field]},
        "target": str(target),
    }


def _merge(asked: work.Merge, desk: Desk) -> dict[str, Any]:
    names = {"model_a": asked.model_a, "model_b": asked.model_b, "model_c": asked.model_c}
    needed = {"Weighted sum": ("model_b",), "Add difference": ("model_b", "model_c"), "No interpolation": ()}[asked.method]
    for field in needed:
        if not names[field].strip():
            raise RequestFault(field, f"is needed for the method {asked.method}")
    takes_c = asked.method == "Add difference" or (asked.method == "Weighted sum" and names["model_c"].strip())
    used = ["model_a", *needed, *(["model_c"] if takes_c and "model_c" not in needed else [])]
    models = {field: desk.checkpoint(names[field], field) for field in used}
    warnings = _alike(models)
    try:
        re.compile(asked.discard)
    except re.error as error:
        raise RequestFault("discard", f"is not a regular expression: {error}", got=asked.discard) from error
    target = desk.target(CHECKPOINTS, asked.name or _merged_name(asked, list(models.values())), ".safetensors")
    return {
        "title": f"Merge {' + '.join(m.model_name for m in models.values())} into {target.name}",
        "paths": {**{field: m.path for field, m in models.items()}, "vae": desk.vae(asked.vae)},
        "models": {field: dataclasses.asdict(m) for field, m in models.items()},
        "target": str(target),
        "warnings": warnings,
    }


def _alike(models: Mapping[str, Checkpoint]) -> list[str]:
    """Warnings about a set of models. Raises RequestFault when they cannot be mixed at all, with both names."""
    warnings: list[str] = []
    first = next(iter(models.values()))
    for field, other in models.items():
        if other.format == "gguf":
            raise RequestFault(field, f"{other.model_name} is quantised (GGUF) and cannot be mixed; take the original model")
        if other.family != first.family:
            raise RequestFault(
                field, f"{other.model_name} is a {other.family} model and {first.model_name} a {first.family} model; only alike ones mix"
            )
        if other.variant and other.variant != first.variant:
            kind = f"{other.model_name} is of the variant {other.variant!r}, {first.model_name} of {first.variant or 'plain'!r}"
            if other.variant in ("inpainting", "instruct-pix2pix"):
                raise RequestFault(field, f"{kind}; make it model A, so that its extra inputs are kept")
            warnings.append(f"{kind}; the result may be of use to neither.")
        if None not in (other.prediction, first.prediction) and other.prediction != first.prediction:
            warnings.append(f"{other.model_name} predicts {other.prediction}, {first.model_name} {first.prediction}; it may give noise.")
    return warnings


def _merged_name(asked: work.Merge, models: list[Checkpoint]) -> str:
    """A1111's way of naming: the shares and the names."""
    m, n = asked.multiplier, asked.multiplier_c
    a, *rest = [plain_name(model.model_name) for model in models]
    if asked.method == "No interpolation":
        return f"{a}-merged"
    if asked.method == "Add difference":
        return f"{a} + {round(m, 2)}({rest[0]} - {rest[1]})"
    shares = [round(1 - m - (n if len(rest) > 1 else 0), 2), round(m, 2), round(n, 2)]
    return " + ".join(f"{share}({name})" for share, name in zip(shares, [a, *rest], strict=False))


def _unpickle(asked: work.Unpickle, desk: Desk) -> dict[str, Any]:
    wanted = asked.source.strip().casefold()
    there = listed(desk.folders, FOLDERS, PICKLES)
    source = next((p for p, name in there if wanted in (str(p).casefold(), name.casefold(), p.name.casefold())), None)
    if source is None:
        raise RequestFault(
            "source", "no .ckpt, .pt, .pth or .bin file of that name is in the model folders; put it there first", got=asked.source
        )
    target = new_target(source.parent, asked.name or source.stem, ".safetensors")
    return {"title": f"Convert {source.name} to {target.name}", "paths": {"source": str(source)}, "target": str(target)}


def _download(asked: work.Download, desk: Desk) -> dict[str, Any]:
    row = known.find(asked.source)
    source: Source = parse_source(row.source if row else asked.source)
    place = asked.kind or (row.place if row else CHECKPOINTS)
    if place not in FOLDERS:
        raise RequestFault("kind", f"must be one of {', '.join(FOLDERS)}", got=asked.kind, allowed=list(FOLDERS))
    sha256 = asked.sha256.strip().lower() or (row.sha256 if row else None)
    if sha256 and not _SHA256.fullmatch(sha256):
        raise RequestFault("sha256", "must be 64 hexadecimal digits", got=asked.sha256)
    name = asked.name or source.likely_name
    return {
        "source": source.text,
        "title": f"Download {name or source.shown}",
        "folder": str(desk.folders.model_folders(place)[0]),
        "name": plain_name(asked.name) if asked.name else "",
        "sha256": sha256,
        "licence": row.licence if row else None,
    }


def _extract_lora(asked: work.ExtractLora, desk: Desk) -> dict[str, Any]:
    models = {"tuned": desk.checkpoint(asked.tuned, "tuned"), "base": desk.checkpoint(asked.base, "base")}
    warnings = _alike({"base": models["base"], "tuned": models["tuned"]})
    target = desk.target(LORAS, asked.name or f"{plain_name(models['tuned'].model_name)}-r{asked.rank}", ".safetensors")
    return {
        "title": f"Extract a LoRA from {models['tuned'].model_name}",
        "paths": {field: m.path for field, m in models.items()},
        "models": {field: dataclasses.asdict(m) for field, m in models.items()},
        "target": str(target),
        "warnings": warnings,
    }


def _merge_lora(asked: work.MergeLora, desk: Desk) -> dict[str, Any]:
    model = desk.checkpoint(asked.model, "model")
    if model.format == "gguf":
        raise RequestFault("model", f"{model.model_name} is quantised (GGUF) and cannot take a LoRA in; take the original model")
    if not asked.loras:
        raise RequestFault("loras", "at least one LoRA is needed")
    uses = [_lora_use(text, desk) for text in asked.loras]
    target = desk.target(CHECKPOINTS, asked.name or f"{plain_name(model.model_name)}-with-{plain_name(uses[0]['name'])}", ".safetensors")
    return {
        "title": f"Merge {', '.join(u['name'] for u in uses)} into {model.model_name}",
        "paths": {"model": model.path},
        "models": {"model": dataclasses.asdict(model)},
        "uses": uses,
        "target": str(target),
    }


def _lora_use(text: str, desk: Desk) -> dict[str, Any]:
    """A1111's order: one number is both weights; of two the first is the text encoder's."""
    match = _LORA_USE.fullmatch(str(text).strip())
    if match is None:
        raise RequestFault("loras", "must be written name or name:weight", got=text)
    path = find(desk.folders, LORAS, match["name"], WEIGHTS, field="loras")
    te = float(match["te"] or 1.0)
    return {"path": str(path), "name": path.stem, "te": te, "unet": float(match["unet"]) if match["unet"] else te}


_PLANS: Mapping[str, Callable[[Any, Desk], dict[str, Any]]] = {
    "convert": _convert,
    "quantise": _quantise,
    "merge": _merge,
    "unpickle": _unpickle,
    "download": _download,
    "extract_lora": _extract_lora,
    "merge_lora": _merge_lora,
    "export_captioner": lambda asked, desk: plan_export(asked, desk.folders),
}
