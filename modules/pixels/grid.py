"""Several pictures as one: the grid that stands in front of a batch. Knows no files and no settings. Start at `image_grid`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

BACKGROUND = (255, 255, 255)


def grid_shape(count: int, rows: int = -1, batch_size: int = 1) -> tuple[int, int]:
    """(rows, columns) for count pictures, count >= 1. rows: -1 nearest to a square, 0 as many as the batch size, else as given.

    There are never more rows than pictures. Source: A1111 1.10's setting n_rows.
    """
    wanted = rows if rows > 0 else batch_size if rows == 0 else round(math.sqrt(count))
    wanted = max(1, min(wanted, count))
    return wanted, math.ceil(count / wanted)


def image_grid(images: Sequence[Image.Image], *, rows: int = -1, batch_size: int = 1) -> Image.Image:
    """One RGB picture of them all, row by row on white; every cell is as large as the largest. Raises ValueError for none."""
    if not images:
        raise ValueError("a grid needs at least one picture")
    n_rows, n_columns = grid_shape(len(images), rows, batch_size)
    width, height = max(i.width for i in images), max(i.height for i in images)
    grid = Image.new("RGB", (n_columns * width, n_rows * height), BACKGROUND)
    for n, image in enumerate(images):
        grid.paste(image, (n % n_columns * width, n // n_columns * height))
    return grid
