"""From an `ExtrasRequest` to a `ResolvedExtras`: which pictures, which tools, and everything that can be wrong before it is queued.

Opens no more of a picture than its header; imports no torch. Start reading at `resolve_extras`.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from PIL import Image

from modules.faults import RequestFault, UnknownName
from modules.folders import Folders, safe_join
from modules.inputs import Inputs
from modules.request.extras import NONE, SCALE_TO, ExtrasRequest, ResolvedExtras, Source
from modules.settings import Settings
from modules.upscale.finishing import FINISHING, FinishingTool, files_of, names_of
from modules.upscale.sizes import check_size
from modules.upscale.table import upscaler_files, upscalers

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp", ".tif", ".tiff"})
MOST_FILES = 20_000
NOTHING_CHOSEN = "No upscaler, face restoration or background removal was chosen, so the pictures are as they were."


def resolve_extras(
    request: ExtrasRequest, settings: Settings, folders: Folders, inputs: Inputs, *, anywhere: bool = False
) -> ResolvedExtras:
    """The request with nothing left open. anywhere: folders may lie outside the data folder; for people at this machine only.

    Raises RequestFault and UnknownName naming the field: no picture, no such folder or upscaler, a file that is missing, too many pixels.
    """
    settings = settings.overlay(request.override_settings)
    request = _with_tools(request, settings, folders)
    sources = _sources(request, folders, inputs, anywhere=anywhere)
    if len(sources) == 1:
        _check_size(request, sources[0], inputs)
    output = _folder(request.output_dir, "output_dir", folders, anywhere=anywhere) if request.output_dir else None
    return ResolvedExtras(
        title=_title(sources),
        request=request,
        sources=sources,
        settings=settings.to_data(),
        output_dir=str(output or ""),
        n_iter=len(sources),
        warnings=() if tools_of(request) else (NOTHING_CHOSEN,),
    )


def tools_of(request: ExtrasRequest) -> list[str]:
    """The names of what the request uses, in the order it is used."""
    wanted = (
        (request.upscaler_1, request.upscaler_1 != NONE),
        ("GFPGAN", request.gfpgan_visibility > 0),
        ("CodeFormer", request.codeformer_visibility > 0),
        (request.background_removal, request.background_removal != NONE),
    )
    return [name for name, on in wanted if on]


def how(request: ExtrasRequest) -> dict[str, Any]:
    """The size part of the request as arguments of `upscale.enlarge.upscale`."""
    if request.resize_mode == SCALE_TO:
        return {"size": (request.upscaling_resize_w, request.upscaling_resize_h), "crop": request.upscaling_crop}
    return {"factor": request.upscaling_resize, "max_side": request.max_side_length}


def _with_tools(request: ExtrasRequest, settings: Settings, folders: Folders) -> ExtrasRequest:
    """With the tools' names as they are listed, each of them found."""
    names = {field: _upscaler(getattr(request, field) or NONE, field, folders) for field in ("upscaler_1", "upscaler_2")}
    cutter = _cutter(request.background_removal or NONE)
    request = dataclasses.replace(request, **names, background_removal=cutter)
    if request.codeformer_weight is None:
        request = dataclasses.replace(request, codeformer_weight=settings.code_former_weight)
    for name in tools_of(request):
        if name in FINISHING:
            files_of(FINISHING[name], folders)
    return request


def _upscaler(name: str, field: str, folders: Folders) -> str:
    files, refused = upscaler_files(folders)
    rows = upscalers(files)
    known = rows.name_of(name)
    if known is not None:
        return known
    why = next((why for path, why in refused.items() if name.casefold() in (path.stem.casefold(), path.name.casefold())), None)
    raise RequestFault(field, why, got=name) if why else UnknownName(field, name, rows.names())


def _cutter(name: str) -> str:
    known = names_of("background removal")
    found = next((one for one in (NONE, *known) if one.casefold() == name.casefold()), None)
    if found is None:
        raise UnknownName("background_removal", name, known)
    return found


def tool(name: str) -> FinishingTool:
    """The finishing tool of a name that `resolve_extras` has let through."""
    return FINISHING[name]


def _sources(request: ExtrasRequest, folders: Folders, inputs: Inputs, *, anywhere: bool) -> tuple[Source, ...]:
    if bool(request.images) == bool(request.input_dir):
        raise RequestFault(
            "images", "a picture is needed; choose one, or a folder" if not request.images else "either pictures or a folder"
        )
    if request.input_dir:
        return _in_folder(_folder(request.input_dir, "input_dir", folders, anywhere=anywhere), None if anywhere else folders.data)
    for reference in request.images:
        inputs.path(str(reference), "images")
    names = [*request.image_names, *[""] * len(request.images)]
    return tuple(Source(name=base_name(str(name)), reference=str(ref)) for ref, name in zip(request.images, names, strict=False))


def _in_folder(folder: Path, within: Path | None) -> tuple[Source, ...]:
    """The picture files of a folder by name; links that lead out of `within` are left out."""
    if not folder.is_dir():
        raise RequestFault("input_dir", "there is no such folder", got=str(folder))
    try:
        with os.scandir(folder) as entries:
            paths = sorted(Path(entry.path) for entry in entries if entry.is_file() and not entry.name.startswith("."))
    except OSError as error:
        raise RequestFault("input_dir", f"cannot be read: {error.strerror}", got=str(folder)) from error
    paths = [p for p in paths if p.suffix.lower() in ENDINGS and (within is None or p.resolve().is_relative_to(within.resolve()))]
    if not paths:
        raise RequestFault("input_dir", f"holds no pictures ({', '.join(sorted(ENDINGS))})", got=str(folder))
    if len(paths) > MOST_FILES:
        raise RequestFault("input_dir", f"holds {len(paths)} pictures; take {MOST_FILES} at once at most", got=str(folder))
    return tuple(Source(name=path.name, path=str(path)) for path in paths)


def _folder(text: str, field: str, folders: Folders, *, anywhere: bool) -> Path:
    if anywhere:
        return Path(text).expanduser().resolve()
    try:
        return safe_join(folders.data, text.strip())
    except RequestFault as fault:
        why = f"must be a folder inside the data folder, {folders.data}; on the command line any folder can be used"
        raise RequestFault(field, why, got=text) from fault


def base_name(name: str) -> str:
    """The last part of a path of any system; what a browser says about a file is not a path here."""
    return PureWindowsPath(PurePosixPath(name).name).name


def _check_size(request: ExtrasRequest, source: Source, inputs: Inputs) -> None:
    """A single picture that would be too large is refused before it is queued."""
    if request.upscaler_1 == NONE:
        return
    path = inputs.path(source.reference, "images") if source.reference else Path(source.path)
    try:
        with Image.open(path) as image:
            size = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return  # the run says what is wrong with it
    check_size(size, **how(request))


def _title(sources: tuple[Source, ...]) -> str:
    if len(sources) == 1:
        return f"Extras: {sources[0].name}" if sources[0].name else "Extras"
    return f"Extras: {len(sources)} pictures"
