"""Preprocessors without weights: edges, lines, tiles, blur, colours. Each is a maker as `making` describes; pixels are RGB uint8.

Start reading at `canny`. Source: the behaviour of the well-known ControlNet extension.
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

from modules.control.maps.making import Ask, Pixels

XDOG_SIGMAS = (0.5, 5.0)
LINE_SIGMA, LINE_FLOOR = 6.0, 8
SHUFFLE_PX = 256  # size of the whirls
GRID_PX = 64
NO_TILING_BELOW = 1.1


def canny(pixels: Pixels, ask: Ask) -> Pixels:
    """White edges on black; a: below it nothing is an edge, b: above it everything is."""
    return cv2.Canny(pixels, int(ask.a), int(ask.b))


def invert(pixels: Pixels, ask: Ask) -> Pixels:
    """Black lines on white become white lines on black."""
    return 255 - pixels


def threshold(pixels: Pixels, ask: Ask) -> Pixels:
    """White where every one of the three colours lies above a, else black."""
    return np.where(pixels.min(axis=2) > ask.a, 255, 0).astype(np.uint8)


def blur(pixels: Pixels, ask: Ask) -> Pixels:
    """a: the Gaussian's sigma in pixels."""
    return cv2.GaussianBlur(pixels, (0, 0), float(ask.a))


def xdog(pixels: Pixels, ask: Ask) -> Pixels:
    """White lines where a narrow blur is darker than a wide one by half of a."""
    values = pixels.astype(np.float32)
    narrow, wide = (cv2.GaussianBlur(values, (0, 0), sigma) for sigma in XDOG_SIGMAS)
    darker = (wide - narrow).min(axis=2).clip(0, 255)
    return np.where(2 * darker > ask.a, 255, 0).astype(np.uint8)


def lineart_standard(pixels: Pixels, ask: Ask) -> Pixels:
    """Dark lines of a drawing as white ones on black, evened out by how dark lines usually are in it."""
    values = pixels.astype(np.float32)
    darker = (cv2.GaussianBlur(values, (0, 0), LINE_SIGMA) - values).min(axis=2).clip(0, 255)
    lines = darker[darker > LINE_FLOOR]
    usual = max(16.0, float(np.median(lines)) if lines.size else 16.0)
    return (darker / usual * 127).clip(0, 255).astype(np.uint8)


def shuffle(pixels: Pixels, ask: Ask) -> Pixels:
    """The picture's colours whirled about, so that only its palette is left. The same picture is whirled the same way."""
    height, width = pixels.shape[:2]
    seed = int.from_bytes(hashlib.sha256(pixels.tobytes()).digest()[:8], "big")
    source = np.random.default_rng(seed)
    across, down = (_whirl(source, height, width) for _ in range(2))
    return cv2.remap(pixels, across * (width - 1), down * (height - 1), cv2.INTER_LINEAR)


def _whirl(source: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth values between 0 and 1, (height, width) float32."""
    rough = source.random((height // SHUFFLE_PX + 2, width // SHUFFLE_PX + 2), np.float32)
    smooth = cv2.resize(rough, (width + 2 * SHUFFLE_PX, height + 2 * SHUFFLE_PX), interpolation=cv2.INTER_CUBIC)
    inner = smooth[SHUFFLE_PX : SHUFFLE_PX + height, SHUFFLE_PX : SHUFFLE_PX + width]
    low, high = float(inner.min()), float(inner.max())
    return ((inner - low) / max(high - low, 1e-6)).astype(np.float32)


def tile_resample(pixels: Pixels, ask: Ask) -> Pixels:
    """The picture, smaller by the factor a; of the size it came in when that is about 1."""
    if ask.a < NO_TILING_BELOW:
        return pixels
    height, width = pixels.shape[:2]
    size = (max(1, int(width / ask.a)), max(1, int(height / ask.a)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def luminance(pixels: Pixels, ask: Ask) -> Pixels:
    """How bright each pixel looks (L of CIE Lab), to the power a."""
    return _gamma(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[:, :, 0], ask.a)


def intensity(pixels: Pixels, ask: Ask) -> Pixels:
    """The strongest of each pixel's colours (V of HSV), to the power a."""
    return _gamma(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[:, :, 2], ask.a)


def _gamma(plane: Pixels, power: float) -> Pixels:
    return ((plane.astype(np.float32) / 255) ** power * 255).clip(0, 255).astype(np.uint8)


def colour_grid(pixels: Pixels, ask: Ask) -> Pixels:
    """Squares of 64 pixels, each in the colour of what it covers."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (max(1, width // GRID_PX), max(1, height // GRID_PX)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
