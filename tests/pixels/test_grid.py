"""Grids: A1111's rule for rows, and every picture in its place."""

from __future__ import annotations

import pytest
from PIL import Image

from modules.pixels.grid import BACKGROUND, grid_shape, image_grid


@pytest.mark.parametrize(
    ("count", "rows", "batch_size", "shape"),
    [
        (1, -1, 1, (1, 1)), (2, -1, 1, (1, 2)), (3, -1, 1, (2, 2)), (4, -1, 1, (2, 2)), (5, -1, 1, (2, 3)), (6, -1, 1, (2, 3)),
        (7, -1, 1, (3, 3)), (12, -1, 1, (3, 4)), (8, 0, 4, (4, 2)), (3, 0, 4, (3, 1)), (6, 1, 1, (1, 6)), (6, 4, 1, (4, 2)),
        (2, 9, 1, (2, 1)),
    ],
)  # fmt: skip
def test_shape(count: int, rows: int, batch_size: int, shape: tuple[int, int]) -> None:
    assert grid_shape(count, rows, batch_size) == shape


def test_row_by_row_on_white() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    grid = image_grid([Image.new("RGB", (10, 6), c) for c in colours])
    assert grid.size == (20, 12)
    assert [grid.getpixel(at) for at in ((5, 3), (15, 3), (5, 9), (15, 9))] == [*colours, BACKGROUND]


def test_cells_are_as_large_as_the_largest() -> None:
    grid = image_grid([Image.new("RGB", (10, 6), (0, 0, 0)), Image.new("L", (4, 12), 0)], rows=1)
    assert grid.size == (20, 12)
    assert grid.getpixel((5, 9)) == BACKGROUND
    assert grid.getpixel((11, 11)) == (0, 0, 0)


def test_a_grid_of_one_is_the_picture() -> None:
    image = Image.effect_noise((8, 8), 50).convert("RGB")
    assert image_grid([image]).tobytes() == image.tobytes()


def test_a_grid_of_none() -> None:
    with pytest.raises(ValueError, match="at least one"):
        image_grid([])
