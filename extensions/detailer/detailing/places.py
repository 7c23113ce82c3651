"""Places in a picture: boxes, which of them count, and the masks that are painted. Knows no models. Start reading at `Place`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageChops, ImageDraw

from detailing.units import LATER, Unit
from modules.faults import RequestFault

HALF = 0.5
SAME_PLACE = 0.5  # share of two boxes in common, of their whole, from which they are one find


@dataclass(frozen=True)
class Place:
    """box: left, top, right, bottom in pixels; score: 0 to 1; mask: "L" of the picture's size, white where the thing is, None for a box."""

    box: tuple[float, float, float, float]
    score: float = 1.0
    mask: Image.Image | None = None

    @property
    def area(self) -> float:
        return max(0.0, self.box[2] - self.box[0]) * max(0.0, self.box[3] - self.box[1])


def written(text: str, size: tuple[int, int]) -> list[Place]:
    """ "40 10 60 35; ..." in percent of a size (width, height). Raises RequestFault."""
    found: list[Place] = []
    for part in filter(str.strip, text.split(";")):
        try:
            left, top, right, bottom = (float(number) for number in re.split(r"[\s,%]+", part.strip(" ,%\n")))
        except ValueError:
            raise RequestFault("places", "is four numbers in percent, such as 40 10 60 35; several with semicolons", got=part) from None
        if not (0 <= left < right <= 100 and 0 <= top < bottom <= 100):
            raise RequestFault("places", "is left, top, right, bottom, from 0 to 100, left before right and top before bottom", got=part)
        width, height = size
        found.append(Place((left * width / 100, top * height / 100, right * width / 100, bottom * height / 100)))
    return found


def overlap(one: Place, other: Place) -> float:
    """What two boxes share, of what they cover together."""
    width = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    height = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (one.area + other.area - shared) if shared else 0.0


def counting(places: Sequence[Place], unit: Unit, size: tuple[int, int]) -> list[Place]:
    """Those that a unit wants, in its order; of several finds of one thing the surest. size: of the picture (width, height)."""
    whole = size[0] * size[1]
    kept: list[Place] = []
    for place in sorted(places, key=lambda p: -p.score):
        wanted = place.score >= unit.confidence and unit.smallest <= place.area / whole <= unit.largest
        if wanted and all(overlap(place, other) < SAME_PLACE for other in kept):
            kept.append(place)
    if unit.most:
        largest = sorted(kept, key=lambda p: -p.area)[: unit.most]
        kept = [place for place in kept if place in largest]
    middle = (size[0] / 2, size[1] / 2)
    orders = {
        LATER[1]: lambda p: p.box[0],
        LATER[2]: lambda p: math.dist(((p.box[0] + p.box[2]) / 2, (p.box[1] + p.box[3]) / 2), middle),
        LATER[3]: lambda p: -p.area,
    }
    return sorted(kept, key=orders[unit.order]) if unit.order in orders else kept


def picked(places: Sequence[Place], which: str) -> list[Place]:
    """Those of these numbers, from 1 in their order; a number with a minus is left out. Empty: all. Raises RequestFault."""
    try:
        numbers = [int(part) for part in re.split(r"[\s,;]+", which.strip()) if part]
    except ValueError:
        raise RequestFault("which", "is numbers, such as 1 3, or with a minus for those left out, such as -2", got=which) from None
    wanted = {number for number in numbers if number > 0} or set(range(1, len(places) + 1))
    return [place for n, place in enumerate(places, 1) if n in wanted and -n not in numbers]


def lying(places: Sequence[Place], drawn: Image.Image, *, inside: bool) -> list[Place]:
    """Those that lie by at least half inside a mask ("L", of the picture's size), or else the others."""
    white = np.asarray(drawn, np.float32) / 255

    def share(place: Place) -> float:
        own = np.asarray(_mask(place, Unit(grow=0), drawn.size), np.float32)
        return float((own * white).sum() / own.sum()) if own.any() else 0.0

    return [place for place in places if (share(place) >= HALF) == inside]


def masks_of(places: Sequence[Place], unit: Unit, size: tuple[int, int]) -> list[Image.Image]:
    """What is painted, one "L" mask of the size for each run; none of them is black."""
    masks = [mask for place in places if (mask := _mask(place, unit, size)).getbbox()]
    if not (unit.merged or unit.around) or not masks:
        return masks
    whole = masks[0]
    for mask in masks[1:]:
        whole = ImageChops.lighter(whole, mask)
    whole = ImageChops.invert(whole) if unit.around else whole
    return [whole] if whole.getbbox() else []


def _mask(place: Place, unit: Unit, size: tuple[int, int]) -> Image.Image:
    mask = place.mask
    if mask is None:
        mask = Image.new("L", size)
        left, top, right, bottom = (round(side) for side in place.box)
        ImageDraw.Draw(mask).rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), 255)
    if unit.grow:
        side = 2 * abs(unit.grow) + 1
        turn = cv2.dilate if unit.grow > 0 else cv2.erode
        mask = Image.fromarray(turn(np.asarray(mask), np.ones((side, side), np.uint8)))
    if unit.offset_x or unit.offset_y:
        moved = Image.new("L", size)
        moved.paste(mask, (unit.offset_x, -unit.offset_y))
        mask = moved
    return mask
