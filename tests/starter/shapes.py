"""A drawing of plain shapes, and how far two pictures are from each other."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw


def shapes(side: int) -> Image.Image:
    """A face with a hat on a coloured ground, drawn at four times its size."""
    big = side * 4
    image = Image.new("RGB", (big, big), (72, 170, 80))
    draw = ImageDraw.Draw(image)

    def at(*box: float) -> list[float]:
        return [value * big for value in box]

    draw.ellipse(at(0.15, 0.2, 0.85, 0.9), fill=(250, 214, 60))
    draw.polygon(at(0.25, 0.3, 0.5, 0.04, 0.75, 0.3), fill=(214, 48, 49))
    for x in (0.36, 0.58):
        draw.ellipse(at(x, 0.42, x + 0.07, 0.54), fill=(40, 30, 20))
    draw.arc(at(0.32, 0.45, 0.68, 0.78), 20, 160, fill=(40, 30, 20), width=round(0.025 * big))
    return image.resize((side, side), Image.Resampling.LANCZOS)


def distance_db(made: Image.Image, wanted: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB."""
    a, b = (np.asarray(image.convert("RGB"), np.float64) / 255 for image in (made, wanted))
    return float(-10 * np.log10(((a - b) ** 2).mean()))
