"""Resize modes: sizes to the pixel, shape kept where it must be, edges repeated where A1111 repeats them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.faults import RequestFault
from modules.pixels.resizing import LANCZOS, RESIZE_MODES, ResizeMode, fitted_size, resize, resize_by, resize_mode

SIDE = st.integers(1, 60)
SIZE = st.tuples(SIDE, SIDE)


def noise(size: tuple[int, int], seed: int = 0, mode: str = "RGB") -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), np.uint8)
    return Image.fromarray(values[..., 0] if channels == 1 else values, mode)


@settings(max_examples=200, deadline=None)
@given(SIZE, SIZE, st.sampled_from(list(ResizeMode)), st.sampled_from(["RGB", "L", "RGBA"]))
def test_every_mode_gives_the_size_asked_for(source: tuple[int, int], size: tuple[int, int], mode: ResizeMode, colours: str) -> None:
    result = resize(noise(source, mode=colours), size, mode)
    assert (result.size, result.mode) == (size, colours)


@pytest.mark.parametrize("mode", list(ResizeMode))
def test_the_same_size_changes_no_pixel(mode: ResizeMode) -> None:
    image = noise((37, 21))
    result = resize(image, image.size, mode)
    assert result.tobytes() == image.tobytes()
    assert result is not image


@settings(max_examples=200, deadline=None)
@given(SIZE, SIZE)
def test_fitted_sizes_touch_the_frame_and_keep_the_shape(source: tuple[int, int], size: tuple[int, int]) -> None:
    around, inside = fitted_size(source, size, cover=True), fitted_size(source, size, cover=False)
    assert around[0] >= size[0]
    assert around[1] >= size[1]
    assert inside[0] <= size[0]
    assert inside[1] <= size[1]
    for fitted in (around, inside):
        assert fitted[0] == size[0] or fitted[1] == size[1]
        exact = size[0] * source[1] / source[0] if fitted[0] == size[0] else size[1] * source[0] / source[1]
        other = fitted[1] if fitted[0] == size[0] else fitted[0]
        assert fitted == size or abs(other - exact) < 1 or (other == 1 and exact < 1)


def test_crop_and_resize_keeps_the_middle() -> None:
    image = noise((60, 20))
    assert resize(image, (20, 20), ResizeMode.CROP).tobytes() == image.crop((20, 0, 40, 20)).tobytes()
    tall = noise((20, 61))
    assert resize(tall, (20, 20), ResizeMode.CROP).tobytes() == tall.crop((0, 20, 20, 40)).tobytes()


@pytest.mark.parametrize(("size", "box"), [((40, 20), (10, 0, 30, 20)), ((20, 45), (0, 12, 20, 32)), ((41, 20), (10, 0, 30, 20))])
def test_resize_and_fill_repeats_the_outer_row(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    image = noise((20, 20))
    result = np.asarray(resize(image, size, ResizeMode.FILL))
    left, top, right, bottom = box
    pixels = np.asarray(image)
    assert np.array_equal(result[top:bottom, left:right], pixels)
    wanted = np.pad(pixels, ((top, size[1] - bottom), (left, size[0] - right), (0, 0)), mode="edge")
    assert np.array_equal(result, wanted)


def test_an_upscaler_goes_first_only_where_the_picture_grows() -> None:
    asked: list[float] = []

    def enlarge(image: Image.Image, factor: float) -> Image.Image:
        asked.append(factor)
        return image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST)

    image = noise((20, 10))
    grown = resize(image, (50, 40), enlarge=enlarge)
    assert asked == [4.0]
    assert grown.tobytes() == image.resize((80, 40), Image.Resampling.NEAREST).resize((50, 40), LANCZOS).tobytes()
    assert resize(image, (10, 5), enlarge=enlarge).size == (10, 5)
    assert resize(image.convert("L"), (50, 40), enlarge=enlarge).tobytes() == image.convert("L").resize((50, 40), LANCZOS).tobytes()
    assert asked == [4.0]


def test_transparency_does_not_bleed() -> None:
    """Colours under full transparency do not show at the edge after resizing."""
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (4, 0, 8, 8))
    pixels = np.asarray(resize(image, (16, 16)))
    assert pixels[..., 0][pixels[..., 3] > 8].max() == 0


def test_modes_are_known_by_number_and_label() -> None:
    for mode, label in RESIZE_MODES.items():
        assert resize_mode(int(mode)) is mode is resize_mode(label.upper()) is resize_mode(str(int(mode)))
    with pytest.raises(RequestFault, match="resize_mode"):
        resize_mode(4)


def test_resize_by() -> None:
    assert resize_by((511, 333), 1.5) == (766, 499)
    assert resize_by((3, 3), 0.05) == (1, 1)
    with pytest.raises(RequestFault, match="greater than 0"):
        resize_by((10, 10), float("nan"))


def test_no_size_at_all() -> None:
    with pytest.raises(ValueError, match="0x5"):
        resize(noise((5, 5)), (0, 5))
