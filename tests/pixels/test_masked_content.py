"""Masked content: colours grow into the hole, the known pixels stay, the latent's part is told as data."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from modules.faults import RequestFault
from modules.pixels.masked_content import MASKED_CONTENT, fill, masked_content
from tests.pixels.test_mask import box_mask
from tests.pixels.test_resizing import noise


def test_the_known_pixels_stay() -> None:
    image = noise((64, 48))
    mask = box_mask(image.size, (16, 12, 48, 36))
    before, after, known = np.asarray(image), np.asarray(fill(image, mask)), np.asarray(mask) == 0
    assert np.array_equal(after[known], before[known])
    assert not np.array_equal(after[~known], before[~known])


def test_the_hole_takes_the_colours_at_its_edge() -> None:
    image = Image.new("RGB", (96, 64), (220, 30, 30))
    image.paste((30, 30, 220), (48, 0, 96, 64))
    mask = box_mask(image.size, (24, 16, 72, 48))
    image.paste((0, 255, 0), (24, 16, 72, 48))
    after = fill(image, mask)
    left, right, middle = after.getpixel((26, 32)), after.getpixel((69, 32)), after.getpixel((48, 32))
    assert left[0] > 180 > 90 > left[2]
    assert right[2] > 180 > 90 > right[0]
    assert min(middle[0], middle[2]) > 60
    assert np.asarray(after)[..., 1].max() < 60, "the green under the mask must not come through"


def test_what_no_blur_reaches_gets_the_mean() -> None:
    image = Image.new("RGB", (1800, 8), (0, 0, 0))
    image.paste((90, 60, 30), (0, 0, 4, 8))
    after = fill(image, box_mask(image.size, (4, 0, 1800, 8)))
    assert after.getpixel((1790, 4)) == (90, 60, 30)


def test_nothing_known_is_black() -> None:
    assert fill(noise((16, 16)), Image.new("L", (16, 16), 255)).getcolors() == [(256, (0, 0, 0))]


def test_the_rows_are_those_of_the_api() -> None:
    assert [row.label for row in MASKED_CONTENT] == ["fill", "original", "latent noise", "latent nothing"]
    assert [row.latent for row in MASKED_CONTENT] == ["keep", "keep", "noise", "zero"]
    assert [row.fills for row in MASKED_CONTENT] == [True, False, True, True]
    assert masked_content(2) is masked_content("Latent noise") is MASKED_CONTENT[2]
    with pytest.raises(RequestFault, match="inpainting_fill"):
        masked_content(4)
