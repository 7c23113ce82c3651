"""A picture with words under it, for samples of a training that gives words. Start reading at `captioned`."""

from __future__ import annotations

import textwrap

from PIL import Image, ImageDraw, ImageFont

SIDE_PX = 256
SIZE_PX = 15


def captioned(image: Image.Image, text: str) -> Image.Image:
    """The picture (RGB, any size) brought to 256 px with the text under it; signs that the font lacks are boxes."""
    font = ImageFont.load_default(SIZE_PX)
    lines = textwrap.wrap(text, width=SIDE_PX // 8) or [""]
    line_px = SIZE_PX + 5
    shown = image.convert("RGB")
    shown.thumbnail((SIDE_PX, SIDE_PX))
    made = Image.new("RGB", (SIDE_PX, SIDE_PX + line_px * len(lines) + 6), "white")
    made.paste(shown, ((SIDE_PX - shown.width) // 2, (SIDE_PX - shown.height) // 2))
    draw = ImageDraw.Draw(made)
    for number, line in enumerate(lines):
        draw.text((4, SIDE_PX + 3 + number * line_px), line, fill="black", font=font)
    return made
