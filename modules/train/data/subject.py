"""What a picture is about, and the crop that keeps it. Knows nothing about how it is found: that is in `looking`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from modules.pixels.crop import Box
from modules.pixels.resizing import Size

FACES, OBJECT, DETAIL, MIDDLE = "face", "object", "detail", "middle"
Faces = Callable[[Image.Image], Sequence[Box]]  # RGB picture -> boxes of the faces in it, in pixels


@dataclass(frozen=True)
class Subject:
    """box: in pixels of the picture; reason: FACES, OBJECT, DETAIL or MIDDLE; sure: 0 to 1; text: for people."""

    box: Box
    reason: str
    sure: float
    text: str

    def focus(self, size: Size) -> tuple[float, float]:
        """Its middle as shares of the picture's width and height."""
        left, top, right, bottom = self.box
        return (left + right) / 2 / size[0], (top + bottom) / 2 / size[1]


def best_box(size: Size, shape: Size, subject: Subject, margin: float | None = None, least: Size = (1, 1)) -> Box:
    """The part of a picture of that size that has the shape and keeps the subject.

    margin: None for the largest such part; else it closes in on the subject, with so much of the subject's size around it on each side.
    least: (width, height) in pixels that it does not go below, as far as the picture is large enough.
    """
    most = min(size[0] / shape[0], size[1] / shape[1])
    scale = most
    if margin is not None:
        left, top, right, bottom = subject.box
        grow = 1 + 2 * margin
        wanted = max((right - left) * grow / shape[0], (bottom - top) * grow / shape[1], least[0] / shape[0], least[1] / shape[1])
        scale = min(most, wanted)
    width, height = max(1, min(size[0], round(shape[0] * scale))), max(1, min(size[1], round(shape[1] * scale)))
    x, y = subject.focus(size)
    left = round(min(max(x * size[0] - width / 2, 0), size[0] - width))
    top = round(min(max(y * size[1] - height / 2, 0), size[1] - height))
    return left, top, left + width, top + height
