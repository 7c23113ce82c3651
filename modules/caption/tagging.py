"""A tagger at work: the picture as its network wants it, a chance for every tag.

WD: padded to a square with white, brought to the network's side, blue first, numbers from 0 to 255. DeepDanbooru: its border is drawn out
to a square, red first, 0 to 1. Start reading at `opened_tagger` and `tag`.
Source: the published loading code of the WD taggers and of DeepDanbooru.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from modules.backends.onnx_session import session
from modules.caption.installed import Installed
from modules.caption.onnx_files import RUNS_WITH, need
from modules.caption.tagger import MODEL
from modules.caption.tags import WD_LIST, Tag, Tagged, chosen, read_tags
from modules.faults import ModelFault
from modules.request.tagging import Tagging

WHITE = "#ffffff"
COLOURS = 3


@dataclass(frozen=True)
class Dialect:
    """How pictures are put to a family of taggers. blue_first: order of the colours; scale: of numbers from 0 to 255; drawn_out: the border
    is repeated instead of white bars.
    """

    blue_first: bool
    scale: float
    drawn_out: bool


WD = Dialect(blue_first=True, scale=1.0, drawn_out=False)
DEEP = Dialect(blue_first=False, scale=1 / 255, drawn_out=True)


class Eyes:
    """The pictures for the network, in the form of transformers' processors: pixel_values (B,3,side,side), red first, 0 to 255."""

    resample = Image.Resampling.BICUBIC
    pads_to_square = True

    def __init__(self, side_px: int, dialect: Dialect) -> None:
        self.size = {"height": side_px, "width": side_px}
        self._dialect = dialect
        self.image_processor = self

    def __call__(self, images: Sequence[Image.Image], return_tensors: str = "pt") -> dict[str, torch.Tensor]:
        side = self.size["height"]
        squares = [squared(image, self._dialect.drawn_out).resize((side, side), self.resample) for image in images]
        pixels = np.stack([np.asarray(square, dtype=np.float32) for square in squares])
        return {"pixel_values": torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))}


class Tagger:
    """A network with its list of tags. one_by_one: it takes a single picture at a time; last: colours are the last of its axes."""

    def __init__(self, run: Any, tags: Sequence[Tag], dialect: Dialect, *, one_by_one: bool, last: bool) -> None:
        self.tags = tags
        self._run, self._dialect, self._one_by_one, self._last = run, dialect, one_by_one, last

    def chances(self, pixels: torch.Tensor) -> np.ndarray:
        """(B,3,side,side) as `Eyes` gives them -> (B, tags) chances, 0 to 1."""
        given = pixels.numpy() * np.float32(self._dialect.scale)
        given = given[:, ::-1] if self._dialect.blue_first else given
        given = np.ascontiguousarray(given.transpose(0, 2, 3, 1) if self._last else given)
        name = self._run.get_inputs()[0].name
        parts = [given[n : n + 1] for n in range(len(given))] if self._one_by_one else [given]
        found = np.concatenate([self._run.run(None, {name: part})[0] for part in parts]).astype(np.float32)
        if found.min() < 0 or found.max() > 1:  # some are published without their last step
            found = 1 / (1 + np.exp(-found))
        return found


def opened_tagger(found: Installed) -> tuple[Tagger, Eyes]:
    """The network of a tagger's folder and what pictures are put to it by. Raises ModelFault when the two files do not belong together."""
    need(RUNS_WITH, f"The tagger {found.name}")
    tags, run = read_tags(found.path), session(found.path / MODEL)
    dialect = WD if (found.path / WD_LIST).is_file() else DEEP
    inputs, outputs = run.get_inputs(), run.get_outputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or COLOURS not in (shape[1], shape[3]):
        raise ModelFault(f"{found.name}/{MODEL} takes {[row.shape for row in inputs]}, which is no picture; it is not a tagger.")
    last = shape[3] == COLOURS
    side = shape[1] if last else shape[2]
    if not isinstance(side, int):
        raise ModelFault(f"{found.name}/{MODEL} does not say which size of picture it takes; it is not a tagger of a known kind.")
    counts = outputs[0].shape[-1]
    if isinstance(counts, int) and counts != len(tags):
        raise ModelFault(f"{found.name} gives {counts} chances, but its list has {len(tags)} tags. The two files do not belong together.")
    return Tagger(run, tags, dialect, one_by_one=shape[0] == 1, last=last), Eyes(side, dialect)


def tag(tagger: Tagger, name: str, pixels: Any, how: Tagging) -> list[Tagged]:
    """The tags of pictures. name: of the tagger, for messages; pixels: what its processor made of them. Raises ModelFault."""
    chances = tagger.chances(pixels)
    if chances.shape[-1] != len(tagger.tags):
        given = f"{name} gives {chances.shape[-1]} chances, but its list has {len(tagger.tags)} tags"
        raise ModelFault(f"{given}. The two files do not belong together.")
    return [chosen(tagger.tags, row.tolist(), how) for row in chances]


def squared(image: Image.Image, drawn_out: bool) -> Image.Image:
    """The picture in the middle of a square: with white bars, or its border drawn out."""
    side = max(image.size)
    left, top = (side - image.width) // 2, (side - image.height) // 2
    if drawn_out:
        edges = ((top, side - image.height - top), (left, side - image.width - left), (0, 0))
        return Image.fromarray(np.pad(np.asarray(image), edges, mode="edge"))
    square = Image.new("RGB", (side, side), WHITE)
    square.paste(image, (left, top))
    return square
