"""img2img for many pictures: from uploaded files or a folder of the data folder, one request a picture.

Finds the pictures, their masks and their own parameters; knows nothing about pages. Start reading at `entries_of`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules import infotext
from modules.app import App
from modules.faults import RequestFault
from modules.folders import safe_join
from modules.pixels.metadata import read_parameters
from modules.web.form_fields import CHECKPOINT

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif")
MOST = 10_000
# What the page calls a property -> the request's field.
PROPS: Mapping[str, str] = {
    "Prompt": "prompt", "Negative prompt": "negative_prompt", "Seed": "seed", "CFG scale": "cfg_scale", "Sampler": "sampler_name",
    "Steps": "steps", "Model hash": CHECKPOINT,
}  # fmt: skip
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Entry:
    """A picture of a batch: its file's name, and where it is: a reference to the input store or a path."""

    name: str
    picture: str | Path


def entries_of(app: App, begin: Mapping[str, Any], form: Mapping[str, Any]) -> list[Entry]:
    """The pictures, in natural order. begin: with files and source ("upload" or "folder"). Raises RequestFault when there are none."""
    if begin.get("source") == "folder":
        folder = _folder(app, "batch_input_dir", form["batch_input_dir"])
        if folder is None:
            raise RequestFault("batch_input_dir", "is empty; name a folder inside the data folder")
        found = [Entry(path.name, path) for path in _pictures(folder)]
    else:
        files = [f for f in begin.get("files") or [] if isinstance(f, dict) and f.get("reference")]
        found = [Entry(Path(str(f.get("name") or f"{n:05}")).name[:200], str(f["reference"])) for n, f in enumerate(files)]
    if not found:
        raise RequestFault("init_images", f"there is no picture among them; these count: {', '.join(ENDINGS)}")
    if len(found) > MOST:
        raise RequestFault("init_images", f"are {len(found)} pictures; a batch takes {MOST}")
    return found


def request_data(app: App, entry: Entry, base: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    """The request of one picture. base: of the form without pictures. Raises RequestFault when the picture or its mask cannot be used."""
    data: dict[str, Any] = {**base, "override_settings": {**base.get("override_settings", {})}}
    reference = entry.picture if isinstance(entry.picture, str) else app.inputs.put(entry.picture.read_bytes())
    data["init_images"] = [reference]
    data["mask"] = _mask(app, entry, form)
    if form["batch_use_png_info"]:
        _take_info(app, entry, reference, data, form)
    if folder := _folder(app, "batch_output_dir", form["batch_output_dir"], make=True):
        alone = int(data.get("n_iter") or 1) * int(data.get("batch_size") or 1) == 1
        own = isinstance(entry.picture, Path) and entry.picture.parent.resolve() == folder.resolve()
        data["override_settings"] |= _naming(app, folder, entry.name, numbered=own or not alone)
    return data


def same_seed(key: str) -> int:
    """The seed that all pictures of a batch share when none was given; drawn from the batch's key, so that asking again gives it again."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 4294967294


def natural(path: Path) -> list[Any]:
    """The order that people expect: 2 before 10."""
    return [int(part) if part.isdecimal() else part.casefold() for part in _DIGITS.split(path.name)]


def _folder(app: App, field: str, text: Any, *, make: bool = False) -> Path | None:
    """A folder inside the data folder; None for an empty text. Raises RequestFault."""
    plain = str(text or "").strip()
    if not plain:
        return None
    try:
        folder = Path(plain) if Path(plain).is_absolute() else app.folders.data / plain
        folder = safe_join(app.folders.data, str(folder.resolve().relative_to(app.folders.data.resolve())))
    except (RequestFault, ValueError, OSError):
        raise RequestFault(field, "must be a folder inside the data folder", got=plain) from None
    if not make and not folder.is_dir():
        raise RequestFault(field, "is no folder that is there", got=plain)
    return folder


def _pictures(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.is_file()), key=natural)


def _mask(app: App, entry: Entry, form: Mapping[str, Any]) -> str | None:
    """One mask for all, or the one of the same name. Raises RequestFault when this picture has none."""
    folder = _folder(app, "batch_mask_dir", form["batch_mask_dir"])
    if folder is None:
        return None
    masks = _pictures(folder)
    if not masks:
        raise RequestFault("batch_mask_dir", "holds no picture")
    stem = Path(entry.name).stem
    found = masks[0] if len(masks) == 1 else next((m for m in masks if m.stem == stem), None)
    if found is None:
        raise RequestFault("batch_mask_dir", f"holds no mask named {stem}")
    return app.inputs.put(found.read_bytes(), "mask")


def _take_info(app: App, entry: Entry, reference: str, data: dict[str, Any], form: Mapping[str, Any]) -> None:
    """What the picture, or one of the same name elsewhere, says about itself, for the chosen properties."""
    folder = _folder(app, "batch_png_info_dir", form["batch_png_info_dir"])
    source = app.inputs.path(reference)
    if folder is not None:
        stem = Path(entry.name).stem
        source = next((p for p in _pictures(folder) if p.stem == stem), source)
    text = read_parameters(source)[0]
    if not text:
        return
    asked = infotext.to_request(infotext.parse(text))
    chosen: Sequence[str] = form["batch_png_info_props"] or ()
    for prop, name in PROPS.items():
        if prop not in chosen:
            continue
        if name == CHECKPOINT:
            if model := asked.get("override_settings", {}).get(CHECKPOINT):
                data["override_settings"][CHECKPOINT] = model
        elif name in ("prompt", "negative_prompt"):
            data[name] = " ".join(part for part in (str(data.get(name) or ""), str(asked.get(name) or "")) if part)
        elif name in asked:
            data[name] = asked[name]


def _naming(app: App, folder: Path, name: str, *, numbered: bool) -> dict[str, Any]:
    """Settings that put the results into this folder under their pictures' names.

    numbered: with a number in front, as there are several of a name, or the pictures themselves lie there.
    """
    stem = Path(name).stem.replace("[", "(").replace("]", ")")  # no tokens of the pattern language
    inside = folder.relative_to(app.folders.data).as_posix()
    return {
        "outdir_img2img_samples": inside, "save_to_dirs": False, "samples_filename_pattern": stem[:200], "save_images_add_number": numbered,
    }  # fmt: skip
