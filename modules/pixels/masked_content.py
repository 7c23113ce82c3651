"""What lies under the mask before painting begins: the original, colours from around, noise, or nothing.

The first two are done with pixels here; the latter two with the latent, by whoever samples, who reads `MASKED_CONTENT` for it.
Start reading at `MASKED_CONTENT`, then `fill`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from modules.faults import RequestFault

# Blur radius in pixels and how often that layer is laid on; from far colours to near ones, the known pixels last.
_LAYERS = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))


@dataclass(frozen=True)
class MaskedContent:
    """One choice. fills: pixels under the mask are replaced by `fill`. latent: what the latent under the mask becomes."""

    label: str
    fills: bool
    latent: Literal["keep", "noise", "zero"]


# The place in this row is the number in the API's inpainting_fill. Every choice but "original" fills first, as in A1111.
MASKED_CONTENT = (
    MaskedContent("fill", True, "keep"),
    MaskedContent("original", False, "keep"),
    MaskedContent("latent noise", True, "noise"),
    MaskedContent("latent nothing", True, "zero"),
)


def masked_content(value: int | str) -> MaskedContent:
    """The row of a number (0 to 3) or label. Raises RequestFault("inpainting_fill")."""
    for number, row in enumerate(MASKED_CONTENT):
        if value == number or (isinstance(value, str) and value.casefold() == row.label):
            return row
    labels = [row.label for row in MASKED_CONTENT]
    raise RequestFault("inpainting_fill", "there is no such masked content", got=value, allowed=labels)


def fill(image: Image.Image, mask: Image.Image) -> Image.Image:
    """RGB picture whose masked part (mask 255) has the colours around it, smoothly continued inward. Same size as both.

    The known pixels are blurred with growing radii and laid over each other, the widest at the bottom. What even that does not
    reach gets the mean of the known colours, and a picture without known pixels comes back black.
    """
    known = Image.new("RGBa", image.size)
    known.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
    result = Image.new("RGBA", image.size)
    for radius, times in _LAYERS:
        layer = known.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            result.alpha_composite(layer)
    alpha = result.getchannel("A")
    filled = result.convert("RGB")
    if alpha.getextrema()[0] == 0:
        filled.paste(_mean_colour(image, mask), mask=alpha.point([255] + [0] * 255))
    return filled


def _mean_colour(image: Image.Image, mask: Image.Image) -> tuple[int, int, int]:
    known = np.asarray(mask.convert("L")) < 128
    if not known.any():
        return 0, 0, 0
    red, green, blue = np.asarray(image.convert("RGB"))[known].mean(axis=0).round().astype(int).tolist()
    return red, green, blue
