"""What lies beside a model file: its preview picture, and the person's notes on it in A1111's JSON.

For `dir/name.safetensors`: pictures `name.preview.png`, `name.png`, ...; notes `name.json`; a description `name.txt`.
Start reading at `preview_of`, then `notes_of`.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modules.faults import RequestFault
from modules.folders import write_atomic
from modules.library.rows import ModelRow

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
EMBEDDED = "modelspec.thumbnail"
NOTE_LIMIT_BYTES = 1_000_000
# Keys of A1111's user metadata that the page shows and changes. Others in the file are kept as they are.
TEXTS = ("description", "notes", "activation text", "negative text", "sd version")
WEIGHT = "preferred weight"
TEXT_LIMIT_CHARS = 20_000
WEIGHT_RANGE = (-10.0, 10.0)


def stem_path(row: ModelRow) -> Path:
    """The path without ending that everything beside a model is called by. A folder's own name counts whole."""
    path = Path(row.path)
    return path if row.format == "folder" else path.with_name(path.name.removesuffix(path.suffix))


def preview_of(row: ModelRow) -> Path | None:
    """The picture beside a model; for a model folder also one inside it."""
    stem = stem_path(row)
    names = [f"{stem.name}{middle}{end}" for middle in (".preview", "") for end in PICTURES]
    found = next((stem.with_name(name) for name in names if stem.with_name(name).is_file()), None)
    if found is None and row.format == "folder":
        found = next((stem / f"preview{end}" for end in PICTURES if (stem / f"preview{end}").is_file()), None)
    return found


def previews_of(rows: Iterable[ModelRow]) -> dict[str, Path]:
    """id -> picture for many rows; each folder is looked at once."""
    listed: dict[Path, set[str]] = {}
    found: dict[str, Path] = {}
    for row in rows:
        folder = Path(row.path).parent
        if folder not in listed:
            listed[folder] = _pictures_in(folder)
        stem = stem_path(row).name
        likely = row.format == "folder" or any(f"{stem}{middle}{end}" in listed[folder] for middle in (".preview", "") for end in PICTURES)
        if likely and (picture := preview_of(row)):
            found[row.id] = picture
    return found


def _pictures_in(folder: Path) -> set[str]:
    try:
        return {name for name in os.listdir(folder) if name.endswith(PICTURES)}
    except OSError:
        return set()


def embedded_preview(metadata: Mapping[str, str]) -> bytes | None:
    """The picture inside a file's own metadata (a data: address), as bytes of some picture format."""
    head, comma, data = metadata.get(EMBEDDED, "").partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        return None
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None


def notes_of(row: ModelRow) -> dict[str, Any]:
    """The person's notes: TEXTS and WEIGHT, "" and 0 where nothing is said. A file that cannot be read counts as empty."""
    raw = _raw_notes(_notes_path(row))
    notes: dict[str, Any] = {key: str(raw.get(key) or "")[:TEXT_LIMIT_CHARS] for key in TEXTS}
    weight = raw.get(WEIGHT)
    notes[WEIGHT] = float(weight) if isinstance(weight, int | float) and not isinstance(weight, bool) and abs(weight) <= 10 else 0.0
    if not notes["description"]:
        notes["description"] = _text(stem_path(row).with_name(f"{stem_path(row).name}.txt"))
    return notes


def write_notes(row: ModelRow, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change some notes and keep the rest of the file. Returns the notes as they are now. Raises RequestFault, DiskFault."""
    path = _notes_path(row)
    raw = _raw_notes(path)
    if path.exists() and not raw and path.stat().st_size > 2:
        raise RequestFault("notes", f"the file {path.name} beside the model cannot be read; move it away first")
    for key, value in changes.items():
        if key == WEIGHT:
            if isinstance(value, bool) or not isinstance(value, int | float) or not WEIGHT_RANGE[0] <= value <= WEIGHT_RANGE[1]:
                raise RequestFault(key, f"must be a number from {WEIGHT_RANGE[0]:g} to {WEIGHT_RANGE[1]:g}", got=value)
        elif key not in TEXTS:
            raise RequestFault("notes", f"{key!r} is no note; there are {', '.join((*TEXTS, WEIGHT))}", got=key)
        elif not isinstance(value, str) or len(value) > TEXT_LIMIT_CHARS:
            raise RequestFault(key, f"must be text of at most {TEXT_LIMIT_CHARS} characters")
        raw[key] = value
    write_atomic(path, json.dumps(raw, indent=4, ensure_ascii=False).encode("utf-8", "replace"))
    return notes_of(row)


def beside(row: ModelRow) -> list[Path]:
    """The files that belong to a model and to no other: previews, notes, description, config."""
    stem = stem_path(row)
    ends = [*(f"{middle}{end}" for middle in ("", ".preview") for end in PICTURES), ".json", ".txt", ".yaml", ".civitai.info"]
    return [path for end in ends if (path := stem.with_name(f"{stem.name}{end}")).is_file()]


def _notes_path(row: ModelRow) -> Path:
    stem = stem_path(row)
    return stem.with_name(f"{stem.name}.json")


def _raw_notes(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > NOTE_LIMIT_BYTES:
            return {}
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > NOTE_LIMIT_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")[:TEXT_LIMIT_CHARS]
    except OSError:
        return ""
