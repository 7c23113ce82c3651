"""Stage 1d: the ControlNet units of a request, with nothing left open: preprocessor, model, pictures, all there and fit for each other.

A wrong pair is refused here, before anything is queued. No torch. Start reading at `chosen_units`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from modules.control.maps import MAPS, MapRow, lacking
from modules.families import FAMILIES
from modules.faults import ModelFault, RequestFault, UnknownName
from modules.inputs import Inputs
from modules.library import Library
from modules.library.rows import ModelRow
from modules.processing.style_files import ADAPTED, NONE, image_encoder, side_file
from modules.request import Checkpoint, ControlUnit, GenerationRequest, HiresPass, ResolvedUnit
from modules.request.control import PICTURES, Control, units_of
from modules.steering.caches import CACHES

KINDS = ("controlnet", "union", "t2i_adapter", "ip_adapter")
_BRACKET = re.compile(r"\s*\[([0-9a-f]{4,64})\]\s*$", re.IGNORECASE)
# Control type of a preprocessor -> what its map shows, as union models are told.
SHOWS: Mapping[str, str] = {
    "OpenPose": "OpenPose", "Depth": "Depth", "SoftEdge": "Soft Edge", "Scribble": "Soft Edge", "Sketch": "Soft Edge",
    "Canny": "Hard Edge", "Lineart": "Hard Edge", "MLSD": "Hard Edge", "NormalMap": "Normal Map", "Segmentation": "Segmentation",
    "Tile": "Tile", "Blur": "Tile", "Inpaint": "Inpaint",
}  # fmt: skip
UNKNOWN = "Unknown"


def chosen_units(
    request: GenerationRequest, checkpoint: Checkpoint, hires: HiresPass | None, library: Library, inputs: Inputs | None
) -> tuple[tuple[ResolvedUnit, ...], list[str]]:
    """(the units that are on, in order, warnings).

    Raises RequestFault naming the unit's field, UnknownName with close matches, ModelFault when weights are missing.
    """
    found: list[ResolvedUnit] = []
    for n, unit in units_of(request.group(Control)):
        place = f"control_units[{n}]"
        row = _module(unit, place, library)
        unit = _closed(unit, row)
        _pictures(unit, row, request, place, inputs)
        found.append(_with_model(unit, row, checkpoint, library, place))
    if found:
        _together(request, checkpoint, found)
    warnings = [
        f"{one.file.name} does not count in the second pass: it was not made for {hires.checkpoint.model_name}."
        for one in found
        if hires is not None
        and hires.checkpoint is not None
        and one.file is not None
        and not _goes_with(one.architecture, hires.checkpoint)
    ]
    return tuple(found), warnings


def _module(unit: ControlUnit, place: str, library: Library) -> MapRow:
    try:
        row = MAPS.get(unit.module)
    except UnknownName as fault:
        raise UnknownName(f"{place}.module", unit.module, MAPS.names()) from fault
    why = lacking(row, library.folders)
    if why and row.why_not:
        raise RequestFault(f"{place}.module", why, got=unit.module)
    if why:
        raise ModelFault(why)
    return row


def _closed(unit: ControlUnit, row: MapRow) -> ControlUnit:
    """With the preprocessor's own name, and its own values where the unit leaves them open; the parameters text tells these."""
    side, a, b = row.closed(unit.processor_res, unit.threshold_a, unit.threshold_b)
    return replace(unit, module=row.name, processor_res=side, threshold_a=a, threshold_b=b)


def _pictures(unit: ControlUnit, row: MapRow, request: GenerationRequest, place: str, inputs: Inputs | None) -> None:
    """Raises RequestFault for a picture that is missing, or not kept any more."""
    if unit.image is None and not request.init_images:
        raise RequestFault(f"{place}.image", "a picture is needed")
    if row.gives == "inpaint" and unit.mask is None and request.mask is None:
        raise RequestFault(f"{place}.mask", f"{row.name} needs a mask: white is what is painted anew")
    for name in PICTURES:
        reference = getattr(unit, name)
        if reference is not None:
            if inputs is None:
                raise RequestFault(f"{place}.{name}", "cannot be read here: there is no store of input pictures")
            inputs.open(reference, f"{place}.{name}")


def _with_model(unit: ControlUnit, row: MapRow, checkpoint: Checkpoint, library: Library, place: str) -> ResolvedUnit:
    family = FAMILIES.get(checkpoint.family)
    if row.gives == "reference":
        if family.denoiser != "unet":
            why = f"works with UNets alone; {checkpoint.model_name} is {family.title}"
            raise RequestFault(f"{place}.module", why, got=row.name)
        return ResolvedUnit(unit=replace(unit, model="None"), kind="reference", architecture=family.architecture)
    if unit.model in NONE:
        names = [model.name for model in _models(library) if model.architecture in (None, "", family.architecture)]
        raise RequestFault(f"{place}.model", "choose a ControlNet model", allowed=names[:40])
    model = _model(library, unit.model, place)
    if not _goes_with(model.architecture or "", checkpoint):
        raise RequestFault(
            f"{place}.model",
            f"{model.name} was made for {_title(model.architecture or '')}; {checkpoint.model_name} is {family.title}. Choose another one",
        )
    file = side_file(library, model)
    if model.kind == "ip_adapter":
        if family.architecture not in ADAPTED:
            raise RequestFault(f"{place}.model", f"IP-Adapters work with Stable Diffusion 1 and XL here; {checkpoint.model_name} does not")
        encoder, _ = image_encoder(library, model.name)
        return ResolvedUnit(unit=unit, kind="ip_adapter", architecture=family.architecture, file=file, encoder=side_file(library, encoder))
    if row.gives == "ip-adapter":
        raise RequestFault(f"{place}.model", f"{model.name} is no IP-Adapter, as {row.name} needs one", got=unit.model)
    kind = str(model.extra.get("control") or "controlnet")
    told = replace(unit, union_control_type=_shown(unit, row, model, place)) if kind == "union" else unit
    return ResolvedUnit(unit=told, kind=kind, architecture=model.architecture or family.architecture, file=file)


def _models(library: Library) -> list[ModelRow]:
    return library.sure_rows("controlnet")


def _model(library: Library, name: str, place: str) -> ModelRow:
    """By name, title or "name [hash]"; the hash alone when no file is called so. Raises UnknownName, ModelFault."""
    bracket = _BRACKET.search(name)
    plain = _BRACKET.sub("", name)
    try:
        return library.find("controlnet", plain)
    except UnknownName as fault:
        rows = _models(library)
        if bracket is not None:
            digest = bracket.group(1).lower()
            for row in rows:
                if (library.hashed(row).sha256 or "").startswith(digest):
                    return row
        raise UnknownName(f"{place}.model", name, [row.name for row in rows]) from fault


def _shown(unit: ControlUnit, row: MapRow, model: ModelRow, place: str) -> str:
    """What a union model is told that the map shows: as asked, else as the preprocessor's kind. Raises RequestFault."""
    if unit.union_control_type != UNKNOWN:
        return unit.union_control_type
    shown = next((SHOWS[kind] for kind in row.types if kind in SHOWS), None)
    if shown is None:
        raise RequestFault(f"{place}.union_control_type", f"{model.name} reads several kinds of maps: say which this is")
    return shown


def _together(request: GenerationRequest, checkpoint: Checkpoint, units: list[ResolvedUnit]) -> None:
    """What units cannot do beside each other or beside other fields. Raises RequestFault."""
    kinds = [one.kind for one in units]
    styled = bool(request.style_image)
    adapted = kinds.count("ip_adapter") + (styled and (request.style_adapter or "") not in NONE)
    looks = kinds.count("reference") + (styled and (request.style_adapter or "") in NONE)
    if adapted > 1 or looks > 1:
        what = "an IP-Adapter" if adapted > 1 else "shared attention (reference_only, or a style picture)"
        raise RequestFault("control_units", f"only one picture at a time can count through {what}")
    nets = [one for one in units if one.kind in KINDS[:3]]
    cache = CACHES.name_of(request.cache)
    if nets and cache and CACHES.get(cache).whole_blocks and FAMILIES.get(checkpoint.family).denoiser != "unet":
        raise RequestFault("cache", f"{cache} cannot be used together with ControlNet; take another one", got=request.cache)


def _goes_with(architecture: str, checkpoint: Checkpoint) -> bool:
    return architecture in ("", FAMILIES.get(checkpoint.family).architecture)


def _title(architecture: str) -> str:
    return next((family.title for _, family in FAMILIES if family.architecture == architecture), architecture)
