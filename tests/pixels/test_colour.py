"""Colour correction: against scikit-image's histogram matching and the formulas of the W3C's luminosity blend."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.exposure import match_histograms

from modules.pixels.colour import match_colours, match_histogram, with_luminosity
from tests.pixels.test_resizing import noise

LUMA = np.array((0.3, 0.59, 0.11))


@pytest.mark.parametrize("seed", range(8))
def test_histograms_match_as_in_scikit_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channel = rng.integers(0, 256, (31, 17), np.uint8) >> rng.integers(0, 4)
    reference = (rng.normal(rng.uniform(50, 200), 30, (23, 40)).clip(0, 255)).astype(np.uint8)
    assert np.array_equal(match_histogram(channel, reference), match_histograms(channel, reference).astype(np.uint8))


def test_a_picture_matched_to_itself_hardly_changes() -> None:
    image = Image.effect_noise((64, 64), 60).convert("RGB")
    assert np.abs(np.asarray(match_colours(image, image)).astype(int) - np.asarray(image)).max() <= 3


def test_colours_of_the_reference_brightness_of_the_picture() -> None:
    ramp = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    reference = Image.new("RGB", (20, 20), (200, 60, 40))
    reference.paste((140, 40, 30), (0, 0, 20, 10))
    result = np.asarray(match_colours(ramp, reference)).astype(float)
    assert np.abs(result @ LUMA - np.asarray(ramp).astype(float) @ LUMA).max() <= 2
    middle = result[20:44]
    assert (middle[..., 0] > middle[..., 2] + 20).all()


def test_luminosity_is_the_foregrounds() -> None:
    rng = np.random.default_rng(1)
    coloured, bright = (rng.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(2))
    result = with_luminosity(coloured, bright).astype(float)
    assert np.abs(result @ LUMA - bright.astype(float) @ LUMA).max() <= 1


def test_black_and_white_stay_finite() -> None:
    for value in (0, 255):
        flat = np.full((4, 4, 3), value, np.uint8)
        assert np.array_equal(with_luminosity(flat, flat), flat)
        result = with_luminosity(noise_pixels(), flat).astype(int)
        assert np.abs(result - value).max() <= 1


def noise_pixels() -> np.ndarray:
    return np.asarray(noise((4, 4)))
