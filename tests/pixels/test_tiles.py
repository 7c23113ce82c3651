"""Tiles: every pixel covered, weights that add up to one, unchanged tiles that give the picture back bit for bit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.pixels.tiles import Assembly, Tiling, cut, join, shares, spans
from tests.pixels.test_resizing import noise


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int]:
    tile = draw(st.integers(1, 40))
    return draw(st.integers(1, 150)), tile, draw(st.integers(0, tile - 1))


@settings(max_examples=200, deadline=None)
@given(axes())
def test_spans_cover_and_overlap(axis: tuple[int, int, int]) -> None:
    length, tile, overlap = axis
    found = spans(*axis)
    assert found[0][0] == 0
    assert found[-1][1] == length
    assert all(end - begin == min(tile, length) for begin, end in found)
    assert all(before[1] - after[0] >= overlap for before, after in pairwise(found))
    assert len(found) == max(1, -(-(length - overlap) // (tile - overlap)))


@settings(max_examples=200, deadline=None)
@given(axes(), st.integers(0, 20))
def test_shares_add_up_to_one(axis: tuple[int, int, int], border: int) -> None:
    found = spans(*axis)
    total = np.zeros(axis[0])
    for (begin, end), share in zip(found, shares(found, border), strict=True):
        assert len(share) == end - begin
        assert share.min() >= 0
        total[begin:end] += share
    assert np.abs(total - 1).max() < 1e-6


@settings(max_examples=60, deadline=None)
@given(axes(), axes(), st.integers(0, 6))
def test_unchanged_tiles_give_the_picture_back(x: tuple[int, int, int], y: tuple[int, int, int], border: int) -> None:
    image = noise((min(x[0], 90), min(y[0], 90)))
    tile = max(x[1], 8), max(y[1], 8)
    tiling = Tiling(image.size, tile, min(x[2], min(tile) - 1), border)
    assert join(cut(image, tiling), tiling).tobytes() == image.tobytes()


def test_a_border_keeps_the_ends_of_a_tile_out() -> None:
    """Errors in the outer pixels of tiles, where a network lacks context, never show inside the picture."""
    image = noise((100, 70))
    tiling = Tiling(image.size, (32, 32), 12, border=4)
    spoiled = []
    for box, tile in zip(tiling.boxes, cut(image, tiling), strict=True):
        pixels = np.array(tile)
        for at, edge, limit in ((np.s_[:, :4], box[0], 0), (np.s_[:4], box[1], 0), (np.s_[:, -4:], box[2], 100), (np.s_[-4:], box[3], 70)):
            if edge != limit:
                pixels[at] = 255
        spoiled.append(Image.fromarray(pixels))
    assert join(spoiled, tiling).tobytes() == image.tobytes()


def test_a_seam_is_a_ramp() -> None:
    tiling = Tiling((28, 4), (16, 4), 4)
    left, right = Image.new("RGB", (16, 4), (0, 0, 0)), Image.new("RGB", (16, 4), (200, 200, 200))
    row = np.asarray(join([left, right], tiling))[0, :, 0].tolist()
    assert row == [0] * 12 + [25, 75, 125, 175] + [200] * 12


def test_scaled_tiles_make_the_larger_picture() -> None:
    image = noise((50, 40))
    tiling = Tiling(image.size, (24, 24), 6)
    large = [tile.resize((tile.width * 3, tile.height * 3), Image.Resampling.NEAREST) for tile in cut(image, tiling)]
    wanted = image.resize((150, 120), Image.Resampling.NEAREST)
    assert join(large, tiling.scaled(3)).tobytes() == wanted.tobytes()


def test_one_tile_for_a_small_picture() -> None:
    assert Tiling((30, 20), (192, 192), 8).boxes == [(0, 0, 30, 20)]


def test_wrong_tiles_are_refused() -> None:
    tiling = Tiling((40, 40), (32, 32), 8)
    with pytest.raises(ValueError, match="32x32"):
        Assembly(tiling).add(np.zeros((32, 31, 3), np.float32))
    with pytest.raises(ValueError, match="tiles are missing"):
        Assembly(tiling).image()
    with pytest.raises(ValueError, match="the picture is"):
        cut(noise((41, 40)), tiling)
    with pytest.raises(ValueError, match="no tiles"):
        spans(10, 4, 4)
