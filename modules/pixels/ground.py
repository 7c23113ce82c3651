"""Where a picture lies when it is made larger on its sides. Knows sizes only, no pixels. Start reading at `Ground.around`."""

from __future__ import annotations

from dataclasses import dataclass

from modules.pixels.crop import Box
from modules.pixels.resizing import Size

Sides = tuple[int, int, int, int]  # pixels added to the left, the right, above and below
ALONE = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))


@dataclass(frozen=True)
class Ground:
    """What is painted on: size (multiples of the model's step). picture: where the picture lies in it; result: what is kept at the end.

    The result is exactly the picture and what was added; what the ground has beyond it was only needed to paint.
    """

    size: Size
    picture: Box
    result: Box

    @classmethod
    def around(cls, size: Size, sides: Sides, step: int) -> Ground:
        """For a picture of `size`. What rounding up adds goes to a side that grows, so that the picture's other edges stay edges."""
        left, right, up, down = sides
        wide, high = size[0] + left + right, size[1] + up + down
        more_x, more_y = -wide % step, -high % step
        x = more_x if left and not right else 0
        y = more_y if up and not down else 0
        picture = (x + left, y + up, x + left + size[0], y + up + size[1])
        return cls((wide + more_x, high + more_y), picture, (x, y, x + wide, y + high))

    @property
    def result_size(self) -> Size:
        """(width, height) of what comes out."""
        left, top, right, bottom = self.result
        return right - left, bottom - top


def turns(sides: Sides) -> list[Sides]:
    """The sides that grow, each alone, in the order in which they are painted."""
    found = [tuple(px * one for px, one in zip(sides, alone, strict=True)) for alone in ALONE]
    return [(left, right, up, down) for left, right, up, down in found if left or right or up or down]
