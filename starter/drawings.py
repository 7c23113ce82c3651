"""From the sources to one array: every drawing cropped, scaled and centred, as premultiplied RGBA, with its names.

Start reading at `prepare`. Writes rgba-<side>.npy and rows.json into the work folder.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from starter import words
from starter.sources import fetch

MARGIN = 1 / 16  # empty border on each side, as a share of the picture's side


@dataclass(frozen=True)
class Drawing:
    """One row of the array: what it shows, in which style, and what else people call it."""

    code: str
    label: str
    style: str
    group: str
    names: tuple[str, ...]
    tags: tuple[str, ...]


def prepare(work: Path, side_px: int) -> tuple[np.ndarray, list[Drawing]]:
    """(array (N, side, side, 4) uint8 premultiplied, rows). Made once a size; read from the work folder afterwards."""
    array_file, rows_file = work / f"rgba-{side_px}.npy", work / "rows.json"
    if not (array_file.exists() and rows_file.exists()):
        arrays, rows = _collect(fetch(work), side_px)
        np.save(array_file, np.stack(arrays))
        rows_file.write_text(json.dumps([asdict(row) for row in rows], indent=0))
    loaded = [Drawing(**{**r, "names": tuple(r["names"]), "tags": tuple(r["tags"])}) for r in json.loads(rows_file.read_text())]
    return np.load(array_file, mmap_mode="r"), loaded


def _collect(folders: dict[str, Path], side_px: int) -> tuple[list[np.ndarray], list[Drawing]]:
    entries = json.loads((folders["names"] / "en" / "data.json").read_text(encoding="utf-8"))
    messages = json.loads((folders["names"] / "en" / "messages.json").read_text(encoding="utf-8"))
    groups = {g["order"]: g["key"] for g in messages["groups"]}
    subgroups = {g["order"]: g["key"] for g in messages["subgroups"]}
    webp = {_code(path.stem): path for path in (folders["3d"] / "assets").glob("*.webp")}
    svgs = {style: _svgs(folders[style]) for style in ("flat", "cartoon")}
    arrays: list[np.ndarray] = []
    rows: list[Drawing] = []
    for entry in entries:
        group, subgroup = groups.get(entry.get("group")), subgroups.get(entry.get("subgroup"))
        code, label = _code(entry["hexcode"]), entry["label"].replace("’", "'")
        if group is None or subgroup is None or code not in webp or not words.keeps(entry["label"], group, subgroup, entry["hexcode"]):
            continue
        tags = tuple(t for t in entry.get("tags", []) if t.isascii())
        pictures = {"3d": Image.open(webp[code]), **{style: _render(found[code]) for style, found in svgs.items() if code in found}}
        for style, picture in pictures.items():
            fitted = _fit(picture, side_px)
            if fitted is not None:
                arrays.append(fitted)
                rows.append(Drawing(code, label.lower().replace(": ", " with "), style, group, words.SYNONYMS.get(label, ()), tags))
    return arrays, rows


def _code(hexcode: str) -> str:
    return "-".join(part for part in hexcode.lower().split("-") if part != "fe0f")


def _svgs(folder: Path) -> dict[str, str]:
    icons: dict[str, Any] = json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for code, name in json.loads((folder / "chars.json").read_text(encoding="utf-8")).items():
        icon = icons["icons"].get(name) or icons["icons"].get(icons.get("aliases", {}).get(name, {}).get("parent", ""))
        if icon:
            width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
            box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
            names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            head = f'<svg {names} width="{width}" height="{height}" viewBox="{box}">'
            found[_code(code)] = f"{head}{icon['body']}</svg>"
    return found


def _render(svg: str) -> Image.Image:
    import resvg_py

    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=256, height=256))))


def _fit(picture: Image.Image, side_px: int) -> np.ndarray | None:
    """Cropped to what is drawn, scaled to the picture less its margin, centred. Premultiplied, so that edges stay clean."""
    rgba = picture.convert("RGBA")
    box = rgba.getchannel("A").point(lambda a: 255 if a > 12 else 0).getbbox()
    if box is None:
        return None
    cropped = np.asarray(rgba.crop(box), np.float32) / 255
    cropped[..., :3] *= cropped[..., 3:]
    room = side_px * (1 - 2 * MARGIN)
    height, width = cropped.shape[:2]
    scale = room / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    channels = [np.asarray(Image.fromarray(cropped[..., c]).resize(size, Image.Resampling.LANCZOS)) for c in range(4)]
    out = np.zeros((side_px, side_px, 4), np.float32)
    top, left = (side_px - size[1]) // 2, (side_px - size[0]) // 2
    out[top : top + size[1], left : left + size[0]] = np.stack(channels, -1)
    return (out.clip(0, 1) * 255 + 0.5).astype(np.uint8)
