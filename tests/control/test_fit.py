"""How control pictures come to the size of a run, and at which resolution a map suits it."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from modules.control.fit import edge_colour, fit, is_binary, map_size, padding, pixel_perfect
from modules.faults import RequestFault
from modules.request.control import CROP, FILL, JUST_RESIZE, RESIZE_MODES


@pytest.mark.parametrize(
    ("size", "target", "mode", "resolution"),
    [
        ((1000, 500), (512, 512), CROP, 512),  # the shorter side grows to cover it
        ((1000, 500), (512, 512), FILL, 256),  # the whole picture fits in
        ((1000, 500), (512, 512), JUST_RESIZE, 512),
        ((300, 400), (768, 512), CROP, 768),
        ((300, 400), (768, 512), FILL, 384),
        ((512, 512), (512, 512), CROP, 512),
    ],
)
def test_one_pixel_of_the_map_is_one_of_the_run(size: tuple[int, int], target: tuple[int, int], mode: str, resolution: int):
    assert pixel_perfect(size, target, mode) == resolution


def test_a_map_has_the_pictures_shape():
    assert map_size((1920, 1080), 512) == (910, 512)
    assert map_size((100, 300), 64) == (64, 192)
    assert map_size((2, 16000), 2048) == (1, 8192), "a strip does not become a map without end"
    assert padding((910, 512)) == (50, 0)
    assert padding((64, 192)) == (0, 0)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("kind", ["RGB", "L"])
def test_every_way_ends_at_the_size_of_the_run(mode: str, kind: str):
    image = Image.linear_gradient("L").resize((90, 40)).convert(kind)
    found = fit(image, (64, 128), mode)
    assert found.size == (64, 128)
    assert found.mode == kind


def test_filling_takes_the_usual_colour_of_the_edge():
    image = Image.new("RGB", (40, 20), (10, 60, 200))
    ImageDraw.Draw(image).rectangle((15, 5, 25, 15), fill=(255, 255, 255))
    image.putpixel((0, 0), (255, 0, 0))
    assert edge_colour(image) == (10, 60, 200)
    found = fit(image, (40, 40), FILL)
    assert found.getpixel((20, 2)) == (10, 60, 200)
    assert found.getpixel((20, 20)) == (255, 255, 255)
    assert found.getpixel((0, 39)) == (10, 60, 200)


def test_cropping_loses_the_sides_evenly():
    image = Image.new("RGB", (40, 20), (0, 0, 0))
    ImageDraw.Draw(image).rectangle((10, 0, 29, 19), fill=(255, 255, 255))
    assert fit(image, (20, 20), CROP).getcolors() == [(400, (255, 255, 255))]


@pytest.mark.parametrize("size", [(64, 64), (200, 200), (37, 41)])
def test_lines_stay_lines(size: tuple[int, int]):
    image = Image.new("RGB", (128, 128))
    ImageDraw.Draw(image).line((20, 10, 20, 120), fill=(255, 255, 255))
    assert is_binary(image)
    found = fit(image, size, CROP)
    assert is_binary(found), "nothing but black and white"
    row = [found.getpixel((x, size[1] // 2)) for x in range(size[0])]
    assert 1 <= sum(colour == (255, 255, 255) for colour in row) <= 3


def test_greys_are_not_made_black_and_white():
    image = Image.linear_gradient("L")
    assert not is_binary(image)
    assert len(fit(image, (100, 100), CROP).getcolors() or []) > 50


def test_an_unknown_way_is_refused():
    with pytest.raises(RequestFault, match="resize_mode"):
        fit(Image.new("RGB", (8, 8)), (16, 16), "Stretch")
