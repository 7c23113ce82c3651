"""Inpainting's way out and back: the right place for random masks and sizes, and not a bit changed outside the blur band."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from modules.pixels.crop import padded, paste_back, region, widened
from modules.pixels.mask import blur_reach_px
from modules.pixels.masked_content import MASKED_CONTENT
from modules.pixels.repaint import BLANK, Prepared, Repainting, finish, mask_composite, prepare
from modules.pixels.resizing import ResizeMode, resize
from tests.pixels.test_mask import box_mask
from tests.pixels.test_resizing import noise

RED = (255, 0, 0)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Image.Image, Image.Image, Repainting]:
    """A picture, a mask of one to three shapes, and what is asked with "only masked"."""
    width, height = draw(st.integers(16, 200)), draw(st.integers(16, 200))
    mask = Image.new("L", (width, height))
    for _ in range(draw(st.integers(1, 3))):
        left, top = draw(st.integers(0, width - 4)), draw(st.integers(0, height - 4))
        corner = draw(st.integers(left + 3, width - 1)), draw(st.integers(top + 3, height - 1))
        shape = draw(st.sampled_from([ImageDraw.ImageDraw.rectangle, ImageDraw.ImageDraw.ellipse]))
        shape(ImageDraw.Draw(mask), (left, top, *corner), fill=255)
    sigma = draw(st.sampled_from([0, 1, 4]))
    size = draw(st.integers(2, 20)) * 8, draw(st.integers(2, 20)) * 8
    padding = draw(st.sampled_from([0, 4, 32]))
    return noise((width, height), draw(st.integers(0, 9))), mask, Repainting(
        size=size, only_masked=True, padding_px=padding, blur_x=sigma, blur_y=sigma
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(scenes())
def test_only_masked_changes_nothing_outside_the_blur_band(scene: tuple[Image.Image, Image.Image, Repainting]) -> None:
    image, mask, asked = scene
    prepared = prepare(image, mask, asked)
    assert prepared.image.size == prepared.mask.size == asked.size
    result = finish(Image.new("RGB", asked.size, RED), prepared).image
    assert result.size == image.size
    before, after, painted = np.asarray(image), np.asarray(result), np.asarray(prepared.overlay_mask)
    assert np.array_equal(after[painted == 0], before[painted == 0])
    assert (after[painted == 255] == RED).all()
    reach = blur_reach_px(asked.blur_x)
    left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
    band = np.asarray(box_mask(image.size, (max(0, left - reach), max(0, top - reach), right + reach, bottom + reach)))
    assert np.array_equal(after[band == 0], before[band == 0])


@settings(max_examples=200, deadline=None)
@given(scenes(), st.integers(0, 2**31))
def test_only_masked_pastes_back_at_the_right_place(scene: tuple[Image.Image, Image.Image, Repainting], seed: int) -> None:
    """A mark drawn into the cut-out at a point of it comes out at that point of the whole picture, to a pixel of the coarser grid."""
    image, mask, asked = scene
    prepared = prepare(image, mask, asked)
    left, top, right, bottom = prepared.box or (0, 0, 0, 0)
    scale = min(asked.size[0] / (right - left), asked.size[1] / (bottom - top))
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(left, right), rng.uniform(top, bottom)
    at_x = (x - (left + right) / 2) * scale + asked.size[0] / 2
    at_y = (y - (top + bottom) / 2) * scale + asked.size[1] / 2
    spread = 3 * max(1.0, scale)  # wide enough to be seen on both grids
    xs, ys = np.arange(asked.size[0]) + 0.5, np.arange(asked.size[1]) + 0.5
    bump = np.exp(-0.5 * (((xs[None] - at_x) / spread) ** 2 + ((ys[:, None] - at_y) / spread) ** 2))
    drawn = Image.fromarray(np.rint(bump * 255).astype(np.uint8)).convert("RGB")
    black = Prepared(image=prepared.image, size=prepared.size, original=Image.new("RGB", image.size), box=prepared.box)
    result = np.asarray(finish(drawn, black).image.convert("L")).astype(float)
    spread /= scale
    xs, ys = np.arange(image.width) + 0.5, np.arange(image.height) + 0.5
    wanted = 255 * np.exp(-0.5 * (((xs[None] - x) / spread) ** 2 + ((ys[:, None] - y) / spread) ** 2))
    inside = np.zeros(wanted.shape, bool)
    inside[top + 1 : bottom - 1, left + 1 : right - 1] = True
    pixel = max(1.0, 1 / scale)  # of the coarser grid, in pixels of the picture
    slope = 255 * 0.607 / spread  # steepest slope of the mark, levels a pixel
    allowed = 1.1 * pixel * slope + 6
    assert np.abs(result - wanted)[inside].max(initial=0) <= allowed


@settings(max_examples=200, deadline=None)
@given(scenes())
def test_regions_hold_the_mask_and_have_the_shape(scene: tuple[Image.Image, Image.Image, Repainting]) -> None:
    _, mask, asked = scene
    box = region(mask, asked.padding_px, asked.size)
    tight = padded(mask.getbbox(), asked.padding_px, mask.size)
    assert box[0] <= tight[0]
    assert box[1] <= tight[1]
    assert box[2] >= tight[2]
    assert box[3] >= tight[3]
    assert box[0] >= 0
    assert box[1] >= 0
    assert box[2] <= mask.width
    assert box[3] <= mask.height
    width, height = box[2] - box[0], box[3] - box[1]
    fits_wide = abs(width - height * asked.size[0] / asked.size[1]) <= 1
    fits_high = abs(height - width * asked.size[1] / asked.size[0]) <= 1
    assert fits_wide or fits_high or width == mask.width or height == mask.height


@pytest.mark.parametrize(
    ("box", "shape", "limits", "wanted"),
    [
        ((40, 40, 60, 60), (1, 1), (100, 100), (40, 40, 60, 60)),
        ((40, 40, 60, 50), (1, 1), (100, 100), (40, 35, 60, 55)),
        ((40, 0, 60, 10), (1, 1), (100, 100), (40, 0, 60, 20)),
        ((40, 90, 60, 100), (1, 1), (100, 100), (40, 80, 60, 100)),
        ((0, 40, 10, 60), (2, 1), (100, 100), (0, 40, 40, 60)),
        ((0, 10, 100, 20), (1, 1), (100, 30), (0, 0, 100, 30)),
        ((3, 3, 6, 4), (1, 1), (100, 100), (3, 2, 6, 5)),
    ],
)
def test_widened(
    box: tuple[int, int, int, int], shape: tuple[int, int], limits: tuple[int, int], wanted: tuple[int, int, int, int]
) -> None:
    assert widened(box, shape, limits) == wanted


@settings(max_examples=60, deadline=None)
@given(scenes(), st.sampled_from(list(ResizeMode)), st.sampled_from(MASKED_CONTENT[:2]))
def test_whole_picture_keeps_what_is_not_masked(scene, mode: ResizeMode, content) -> None:
    image, mask, asked = scene
    asked = Repainting(size=asked.size, resize_mode=mode, blur_x=asked.blur_x, blur_y=asked.blur_y, masked_content=content)
    prepared = prepare(image, mask, asked)
    result = finish(Image.new("RGB", asked.size, RED), prepared).image
    kept = np.asarray(prepared.overlay_mask) == 0
    assert result.size == asked.size == prepared.mask.size
    assert np.array_equal(np.asarray(result)[kept], np.asarray(resize(image, asked.size, mode))[kept])
    assert prepared.image.size == (image.size if mode is ResizeMode.LATENT else asked.size)
    drawn = np.asarray(prepared.mask)
    assert np.array_equal(np.asarray(prepared.overlay_mask), np.minimum(drawn.astype(int) * 2, 255))


def test_nothing_painted_when_nothing_changes() -> None:
    """At the crop's own size, the way out and back is the identity, bit for bit."""
    image = noise((96, 80))
    mask = box_mask(image.size, (20, 30, 36, 46))
    prepared = prepare(image, mask, Repainting(size=(16, 16), only_masked=True, blur_x=0, blur_y=0))
    assert prepared.box == (20, 30, 36, 46)
    assert finish(prepared.image, prepared).image.tobytes() == image.tobytes()
    assert prepared.image.tobytes() == image.crop(prepared.box).tobytes()


def test_a_blank_mask_with_only_masked_is_img2img_and_says_so() -> None:
    image = noise((40, 30))
    prepared = prepare(image, Image.new("L", image.size), Repainting(size=(32, 32), only_masked=True))
    assert (prepared.mask, prepared.overlay_mask, prepared.box, prepared.notes) == (None, None, None, (BLANK,))
    drawn = noise((32, 32), 5)
    assert finish(drawn, prepared).image.tobytes() == drawn.tobytes()


def test_a_blank_mask_over_the_whole_picture_gives_the_picture_back() -> None:
    image = noise((32, 32))
    prepared = prepare(image, Image.new("L", image.size), Repainting(size=(32, 32), masked_content=MASKED_CONTENT[0]))
    assert prepared.image.tobytes() == image.tobytes()
    assert finish(noise((32, 32), 5), prepared).image.tobytes() == image.tobytes()


def test_an_inverted_mask_paints_the_rest() -> None:
    image = noise((32, 32))
    mask = box_mask(image.size, (8, 8, 24, 24))
    prepared = prepare(image, mask, Repainting(size=(32, 32), inverted=True, blur_x=0, blur_y=0))
    result = finish(Image.new("RGB", (32, 32), RED), prepared).image
    assert result.crop((8, 8, 24, 24)).tobytes() == image.crop((8, 8, 24, 24)).tobytes()
    assert result.getpixel((7, 8)) == RED


def test_a_mask_of_another_size_is_stretched_with_a_note() -> None:
    image = noise((64, 64))
    mask = box_mask((32, 32), (8, 8, 16, 16))
    prepared = prepare(image, mask, Repainting(size=(64, 64), only_masked=True, blur_x=0, blur_y=0))
    assert prepared.overlay_mask.size == image.size
    assert "32x32 and 64x64" in prepared.notes[0]
    assert prepared.box == (15, 15, 33, 33)


def test_a_picture_decoded_smaller_than_asked_still_fits() -> None:
    """500 px is 62 latent cells, which decode to 496 px."""
    image = noise((500, 500))
    prepared = prepare(image, box_mask(image.size, (0, 0, 100, 100)), Repainting(size=(500, 500)))
    assert finish(Image.new("RGB", (496, 496), RED), prepared).image.size == (500, 500)


def test_a_stretched_mask_does_not_ring() -> None:
    """One pixel of the old grid beyond its edge, a stretched mask is black: nothing there is repainted."""
    mask = box_mask((32, 32), (8, 8, 16, 16))
    prepared = prepare(noise((64, 64)), mask, Repainting(size=(128, 128), resize_mode=ResizeMode.CROP, blur_x=0, blur_y=0))
    assert prepared.mask.getbbox() == (30, 30, 66, 66)


def test_without_overlay_the_whole_painted_part_stays() -> None:
    image = noise((64, 64))
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((16, 16, 47, 47), fill=255)
    prepared = prepare(image, mask, Repainting(size=(32, 32), only_masked=True, blur_x=0, blur_y=0))
    result = finish(Image.new("RGB", (32, 32), RED), prepared, overlay=False).image
    assert result.getpixel((16, 16)) == RED  # a corner of the crop, outside the ellipse
    assert result.getpixel((15, 15)) == image.getpixel((15, 15))


def test_colours_are_corrected_towards_what_was_sent() -> None:
    image = Image.new("RGB", (32, 32), (200, 40, 40))
    image.paste((180, 60, 50), (0, 0, 16, 32))
    drawn = Image.new("RGB", (32, 32), (40, 40, 200))
    drawn.paste((60, 60, 180), (0, 0, 16, 32))
    prepared = prepare(image, None, Repainting(size=(32, 32)))
    red, _, blue = np.asarray(finish(drawn, prepared, colour_correction=True).image)[5, 20].tolist()
    assert red > blue
    assert finish(drawn, prepared).image.tobytes() == drawn.tobytes()


def test_mask_composite_shows_only_what_was_painted() -> None:
    image = noise((32, 32))
    prepared = prepare(image, box_mask(image.size, (8, 8, 24, 24)), Repainting(size=(32, 32), blur_x=0, blur_y=0))
    finished = finish(Image.new("RGB", (32, 32), RED), prepared)
    shown = mask_composite(finished, prepared)
    assert shown.getpixel((10, 10)) == (*RED, 255)
    assert shown.getpixel((0, 0))[3] == 0
    assert mask_composite(finished, prepare(image, None, Repainting(size=(32, 32)))) is None


def test_the_picture_pasted_onto_stays_as_it_was() -> None:
    onto = noise((20, 20))
    before = onto.tobytes()
    paste_back(Image.new("RGB", (8, 8), RED), (2, 2, 6, 6), onto)
    assert onto.tobytes() == before
