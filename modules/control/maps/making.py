"""Runs a preprocessor: picture in, control map out. Start reading at `make`; each maker is a function named in `table.MAPS`.

A maker gets pixels (H, W, 3) uint8 whose sides are multiples of 64 where the row has a resolution, and gives pixels of that size, (H, W)
or (H, W, 3), perhaps with the people it found.
"""

from __future__ import annotations

import hashlib
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from modules.control.fit import map_size, padding
from modules.control.maps.files import lacking
from modules.control.maps.ground import Ground, Made
from modules.control.maps.row import MapRow
from modules.control.maps.table import MAPS
from modules.faults import BlankPicture, ModelFault

Pixels = np.ndarray[Any, Any]  # uint8
ROOM = "modules.control.maps"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What a maker may know beside the pixels. a, b: thresholds as the row closes them; mask: (H, W) uint8 or None."""

    row: MapRow
    a: float
    b: float
    ground: Ground
    mask: Pixels | None = None


def make_map(
    name: str,
    image: Image.Image,
    *,
    ground: Ground,
    resolution: float = -1,
    a: float = -1,
    b: float = -1,
    mask: Image.Image | None = None,
) -> Image.Image:
    """The control map of a picture, RGB; see `make`."""
    return make(name, image, ground=ground, resolution=resolution, a=a, b=b, mask=mask).image


def make(
    name: str,
    image: Image.Image,
    *,
    ground: Ground,
    resolution: float = -1,
    a: float = -1,
    b: float = -1,
    mask: Image.Image | None = None,
) -> Made:
    """The control map of a picture (RGB), by a preprocessor's name or alias.

    resolution: shorter side in pixels that it works at and its map has; a, b: thresholds; what lies outside a slider means the
    preprocessor's own value. mask: "L", white is what it is about. What makes no map gives the picture as it is.
    Raises UnknownName, ModelFault naming what is missing, BlankPicture.
    """
    row = MAPS.get(name)
    image = image.convert("RGB")
    if not row.maker and not row.why_not:
        return Made(image=image)
    if why := lacking(row, ground.folders):
        raise ModelFault(why)
    side, a, b = row.closed(resolution, a, b)
    key = (row.name, side if row.resolution else 0, a, b, ground.device, _digest(image), _digest(mask) if mask else "")
    known = ground.known(key)
    if known is not None:
        return Made(image=known.image.copy(), pose=known.pose, seconds=known.seconds, cached=True)
    began = time.perf_counter()
    made = _made(row, image, side, a, b, mask, ground)
    made.seconds = time.perf_counter() - began
    ground.keep(key, made)
    return Made(image=made.image.copy(), pose=made.pose, seconds=made.seconds)


def finish(name: str, result: Image.Image, picture: Image.Image, a: float, b: float, mask: Image.Image | None = None) -> Image.Image:
    """What a preprocessor does to a finished picture: its colours, its brightness, what lies outside the mask; most do nothing.

    result: RGB; picture: the control picture at the result's size; mask: "L" at that size, white is what was painted.
    """
    row = MAPS.get(name)
    if not row.finish:
        return result
    _, a, b = row.closed(-1, a, b)
    work = _function(row.finish)
    return Image.fromarray(work(np.asarray(result.convert("RGB")), np.asarray(picture.convert("RGB")), a, b, _plane(mask)))


def _made(row: MapRow, image: Image.Image, side: int, a: float, b: float, mask: Image.Image | None, ground: Ground) -> Made:
    maker = _function(row.maker)
    if row.resolution is None:
        ask = Ask(row=row, a=a, b=b, ground=ground, mask=_plane(mask))
        pixels, (width, height) = np.asarray(image), (0, 0)
    else:
        width, height = map_size(image.size, side)
        right, below = padding((width, height))
        pixels = _padded(np.asarray(_scaled(image, (width, height))), right, below)
        plane = None if mask is None else _padded(np.asarray(_scaled(mask.convert("L"), (width, height))), right, below)
        ask = Ask(row=row, a=a, b=b, ground=ground, mask=plane)
    answer = maker(pixels, ask)
    drawn, pose = answer if isinstance(answer, tuple) else (answer, None)
    if row.resolution is not None:
        drawn = drawn[:height, :width]
    if drawn.dtype != np.uint8:
        raise BlankPicture(f"The preprocessor {row.name} gave no pixels. Its files may be damaged: get them again.")
    return Made(image=Image.fromarray(np.ascontiguousarray(drawn)).convert("RGB"), pose=pose)


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Sharper kernels enlarge better, areas shrink better."""
    if image.size == size:
        return image
    larger = size[0] > image.width or size[1] > image.height
    return image.resize(size, Image.Resampling.LANCZOS if larger else Image.Resampling.BOX)


def _padded(pixels: Pixels, right: int, below: int) -> Pixels:
    """The picture's last column and row go on."""
    return np.pad(pixels, ((0, below), (0, right), *(((0, 0),) if pixels.ndim == 3 else ())), mode="edge")


def _plane(mask: Image.Image | None) -> Pixels | None:
    return None if mask is None else np.asarray(mask.convert("L"))


def _digest(image: Image.Image) -> str:
    return hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).hexdigest()


def _function(name: str) -> Callable[..., Any]:
    """The function that a row names as module:function, below this room."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(f"{ROOM}.{module}"), function)
