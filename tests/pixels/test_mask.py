"""Masks: what counts as one, how far a blur reaches, what the latent sees, what a sketch paints."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.pixels.mask import (
    binary,
    blend_sketch,
    blur,
    blur_reach_px,
    invert,
    is_blank,
    latent_mask,
    overlay_mask,
    read_mask,
    sketch_mask,
)


def box_mask(size: tuple[int, int], box: tuple[int, int, int, int], value: int = 255) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(value, box)
    return mask


def test_real_transparency_is_the_mask() -> None:
    image = Image.new("RGBA", (3, 1), (255, 255, 255, 255))
    for x, alpha in enumerate((128, 129, 0)):
        image.putpixel((x, 0), (10, 10, 10, alpha))
    assert list(read_mask(image).tobytes()) == [0, 255, 0]
    assert list(read_mask(image, rounded=False).tobytes()) == [128, 129, 0]


def test_an_opaque_picture_means_its_brightness() -> None:
    image = Image.new("RGBA", (2, 1), (100, 100, 100, 255))
    image.putpixel((1, 0), (255, 255, 255, 255))
    assert list(read_mask(image).tobytes()) == [100, 255]
    assert list(read_mask(image.convert("RGB")).tobytes()) == [100, 255]
    assert list(read_mask(Image.new("1", (2, 1), 1)).tobytes()) == [255, 255]


def test_a_palette_with_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = 0
    assert list(read_mask(image).tobytes()) == [0, 255]


def test_binary_and_invert() -> None:
    ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
    assert list(binary(ramp).tobytes()) == [0] * 129 + [255] * 127
    assert invert(ramp).tobytes() == bytes(range(255, -1, -1))


@pytest.mark.parametrize(("sigma", "reach"), [(0, 0), (0.1, 0), (1, 3), (4, 10), (64, 160), (2.3, 6)])
def test_reach_is_the_kernel_rule_of_a1111(sigma: float, reach: int) -> None:
    assert blur_reach_px(sigma) == reach


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_blur_changes_nothing_beyond_its_reach(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(8, 80)), data.draw(st.integers(8, 80))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    sigma_x, sigma_y = data.draw(st.sampled_from([0, 0.5, 1, 4])), data.draw(st.sampled_from([0, 0.5, 1, 4]))
    mask = box_mask((width, height), (left, top, right, bottom))
    blurred = blur(mask, sigma_x, sigma_y)
    reach_x, reach_y = blur_reach_px(sigma_x), blur_reach_px(sigma_y)
    near = box_mask(mask.size, (max(0, left - reach_x), max(0, top - reach_y), right + reach_x, bottom + reach_y))
    values = np.asarray(blurred)
    assert not values[np.asarray(near) == 0].any()
    if sigma_x == sigma_y == 0:
        assert blurred.tobytes() == mask.tobytes()


def test_a_blur_is_a_gaussian() -> None:
    """Against the formula, for a single row: sampled Gaussian of that many taps, normalised."""
    mask = box_mask((101, 3), (50, 0, 101, 3))
    sigma = 4.0
    taps = np.exp(-0.5 * (np.arange(-10, 11) / sigma) ** 2)
    wanted = np.convolve(np.pad(np.asarray(mask)[1].astype(float), 10, mode="reflect"), taps / taps.sum(), mode="valid")
    assert np.abs(np.asarray(blur(mask, sigma, 0))[1] - wanted).max() <= 1
    assert np.array_equal(np.asarray(blur(mask.transpose(Image.Transpose.TRANSPOSE), 0, sigma)).T, np.asarray(blur(mask, sigma, 0)))


def test_the_overlay_is_twice_as_strong() -> None:
    ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
    assert list(overlay_mask(ramp).tobytes()) == [min(255, 2 * v) for v in range(256)]


def test_blank() -> None:
    assert is_blank(Image.new("L", (4, 4)))
    assert not is_blank(box_mask((4, 4), (3, 3, 4, 4), 1))


def test_the_latent_mask_is_one_where_it_paints() -> None:
    mask = box_mask((64, 32), (32, 0, 64, 32))
    values = latent_mask(mask, (8, 4))
    assert values.shape == (4, 8)
    assert values.dtype == np.float32
    assert np.array_equal(values, np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 4, axis=0))
    soft = latent_mask(blur(mask, 8, 8), (8, 4), rounded=False)
    assert ((soft > 0) & (soft < 1)).any()
    assert set(np.unique(latent_mask(blur(mask, 8, 8), (8, 4)))) == {0, 1}


def test_a_sketch_paints_where_it_was_drawn() -> None:
    original = Image.effect_noise((32, 32), 40).convert("RGB")
    sketch = original.copy()
    sketch.paste((255, 0, 0), (8, 8, 16, 16))
    assert sketch_mask(original, sketch).tobytes() == box_mask((32, 32), (8, 8, 16, 16)).tobytes()
    faint = original.copy()
    red, green, blue = np.asarray(original)[4, 3].tolist()
    faint.putpixel((3, 4), (red, green, blue ^ 1))
    assert sketch_mask(original, faint).getbbox() == (3, 4, 4, 5)


def test_sketch_transparency_weakens_mask_and_drawing() -> None:
    original = Image.new("RGB", (32, 32), (0, 0, 0))
    sketch = original.copy()
    sketch.paste((200, 200, 200), (8, 8, 24, 24))
    blended, mask = blend_sketch(original, sketch, transparency=50)
    assert mask.getpixel((16, 16)) == 127
    assert blended.getpixel((16, 16))[0] == pytest.approx(100, abs=1)
    full, _ = blend_sketch(original, sketch)
    assert full.tobytes() == sketch.tobytes()
    gone, mask = blend_sketch(original, sketch, transparency=100, blur_px=2)
    assert gone.tobytes() == original.tobytes()
    assert is_blank(mask)
