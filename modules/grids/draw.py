"""The picture of a grid: cells with the values beside them, margins, and grids beside each other for Z.

Knows pixels and words; knows nothing about jobs or files. Start reading at `framed`, then `draw_sheet`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from PIL import Image, ImageDraw, ImageFont

from modules.grids.canvas import Frame, Sheet
from modules.pixels.grid import BACKGROUND

INK, BLANK = (0, 0, 0), (236, 236, 236)
SMALLEST_PX = 8
LINE = 1.3
Words = Sequence[Sequence[str]]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Picture = Callable[[int, int, int], Image.Image | None]


def framed(frame: Frame, words: Words, *, legend: bool) -> Frame:
    """The frame with room for its words: of columns, rows and grids. Without a legend there is none."""
    if not legend:
        return frame
    width, height = frame.cell
    font, line = _font(width, height)
    left = width * 3 // 4 if any(words[1]) else 0
    top = _tallest(words[0], font, width) * line + line // 2 if any(words[0]) else 0
    part = replace(frame, left=left, top=top).part[0]
    over = _tallest(words[2], font, part) * line + line // 2 if any(words[2]) else 0
    return replace(frame, left=left, top=top, over=over)


def draw_sheet(frame: Frame, sheet: Sheet, words: Words, picture: Picture) -> Image.Image:
    """One file of a grid, RGB. words: of all columns, rows and grids; picture(x, y, z): of a cell, None for one that was not made.

    A picture smaller than a cell stands in its middle.
    """
    own = replace(frame, shape=(len(sheet.columns), len(sheet.rows), len(sheet.grids)))
    whole = Image.new("RGB", own.size, BACKGROUND)
    pen = ImageDraw.Draw(whole)
    font, line = _font(*frame.cell)
    width, height = frame.cell
    for iz, z in enumerate(sheet.grids):
        left, _ = own.at(0, 0, iz)
        if frame.over:
            _write(pen, words[2][z], (left - frame.left + own.part[0] / 2, frame.over / 2), font, line, own.part[0])
        for ix, x in enumerate(sheet.columns if frame.top else ()):
            _write(pen, words[0][x], (own.at(ix, 0, iz)[0] + width / 2, frame.over + frame.top / 2), font, line, width)
        for iy, y in enumerate(sheet.rows if frame.left else ()):
            _write(pen, words[1][y], (left - frame.left / 2, own.at(0, iy, iz)[1] + height / 2), font, line, frame.left)
    for iz, z in enumerate(sheet.grids):  # pictures last: no word may lie on one
        for iy, y in enumerate(sheet.rows):
            for ix, x in enumerate(sheet.columns):
                _place(whole, pen, picture(x, y, z), own.at(ix, iy, iz), frame.cell)
    return whole


def _place(whole: Image.Image, pen: ImageDraw.ImageDraw, image: Image.Image | None, at: tuple[int, int], cell: tuple[int, int]) -> None:
    left, top = at
    if image is None:
        pen.rectangle((left, top, left + cell[0] - 1, top + cell[1] - 1), fill=BLANK)
        return
    whole.paste(image, (left + (cell[0] - image.width) // 2, top + (cell[1] - image.height) // 2))


def _font(width: int, height: int) -> tuple[Font, int]:
    """(the font for cells of this size, height of a line in pixels)."""
    size = max(SMALLEST_PX, (width + height) // 25)
    return ImageFont.load_default(size), math.ceil(size * LINE)


def _tallest(words: Sequence[str], font: Font, width: int) -> int:
    return max((len(wrapped(text, font, width)) for text in words), default=0)


def wrapped(text: str, font: Font, width: int) -> list[str]:
    """The text in lines of at most so many pixels, broken between words, and inside those that are too long by themselves."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                lines.append(line)
                longer = word
            while len(longer) > 1 and font.getlength(longer) > width:
                fits = max(1, int(len(longer) * width / font.getlength(longer)))
                lines.append(longer[:fits])
                longer = longer[fits:]
            line = longer
        if line:
            lines.append(line)
    return lines


def _write(pen: ImageDraw.ImageDraw, text: str, middle: tuple[float, float], font: Font, line: int, width: float) -> None:
    """Lines around a point."""
    lines = wrapped(text, font, int(width))
    x, y = middle[0], middle[1] - (len(lines) - 1) * line / 2
    for n, words in enumerate(lines):
        pen.text((x, y + n * line), words, font=font, fill=INK, anchor="mm")
