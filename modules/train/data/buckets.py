"""Sizes that pictures are trained in: one square, or buckets of about the same area, and which part of a picture fills its bucket.

Sizes are (width, height) in pixels. Source: the buckets that kohya's scripts make, so that a folder falls into the same ones there and
here; with `enlarge` off, their "no upscale". Start reading at `Rules`, `bucket_for` and `cut`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from modules.pixels.crop import Box
from modules.pixels.resizing import Size
from modules.request.train_pictures import Pictures

PLAIN_STEP = 8  # of a side, where there are no buckets
FINEST_STEP, COARSEST_STEP = 16, 64  # of buckets that follow from the resolution; every family takes the finest
NO_MODEL_PX = 512  # the side where no model says one: captioners bring pictures to a size of their own
MIDDLE = (0.5, 0.5)


@dataclass(frozen=True)
class Rules:
    """side: of a square; its area is the most a bucket has. shapes: buckets of other shapes too. step: sides are multiples of it.

    shortest, longest: sides of buckets. enlarge: small pictures are enlarged; else each is trained in about its own size.
    """

    side: int
    shapes: bool = True
    step: int = 64
    shortest: int = 256
    longest: int = 1024
    enlarge: bool = True

    @classmethod
    def of(cls, config: Pictures) -> Rules:
        """As the configuration says. The shortest and longest sides give way to a resolution that would not lie between them.

        Sizes of 0 follow from the resolution, see the fields; that itself is meant to be a number (`TrainConfig.closed`).
        """
        asked = config.resolution or NO_MODEL_PX
        own_step = min(COARSEST_STEP, max(FINEST_STEP, asked // 8 // FINEST_STEP * FINEST_STEP))
        step = config.bucket_reso_steps or own_step if config.enable_bucket else PLAIN_STEP
        side = max(step, asked // step * step)
        return cls(
            side=side,
            shapes=config.enable_bucket,
            step=step,
            shortest=max(step, min((config.min_bucket_reso or side // 2) // step * step, side // 2 // step * step)),
            longest=max((config.max_bucket_reso or 2 * side) // step * step, side),
            enlarge=not config.bucket_no_upscale,
        )


@dataclass(frozen=True)
class Cut:
    """How a picture becomes training pixels: `part` of it (left, top, right, bottom; not whole numbers) is scaled to `bucket`.

    original: size of what is taken as the picture (its crop, where it has one); scaled: that at the bucket's scale; left_top: where the
    bucket lies in it. scale: below 1 for a picture that gets smaller. lost: share of the picture that is cut off.
    """

    bucket: Size
    part: tuple[float, float, float, float]
    original: Size
    scaled: Size
    left_top: tuple[int, int]
    scale: float
    lost: float


@functools.cache
def bucket_sizes(rules: Rules) -> tuple[Size, ...]:
    """All buckets, narrow ones first."""
    if not rules.shapes:
        return ((rules.side, rules.side),)
    area = rules.side * rules.side
    found = {(rules.side, rules.side)}
    for width in range(rules.shortest, rules.longest + 1, rules.step):
        height = min(rules.longest, area // width // rules.step * rules.step)
        if height >= rules.shortest:
            found |= {(width, height), (height, width)}
    return tuple(sorted(found))


def bucket_for(size: Size, rules: Rules) -> Size:
    """The bucket of a picture: its own size when there is one, else the one nearest in shape."""
    width, height = size
    if not rules.enlarge:
        return _own(size, rules)
    known = bucket_sizes(rules)
    if size in known:
        return size
    shape = width / height
    return min(known, key=lambda bucket: abs(bucket[0] / bucket[1] - shape))


def _own(size: Size, rules: Rules) -> Size:
    """Its own size or a smaller one of its shape within the area, rounded down to steps."""
    width, height = size
    if not rules.shapes:
        side = min(rules.side, max(rules.step, min(size) // rules.step * rules.step))
        return side, side
    scale = min(1.0, math.sqrt(rules.side * rules.side / (width * height)), rules.longest / max(size))
    return _floored(width * scale, rules.step), _floored(height * scale, rules.step)


def _floored(value: float, step: int) -> int:
    return max(step, int(value + 1e-6) // step * step)


def cut(size: Size, rules: Rules, box: Box | None = None, focus: tuple[float, float] = MIDDLE) -> Cut:
    """The cut of a picture of that size. box: the part that a person or the smart crop chose; what is around it does not exist then.

    focus: what should come as near to the middle as it can, as shares of width and height of that part.
    """
    left, top, right, bottom = box or (0, 0, *size)
    return cut_to(bucket_for((right - left, bottom - top), rules), (left, top, right, bottom), focus)


def cut_to(bucket: Size, box: Box, focus: tuple[float, float] = MIDDLE) -> Cut:
    """How the part `box` of a picture fills a bucket: scaled until it covers it, what sticks out is cut off around the focus."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    scale = max(bucket[0] / width, bucket[1] / height)
    scaled = max(bucket[0], round(width * scale)), max(bucket[1], round(height * scale))
    wide, high = min(bucket[0] / scale, width), min(bucket[1] / scale, height)
    x = min(max(focus[0] * width - wide / 2, 0.0), width - wide)
    y = min(max(focus[1] * height - high / 2, 0.0), height - high)
    return Cut(
        bucket=bucket,
        part=(left + x, top + y, left + x + wide, top + y + high),
        original=(width, height),
        scaled=scaled,
        left_top=(min(round(x * scale), scaled[0] - bucket[0]), min(round(y * scale), scaled[1] - bucket[1])),
        scale=scale,
        lost=1 - wide * high / (width * height),
    )
