"""`modules.images`: grids with words around them, tiles, resizing, in A1111's names. No files: saving is the caller's.

Start reading at `draw_prompt_matrix` and `split_grid`.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from modules.pixels.grid import grid_shape
from modules.pixels.resizing import ResizeMode, resize
from modules.pixels.spans import spans

if TYPE_CHECKING:
    import numpy as np


class Grid(NamedTuple):
    """tiles: rows of [top, height, [[left, width, tile], ...]]; sizes in pixels."""

    tiles: list[Any]
    tile_w: int
    tile_h: int
    image_w: int
    image_h: int
    overlap: int


ACTIVE, INACTIVE, BACKGROUND = (0, 0, 0), (153, 153, 153), (255, 255, 255)
LANCZOS = Image.Resampling.LANCZOS


class GridAnnotation:
    """Words beside a row or above a column. is_active False is struck through."""

    def __init__(self, text: str = "", is_active: bool = True) -> None:
        self.text = text
        self.is_active = is_active
        self.size: Any = None


def image_grid(imgs: list[Image.Image], batch_size: int = 1, rows: int | None = None) -> Image.Image:
    """One picture of them all, as the rule of A1111 has it: rows, or nearest to a square."""
    count, _ = grid_shape(len(imgs), -1 if rows is None else int(rows), batch_size)
    columns = math.ceil(len(imgs) / count)
    width, height = max(i.width for i in imgs), max(i.height for i in imgs)
    grid = Image.new("RGB", (columns * width, count * height), "black")
    for n, image in enumerate(imgs):
        grid.paste(image, (n % columns * width, n // columns * height))
    return grid


def draw_grid_annotations(im: Image.Image, width: int, height: int, hor_texts: Any, ver_texts: Any, margin: int = 0) -> Image.Image:
    """The grid with words above its columns (hor_texts) and left of its rows (ver_texts). width, height: of a cell; margin: between."""
    font = ImageFont.load_default(max(8, (width + height) // 25))
    line_px = math.ceil(font.size * 1.3) if isinstance(font, ImageFont.FreeTypeFont) else 12
    columns, rows = len(hor_texts), len(ver_texts)
    left = 0 if not any(note.text for row in ver_texts for note in row) else max(width * 3 // 4, 1)
    hor, ver = _wrapped(hor_texts, font, width), _wrapped(ver_texts, font, max(left, 1))
    top = max((len(lines) for lines in hor), default=0) * line_px
    top = top + line_px if any(note.text for column in hor_texts for note in column) else 0
    whole = Image.new("RGB", (left + columns * width + margin * (columns - 1), top + rows * height + margin * (rows - 1)), BACKGROUND)
    for row in range(rows):
        for column in range(columns):
            cell = im.crop((column * width, row * height, (column + 1) * width, (row + 1) * height))
            whole.paste(cell, (left + column * (width + margin), top + row * (height + margin)))
    pen = ImageDraw.Draw(whole)
    for column, lines in enumerate(hor):
        _write(pen, lines, left + column * (width + margin) + width // 2, top // 2, font, line_px)
    for row, lines in enumerate(ver):
        _write(pen, lines, left // 2, top + row * (height + margin) + height // 2, font, line_px)
    return whole


def draw_prompt_matrix(im: Image.Image, width: int, height: int, all_prompts: list[str], margin: int = 0) -> Image.Image:
    """The words of a prompt matrix: the first half of the parts along the columns, the rest down the rows; what is left out is struck."""
    parts = all_prompts[1:]
    half = math.ceil(len(parts) / 2)
    across, down = parts[:half], parts[half:]
    hor = [[GridAnnotation(text, bool(n & 1 << at)) for at, text in enumerate(across)] for n in range(1 << len(across))]
    ver = [[GridAnnotation(text, bool(n & 1 << at)) for at, text in enumerate(down)] for n in range(1 << len(down))]
    return draw_grid_annotations(im, width, height, hor, ver, margin)


def _wrapped(texts: Any, font: Any, width: int) -> list[list[tuple[str, bool]]]:
    found: list[list[tuple[str, bool]]] = []
    for notes in texts:
        lines: list[tuple[str, bool]] = []
        for note in notes:
            line = ""
            for word in str(note.text).split():
                longer = f"{line} {word}".strip()
                if line and font.getlength(longer) > width:
                    lines.append((line, note.is_active))
                    longer = word
                line = longer
            if line:
                lines.append((line, note.is_active))
        found.append(lines)
    return found


def _write(pen: ImageDraw.ImageDraw, lines: list[tuple[str, bool]], x: float, y: float, font: Any, line_px: int) -> None:
    y -= len(lines) * line_px / 2
    for text, active in lines:
        pen.text((x, y + line_px / 2), text, font=font, fill=ACTIVE if active else INACTIVE, anchor="mm")
        if not active:
            half = font.getlength(text) / 2
            pen.line((x - half, y + line_px / 2, x + half, y + line_px / 2), fill=INACTIVE, width=max(1, line_px // 10))
        y += line_px


def split_grid(image: Image.Image, tile_w: int = 512, tile_h: int = 512, overlap: int = 64) -> Grid:
    """The picture in tiles: rows of [top, height, [[left, width, tile], ...]]."""
    width, height = image.size
    across = spans(width, tile_w, min(overlap, tile_w - 1))
    rows: list[list[Any]] = []
    for top, bottom in spans(height, tile_h, min(overlap, tile_h - 1)):
        cells = [[left, tile_w, image.crop((left, top, left + tile_w, top + tile_h))] for left, _ in across]
        rows.append([top, tile_h, cells])
        del bottom
    return Grid(rows, tile_w, tile_h, width, height, overlap)


def combine_grid(grid: Any) -> Image.Image:
    """One picture of all tiles, with a ramp over what neighbours share."""
    import numpy as np

    total = np.zeros((grid.image_h, grid.image_w, 3), np.float64)
    weight = np.zeros((grid.image_h, grid.image_w, 1), np.float64)
    for row_no, (top, _, cells) in enumerate(grid.tiles):
        for column_no, (left, _, tile) in enumerate(cells):
            bottom, right = min(top + grid.tile_h, grid.image_h), min(left + grid.tile_w, grid.image_w)
            pixels = np.asarray(tile.convert("RGB"), np.float64)[: bottom - top, : right - left]
            down = _ramp([row[0] for row in grid.tiles], row_no, grid.tile_h, bottom - top)
            along = _ramp([cell[0] for cell in cells], column_no, grid.tile_w, right - left)
            share = (down[:, None] * along)[..., None]
            total[top:bottom, left:right] += pixels * share
            weight[top:bottom, left:right] += share
    return Image.fromarray(np.rint(total / np.maximum(weight, 1e-9)).clip(0, 255).astype(np.uint8))


def _ramp(begins: list[int], n: int, side: int, length: int) -> np.ndarray:
    """Weights of a tile along one axis, above 0, falling towards its neighbours."""
    import numpy as np

    at = np.arange(length) + 0.5
    found = np.ones(length)
    if n and (shared := begins[n - 1] + side - begins[n]) > 0:
        found = np.minimum(found, at / shared)
    if n + 1 < len(begins) and (shared := begins[n] + side - begins[n + 1]) > 0:
        found = np.minimum(found, (side - at) / shared)
    return np.clip(found, 1e-6, 1)


def resize_image(resize_mode: int, im: Image.Image, width: int, height: int, upscaler_name: str | None = None) -> Image.Image:
    """0 stretch, 1 crop, 2 fill."""
    return resize(im, (width, height), ResizeMode(int(resize_mode)))


def next_number(path: str, basename: str) -> int:
    """One more than the highest number that files of a folder begin with, behind "basename-" if there is one; 0 in an empty folder."""
    front = f"{basename}-" if basename else ""
    names = os.listdir(path) if os.path.isdir(path) else []
    found = [
        int(number)
        for name in names
        if name.startswith(front) and (number := name[len(front) :].partition("-")[0].partition(".")[0]).isdigit()
    ]
    return max(found, default=-1) + 1


def flatten(img: Image.Image, bgcolor: Any) -> Image.Image:
    """Without transparency, RGB."""
    if img.mode == "RGBA":
        whole = Image.new("RGBA", img.size, bgcolor)
        whole.paste(img, mask=img)
        img = whole
    return img.convert("RGB")


def fix_image(image: Any) -> Any:
    """Colours that pictures for models have: RGB or RGBA."""
    return image.convert("RGB") if image is not None and image.mode not in ("RGB", "RGBA") else image


def read_info_from_image(image: Image.Image) -> tuple[str | None, dict[str, Any]]:
    """(parameters text, other items) that a picture carries."""
    items: dict[str, Any] = {str(key): value for key, value in (image.info or {}).items()}
    return items.pop("parameters", None), items
