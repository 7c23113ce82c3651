"""Picture files for the tests of Extras."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

PARAMETERS = "a red apple, 3d\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, CFG scale: 4, Seed: 5, Size: 40x30"


def noise(width: int = 40, height: int = 30, *, mode: str = "RGB", seed: int = 0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (height, width, bands), np.uint8)
    return Image.fromarray(values[..., 0] if bands == 1 else values, mode)


def data_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_text(image: Image.Image, **items: str) -> bytes:
    """A PNG that carries these text chunks."""
    info = PngImagePlugin.PngInfo()
    for key, text in items.items():
        info.add_text(key, text)
    return data_of(image, pnginfo=info)
