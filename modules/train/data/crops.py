"""crops.json of a session: the part of a picture that is trained, chosen by a person or by the smart crop.

    {"version": 1, "crops": {"cat 1.png": {"box": [80, 0, 592, 512], "size": [640, 512], "by": "hand", "reason": ""}}}

Boxes are left, top, right, bottom in pixels of the upright picture. Start reading at `read` and `put`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import RequestFault
from modules.folders import write_atomic
from modules.pixels.crop import Box
from modules.pixels.resizing import Size
from modules.train.data.naming import in_order, same

VERSION = 1
BY = HAND, SMART = ("hand", "smart")
LEAST_PX = 8
FIELD = "crop"


@dataclass(frozen=True)
class Crop:
    """box: what is trained; size: (width, height) of the picture it was chosen on; by: HAND or SMART; reason: what was seen there."""

    box: Box
    size: Size
    by: str = HAND
    reason: str = ""

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def fits(self, size: Size) -> bool:
        """Whether the picture is still of the size it was chosen on; a crop of another picture is not used."""
        return tuple(size) == self.size


Crops = dict[str, Crop]  # by name of the picture, as `naming.same` writes it


def read(path: Path) -> Crops:
    """The crops of a session, none when the file is missing. Raises RequestFault("crop") when it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows: Mapping[str, Any] = data["crops"]
        return {same(name): _crop(row) for name, row in rows.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestFault(FIELD, f"{path.name} cannot be read ({error}); move it away and choose the crops again") from error


def write(path: Path, crops: Mapping[str, Crop]) -> None:
    """Raises DiskFault."""
    rows = {name: crops[name].to_data() for name in sorted(crops, key=in_order)}
    write_atomic(path, (json.dumps({"version": VERSION, "crops": rows}, ensure_ascii=False, indent=1) + "\n").encode())


def put(path: Path, changes: Mapping[str, Crop | None]) -> Crops:
    """Write some crops; None takes one away. Returns all. Raises RequestFault("crop"), DiskFault."""
    crops = read(path)
    for name, crop in changes.items():
        if crop is None:
            crops.pop(same(name), None)
        else:
            crops[same(name)] = crop
    write(path, crops)
    return crops


def checked(box: Sequence[Any], size: Size) -> Box:
    """A box from outside, as whole numbers. Raises RequestFault("crop") when it is none, too small, or leaves the picture."""
    try:
        left, top, right, bottom = (round(float(value)) for value in box)
    except (TypeError, ValueError, OverflowError):
        raise RequestFault(FIELD, "must be four numbers: left, top, right, bottom", got=box) from None
    if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
        raise RequestFault(FIELD, f"must lie inside the picture of {size[0]}x{size[1]} pixels", got=[left, top, right, bottom])
    if min(right - left, bottom - top) < LEAST_PX:
        raise RequestFault(FIELD, f"must be at least {LEAST_PX} pixels wide and high", got=[left, top, right, bottom])
    return left, top, right, bottom


def _crop(row: Mapping[str, Any]) -> Crop:
    width, height = (int(value) for value in row["size"])
    left, top, right, bottom = (int(value) for value in row["box"])
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(f"{[left, top, right, bottom]} is no part of {width}x{height}")
    by = str(row.get("by", HAND))
    return Crop((left, top, right, bottom), (width, height), by if by in BY else HAND, str(row.get("reason", "")))
