"""Tiles of a large picture that other workers make, while the leading one puts them together: the picture is the same, bit for bit.

A tile is handed over as its numbers, since neighbours are blended before anything is rounded; that takes some tenths of a second, so it is
done where making one takes longer. Knows one tile at a time; how pieces are told of is in `processing.pieces`. Start reading at
`SharedTiles`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from modules.processing.pieces import Others, opened
from modules.request.extras import TILES
from modules.saver import Saver
from modules.upscale.network import Box, Elsewhere, Network
from modules.upscale.shelf import Shelf

WORTH_S = 1.0  # what a tile takes at least, for it to be handed over
LEAST = 4  # tiles that are left then


class SharedTiles:
    """Of one job: what `Watch.others` is."""

    def __init__(self, job: str, control: Any, saver: Saver) -> None:
        self._job = job
        self._control = control
        self._saver = saver
        self._passes = 0

    def __call__(self, network: Network, image: Image.Image, boxes: Sequence[Box]) -> Elsewhere:
        """A pass begins. The first tile is made here, and its time says whether others are asked for the rest."""
        others, began = Others(self._control, on=False), 0.0

        def elsewhere(number: int) -> np.ndarray | None:
            nonlocal others, began
            if number == 0:
                began = time.monotonic()
                return None
            if number == 1 and time.monotonic() - began >= WORTH_S and len(boxes) > LEAST and network.exact:
                others = self._lend(network, image, boxes[1:])
            found = others.piece(number - 1)
            if number == len(boxes) - 1:
                others.close()
            return _numbers(found) if found else None

        return elsewhere

    def _lend(self, network: Network, image: Image.Image, boxes: Sequence[Box]) -> Others:
        self._passes += 1
        picture = self._saver.keep(image, job=self._job, name=f"tiled-{self._passes}")
        resolved = {"network": {"path": str(network.path)}, "picture": {"path": picture}}
        each = {str(n): {"box": list(box)} for n, box in enumerate(boxes)}
        return Others(self._control, on=True, first=self._control.lend(len(each), kind=TILES, resolved=resolved, each=each))


def run_tile(job: dict[str, Any], control: Any, shelf: Shelf, saver: Saver) -> tuple[str, dict[str, Any]]:
    """A tile of a picture that another worker puts together: ("done", {"tile", "size"}), with its numbers as the bytes of a picture.

    Raises ModelFault, BlankPicture, OSError.
    """
    asked = job["resolved"]
    control.progress(fraction=0.0, step=0, steps=1, batch_no=0, batch_count=1)
    with Image.open(asked["picture"]["path"]) as picture:
        pixels = np.asarray(picture.convert("RGB").crop(tuple(asked["box"])), np.float32)
    made = np.ascontiguousarray(shelf.get(Path(asked["network"]["path"])).tile(pixels), np.float32)
    height, width = made.shape[:2]
    image = Image.frombytes("RGBA", (3 * width, height), made.tobytes())
    return "done", {"tile": {"path": saver.keep(image, job=job["id"], name="1")}, "size": [width, height]}


def _numbers(found: dict[str, Any]) -> np.ndarray:
    """float32 (h, w, 3) of a tile that was handed over; its file is gone then. Raises OSError."""
    width, height = found["size"]
    return np.frombuffer(opened(found["tile"]).tobytes(), np.float32).reshape(height, width, 3)
