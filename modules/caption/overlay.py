"""Heat maps as files and as pictures: kept with their words, laid over the picture they belong to, saved as PNG.

Needs numpy and Pillow, no torch, so that the page's process can draw one. Start reading at `keep` and `drawn`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from modules.faults import RequestFault
from modules.folders import Folders, write_atomic

MEAN = -1  # of all layers, or all heads
MOST_KEPT = 400
OPACITY = 0.6
Region = tuple[float, float, float, float]
# Dark to bright over hue, so that it reads in grey too: (place, red, green, blue).
COLOURS = (
    (0.0, 20, 11, 52), (0.25, 101, 21, 110), (0.5, 187, 55, 84), (0.75, 249, 142, 9), (1.0, 252, 255, 164),
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """words: W words; maps: (layers, heads, W, rows, columns), each sums to 1; share: (layers, heads, W), how much fell on the grid.

    region: what the model saw, as (left, top, right, bottom) in parts of the picture's sides; beyond 0 and 1 where bars were added.
    """

    words: tuple[str, ...]
    maps: np.ndarray[Any, Any]
    share: np.ndarray[Any, Any]
    region: Region

    def map_of(self, words: Sequence[int], layer: int = MEAN, head: int = MEAN) -> np.ndarray[Any, Any]:
        """(rows, columns), sums to 1: the mean over these words, and over layers and heads or of one of them.

        Raises RequestFault naming what there is not.
        """
        for name, asked, count in (("layer", layer, self.maps.shape[0]), ("head", head, self.maps.shape[1])):
            if not MEAN <= asked < count:
                raise RequestFault(name, f"must be from 0 to {count - 1}, or {MEAN} for the mean of all", got=asked)
        if not words or not all(0 <= word < len(self.words) for word in words):
            raise RequestFault("word", f"must be from 0 to {len(self.words) - 1}", got=list(words))
        some = self.maps[:, :, list(words)]
        some = some if layer == MEAN else some[layer : layer + 1]
        some = some if head == MEAN else some[:, head : head + 1]
        return some.astype(np.float32).mean((0, 1, 2))


def heat_file(folders: Folders, digest: str) -> Path:
    """Where the heat maps of that name are kept."""
    return folders.cache / "heat-maps" / f"{Path(digest).name}.npz"


def keep(path: Path, kept: Kept) -> None:
    """Write maps to a file, whole or not at all. Raises DiskFault."""
    buffer = io.BytesIO()
    said = json.dumps({"words": kept.words, "region": kept.region})
    np.savez_compressed(
        buffer, maps=kept.maps.astype(np.float16), share=kept.share.astype(np.float32), said=np.frombuffer(said.encode(), dtype=np.uint8)
    )
    write_atomic(path, buffer.getvalue())
    files = sorted(path.parent.glob("*.npz"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for old in files[MOST_KEPT:]:
        old.unlink(missing_ok=True)


def read(path: Path) -> Kept | None:
    """What `keep` wrote; None when it is not there any more or cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as found:
            said = json.loads(found["said"].tobytes())
            return Kept(tuple(said["words"]), found["maps"], found["share"], tuple(said["region"]))
    except (OSError, ValueError, KeyError, EOFError):
        return None


def drawn(picture: Image.Image, heat: np.ndarray[Any, Any], region: Region, opacity: float = OPACITY) -> Image.Image:
    """The picture (RGB) with a map (rows, columns) laid over the part that the model saw; the strongest place is brightest.

    opacity: 0 to 1, of the map where it is strongest; what got no attention stays visible at half of that.
    """
    width, height = picture.size
    left, top, right, bottom = (round(part * side) for part, side in zip(region, (width, height, width, height), strict=True))
    strength = Image.fromarray((heat / max(float(heat.max()), 1e-12)).astype(np.float32), "F")
    strength = strength.resize((max(1, right - left), max(1, bottom - top)), Image.Resampling.BICUBIC)
    there = Image.new("F", picture.size, -1.0)  # -1: the model did not see it
    there.paste(strength, (left, top))
    seen = np.asarray(there)
    level = seen.clip(0, 1)
    table = np.array(COLOURS, dtype=np.float32)
    colours = np.stack([np.interp(level, table[:, 0], table[:, n]) for n in (1, 2, 3)], axis=-1)
    alpha = np.where(seen <= -0.5, 0.0, opacity * (0.5 + 0.5 * level))[..., None]
    mixed = np.asarray(picture, dtype=np.float32) * (1 - alpha) + colours * alpha
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def sheet(heat: np.ndarray[Any, Any]) -> Image.Image:
    """The map alone as a grey picture, one pixel a patch, 255 where it is strongest."""
    return Image.fromarray((heat / max(float(heat.max()), 1e-12) * 255).round().astype(np.uint8))


def png(image: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
