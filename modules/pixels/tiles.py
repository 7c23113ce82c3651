"""A picture in overlapping tiles, and back in one piece without seams. For upscalers, SD upscale and tiled VAEs.

Knows geometry and weights, nothing about what happens to a tile in between. Start reading at `Tiling`, then `cut` and `join`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from modules.pixels.crop import Box
from modules.pixels.resizing import Size
from modules.pixels.spans import Span, spans


def shares(axis: Sequence[Span], border: int = 0) -> list[np.ndarray]:
    """How much each span counts at each of its pixels: float32, 0 to 1, adding up to 1 at every pixel of the axis.

    Linear ramps over the overlaps. border: so many pixels at the inner ends of a span count for nothing (what a network computes
    there suffers from the cut); fewer where the overlap is too small for it.
    """
    length = axis[-1][1]
    raw: list[np.ndarray] = []
    for n, (begin, end) in enumerate(axis):
        left = axis[n - 1][1] - begin if n else 0
        right = end - axis[n + 1][0] if n + 1 < len(axis) else 0
        at = np.arange(end - begin) + 0.5
        raw.append(np.minimum(_ramp(at, left, border), _ramp(at[::-1], right, border)))
    total = np.zeros(length)
    for (begin, end), share in zip(axis, raw, strict=True):
        total[begin:end] += share
    return [(share / total[begin:end]).astype(np.float32) for (begin, end), share in zip(axis, raw, strict=True)]


def _ramp(at: np.ndarray, overlap: int, border: int) -> np.ndarray:
    if overlap <= 0:
        return np.ones(len(at))
    border = min(border, (overlap - 1) // 2)
    return np.clip((at - border) / (overlap - 2 * border), 0, 1)


@dataclass(frozen=True)
class Tiling:
    """Tiles over a picture of `size` (width, height): at most `tile` px a side, sharing at least `overlap` px. border: see `shares`."""

    size: Size
    tile: Size
    overlap: int
    border: int = 0
    scale: int = 1

    @cached_property
    def columns(self) -> list[Span]:
        return self._axis(0)

    @cached_property
    def rows(self) -> list[Span]:
        return self._axis(1)

    def _axis(self, n: int) -> list[Span]:
        side = max(1, min(self.tile[n], self.size[n]))
        found = spans(self.size[n], side, min(self.overlap, side - 1))
        return [(begin * self.scale, end * self.scale) for begin, end in found]

    @property
    def boxes(self) -> list[Box]:
        """The tiles row by row."""
        return [(left, top, right, bottom) for top, bottom in self.rows for left, right in self.columns]

    @cached_property
    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each box (weights down the rows, weights along the columns), float32; their products add up to 1 at every pixel."""
        border = self.border * self.scale
        down, along = shares(self.rows, border), shares(self.columns, border)
        return [(y, x) for y in down for x in along]

    def scaled(self, factor: int) -> Tiling:
        """The same tiles in a picture that is `factor` (whole number) times as large."""
        return Tiling(self.size, self.tile, self.overlap, self.border, self.scale * factor)

    @property
    def full_size(self) -> Size:
        """(width, height) of the picture that these tiles make up."""
        return self.size[0] * self.scale, self.size[1] * self.scale


def cut(image: Image.Image, tiling: Tiling) -> list[Image.Image]:
    """The tiles of a picture, in the order of `tiling.boxes`. Raises ValueError when it is of another size."""
    if image.size != tiling.full_size:
        raise ValueError(f"the tiles are for {tiling.full_size}, the picture is {image.size}")
    return [image.crop(box) for box in tiling.boxes]


def join(tiles: Iterable[Image.Image], tiling: Tiling) -> Image.Image:
    """One RGB picture of all tiles, in the order of `tiling.boxes`, blended where they overlap. Unchanged tiles give the same pixels."""
    assembly = Assembly(tiling)
    for tile in tiles:
        assembly.add(np.asarray(tile.convert("RGB"), np.float32))
    return assembly.image()


class Assembly:
    """A picture that grows from tiles, added in the order of `tiling.boxes`. Only the rows that can still change are kept as floats."""

    def __init__(self, tiling: Tiling) -> None:
        width, height = tiling.full_size
        self._tiling = tiling
        self._pixels = np.zeros((height, width, 3), np.uint8)
        self._open = np.zeros((0, width, 3), np.float32)
        self._top = 0  # where _open lies in the picture
        self._added = 0

    def add(self, tile: np.ndarray) -> None:
        """The next tile: float32 (h, w, 3), 0 to 255. Raises ValueError when it has another size than its box."""
        left, top, right, bottom = self._tiling.boxes[self._added]
        if tile.shape != (bottom - top, right - left, 3):
            raise ValueError(f"a tile of {right - left}x{bottom - top} px came back with the shape {tile.shape}")
        if top > self._top:
            self._close(top)
        if missing := bottom - self._top - len(self._open):
            self._open = np.concatenate([self._open, np.zeros((max(0, missing), *self._open.shape[1:]), np.float32)])
        down, along = self._tiling.weights[self._added]
        self._open[top - self._top : bottom - self._top, left:right] += tile * (down[:, None] * along)[..., None]
        self._added += 1

    def image(self) -> Image.Image:
        """The whole picture, RGB. Raises ValueError while tiles are missing."""
        if self._added != len(self._tiling.boxes):
            raise ValueError(f"{len(self._tiling.boxes) - self._added} tiles are missing")
        self._close(self._top + len(self._open))
        return Image.fromarray(self._pixels)

    def _close(self, until: int) -> None:
        done = self._open[: until - self._top]
        self._pixels[self._top : until] = np.rint(np.clip(done, 0, 255))
        self._open = self._open[until - self._top :]
        self._top = until
