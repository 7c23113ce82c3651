"""A picture made larger on its sides: what the new part begins as, and what is painted.

Knows pixels; painting is `modules.pixels.repaint`'s and the model's. Start reading at `prepare_grown`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageChops

from modules.pixels.ground import Ground, Sides
from modules.pixels.incoming import flatten
from modules.pixels.mask import invert, read_mask
from modules.pixels.masked_content import MASKED_CONTENT
from modules.pixels.repaint import Prepared, Repainting, prepare
from modules.pixels.resizing import SMOOTH, ResizeMode, resize

SOFTER_PER_PX = 0.25  # how fast a continued edge loses its detail: blur (sigma) for each pixel of distance
_LAYERS = 6


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What matched noise is drawn from. falloff: 0 to 4, of the spectrum's strengths, 1 for the picture's own; variation: 0 to 1, of
    what each colour channel draws for itself instead of with the others."""

    seed: int
    falloff: float = 1.0
    variation: float = 0.0


def prepare_grown(
    image: Image.Image, mask: Image.Image | None, asked: Repainting, sides: Sides, *, step: int, begin: str, overlap_px: int, noise: Noise
) -> Prepared:
    """What the network paints on when a picture grows. image, mask: as read from their files; the mask's part is painted too.

    begin: "edges", "matched noise" or "latent noise"; overlap_px: how far into the picture is painted. Of `asked` only blur, rounding,
    inversion and background count.
    """
    flat = flatten(image, asked.background)
    ground = Ground.around(flat.size, sides, step)
    canvas = matched_noise(flat, ground, noise) if begin == "matched noise" else continued(flat, ground)
    new = new_area(ground, sides, 0)
    painted = new_area(ground, sides, overlap_px)
    if mask is not None:
        plain = read_mask(mask, rounded=asked.rounded)
        meant = resize(invert(plain) if asked.inverted else plain, flat.size, resample=SMOOTH)
        own = Image.new("L", ground.size)
        own.paste(meant, ground.picture)
        painted = ImageChops.lighter(painted, own)
    content = MASKED_CONTENT[2] if begin == "latent noise" else MASKED_CONTENT[1]
    changed = dataclasses.replace(
        asked, size=ground.size, resize_mode=ResizeMode.JUST_RESIZE, only_masked=False, inverted=False, masked_content=content
    )
    made = prepare(canvas, painted, changed)
    return dataclasses.replace(made, mask=_lit(made.mask, new), overlay_mask=_lit(made.overlay_mask, new), trim=ground.result)


def _lit(mask: Image.Image | None, new: Image.Image) -> Image.Image:
    """The new part is painted wholly, however far the blur of its edge reaches."""
    return new if mask is None else ImageChops.lighter(mask, new)


def new_area(ground: Ground, sides: Sides, overlap_px: int) -> Image.Image:
    """A mask of the ground's size: 255 on the sides that grow and overlap_px into the picture from there; rounding alone is no side."""
    left, top, right, bottom = ground.picture
    width, height = ground.size
    kept = (
        left + overlap_px if sides[0] else 0,
        top + overlap_px if sides[2] else 0,
        right - overlap_px if sides[1] else width,
        bottom - overlap_px if sides[3] else height,
    )
    mask = Image.new("L", ground.size, 255)
    if kept[0] < kept[2] and kept[1] < kept[3]:
        mask.paste(0, kept)
    return mask


def continued(image: Image.Image, ground: Ground) -> Image.Image:
    """The RGB picture in its place, its outermost rows and columns going on outwards, softer with the distance."""
    left, top, right, bottom = ground.picture
    width, height = ground.size
    pixels = np.asarray(image, np.float32)
    plain = np.pad(pixels, ((top, height - bottom), (left, width - right), (0, 0)), mode="edge")
    across, down = np.arange(width), np.arange(height)
    away_x = np.maximum(0, np.maximum(left - across, across - right + 1))
    away_y = np.maximum(0, np.maximum(top - down, down - bottom + 1))
    away = np.maximum(away_x[None], away_y[:, None]).astype(np.float32)
    made = plain.copy()
    for layer in range(_LAYERS):
        sigma = 2.0**layer
        soft = cv2.GaussianBlur(plain, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        share = np.clip(away * SOFTER_PER_PX / sigma - 0.5, 0, 1)[..., None]
        made += (soft - made) * share
    made[top:bottom, left:right] = pixels
    return Image.fromarray(np.rint(np.clip(made, 0, 255)).astype(np.uint8))


def matched_noise(image: Image.Image, ground: Ground, noise: Noise) -> Image.Image:
    """The RGB picture in its place, around it noise with the picture's mean colours, contrast and spectrum.

    The spectrum's phases are drawn, with no variation the same for all channels, so that colours go together as they do in the picture.
    Source: Galerne, Gousseau, Morel: Random Phase Textures (IEEE Transactions on Image Processing, 2011).
    """
    left, top, right, bottom = ground.picture
    width, height = ground.size
    pixels = np.asarray(image, np.float64)
    mean, contrast = pixels.mean((0, 1)), pixels.std((0, 1))
    fade = np.sqrt(np.outer(np.hanning(image.height + 2)[1:-1], np.hanning(image.width + 2)[1:-1]))[..., None]
    field = np.zeros((height, width, 3))
    field[top:bottom, left:right] = (pixels - mean) * fade
    spectrum = np.fft.fft2(field, axes=(0, 1))
    strength = np.abs(spectrum)
    spectrum *= np.power(strength, noise.falloff - 1, out=np.zeros_like(strength), where=strength > 0)
    drawn = np.fft.ifft2(spectrum * np.exp(1j * _phases(noise, height, width)), axes=(0, 1)).real
    spread = drawn.std((0, 1))
    made = mean + (drawn - drawn.mean((0, 1))) * np.divide(contrast, spread, out=np.zeros(3), where=spread > 0)
    made[top:bottom, left:right] = pixels
    return Image.fromarray(np.rint(np.clip(made, 0, 255)).astype(np.uint8))


def _phases(noise: Noise, height: int, width: int) -> np.ndarray:
    """(height, width, 3) angles; (height, width, 1) when all channels have the same."""
    source = np.random.default_rng(noise.seed)
    shared = source.standard_normal((height, width, 1))
    if noise.variation:
        shared = (1 - noise.variation) * shared + noise.variation * source.standard_normal((height, width, 3))
    return np.angle(np.fft.fft2(shared, axes=(0, 1)))
