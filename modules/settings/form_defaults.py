"""ui-config.json as a file: what the controls of the forms begin with, in A1111's keys ("txt2img/Sampling steps/value").

Knows which keys belong to which field of a request; the page reads the file when it is built. Start reading at `change`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modules.faults import DiskFault, RequestFault
from modules.folders import Folders, write_atomic
from modules.knobs import KnobField, coerce, knobs_of
from modules.request import GenerationRequest

FILE, KEPT = "ui-config.json", "ui-config.shipped.json"
FORMS = ("txt2img", "img2img")
# What a start value is not: pictures, seeds of a single run and what the page's script writes itself.
NOT_KEPT = frozenset(
    {"init_images", "mask", "firstpass_image", "style_image", "control_units", "begin", "images", "image_names", "override_settings"}
)


@functools.cache
def keys_of(tab: str) -> dict[str, KnobField]:
    """Key -> the field whose start it is, of a form."""
    fields = knobs_of(GenerationRequest)
    return {f"{tab}/{field.knob.label}/value": field for name, field in fields.items() if name not in NOT_KEPT}


def plain_key(key: str) -> str:
    """A1111 1.8 and later put "customscript/<file>/" before the tab; both spellings mean the same control."""
    parts = key.split("/", 2)
    return parts[2] if len(parts) == 3 and parts[0] == "customscript" else key


def read(folders: Folders) -> dict[str, Any]:
    """What the file in use says: the person's, else the one that came with the program. Raises DiskFault when it cannot be read."""
    path = next((p for p in (folders.ui_config_file, folders.program / FILE) if p.is_file()), None)
    return _read(path) if path is not None else {}


def shipped(folders: Folders) -> dict[str, Any]:
    """What the file said as it came with the program. A copy was kept before the first change of ours."""
    own = folders.program / FILE
    kept = folders.cache / KEPT
    path = kept if folders.ui_config_file == own and kept.is_file() else own
    return _read(path) if path.is_file() else {}


def change(folders: Folders, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Set some keys, None takes one out. Returns what they were, None where they were not there. Raises DiskFault."""
    now = read(folders)
    before = {key: now.get(key) for key in changes}
    values = {**now, **changes}
    values = {key: value for key, value in values.items() if value is not None}
    if values != now:
        kept = folders.cache / KEPT
        if folders.ui_config_file == folders.program / FILE and folders.ui_config_file.is_file() and not kept.exists():
            write_atomic(kept, folders.ui_config_file.read_bytes())
        write_atomic(folders.ui_config_file, (json.dumps(values, indent=4, ensure_ascii=False) + "\n").encode())
    return before


def checked(tab: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Key -> value of a form's values by field name. Raises RequestFault for a form or value there is not; other names are left out."""
    if tab not in FORMS:
        raise RequestFault("tab", f"must be one of {', '.join(FORMS)}", got=tab, allowed=list(FORMS))
    found: dict[str, Any] = {}
    for key, field in keys_of(tab).items():
        if field.name in values and values[field.name] is not None:
            found[key] = coerce(field, values[field.name])
    return found


def bound(field: KnobField, name: str, value: Any) -> int | float:
    """A control's minimum, maximum or step, checked. Raises RequestFault."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise RequestFault(name, "must be a number", got=value)
    if name == "step":
        if value <= 0:
            raise RequestFault(name, "must be above 0", got=value)
        return value
    low, high = field.knob.low, field.knob.high
    if (low is not None and value < low) or (high is not None and value > high):
        raise RequestFault(name, f"must lie between {low} and {high}", got=value)
    return value


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is not an object of keys and values")
    except (OSError, ValueError) as error:
        raise DiskFault(f"{path} cannot be read: {error}. Mend the file, or move it away, and try again.") from error
    return values
