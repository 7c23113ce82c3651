"""Colour correction: a painted picture gets the colours of the picture it was made from. Start reading at `match_colours`."""

from __future__ import annotations

import numpy as np
from PIL import Image

_LUMA = np.array((0.3, 0.59, 0.11), np.float32)


def match_colours(image: Image.Image, reference: Image.Image) -> Image.Image:
    """The RGB picture with the colours of an RGB reference (of any size) and its own brightness.

    Each channel of CIELAB gets the reference's histogram; then every pixel is brought back to the brightness it had.
    Source: the behaviour of A1111's img2img_color_correction.
    """
    import cv2

    pixels = np.asarray(image.convert("RGB"))
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    wanted = cv2.cvtColor(np.asarray(reference.convert("RGB")), cv2.COLOR_RGB2LAB)
    matched = np.stack([match_histogram(lab[..., c], wanted[..., c]) for c in range(3)], axis=-1)
    coloured = cv2.cvtColor(matched, cv2.COLOR_LAB2RGB)
    return Image.fromarray(with_luminosity(coloured, pixels), "RGB")


def match_histogram(channel: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """A uint8 channel whose values are spread like those of a reference channel (any shape); order of values is kept."""
    counts = np.bincount(channel.ravel(), minlength=256)
    wanted = np.bincount(reference.ravel(), minlength=256)
    values = np.nonzero(wanted)[0]
    table = np.interp(np.cumsum(counts) / channel.size, np.cumsum(wanted[values]) / reference.size, values)
    return table.astype(np.uint8)[channel]


def with_luminosity(coloured: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """Hue and saturation of `coloured`, luminosity of `bright`; uint8 (h, w, 3) both and the result.

    Source: W3C Compositing and Blending, SetLum and ClipColor.
    """
    base = coloured.astype(np.float32) / 255
    target = (bright.astype(np.float32) / 255) @ _LUMA
    moved = base + (target - base @ _LUMA)[..., None]
    light = (moved @ _LUMA)[..., None]
    low, high = moved.min(-1, keepdims=True), moved.max(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(low < 0, light + (moved - light) * light / (light - low), moved)
        moved = np.where(high > 1, light + (moved - light) * (1 - light) / (high - light), moved)
    return np.rint(np.clip(moved, 0, 1) * 255).astype(np.uint8)
