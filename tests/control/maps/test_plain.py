"""Maps without weights: what each shows, at which size, and that a map is made once."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modules.control.maps import MAPS
from modules.control.maps.ground import Ground
from modules.control.maps.making import finish, make, make_map
from modules.faults import ModelFault
from modules.folders import Folders


@pytest.fixture
def ground(folders: Folders) -> Ground:
    return Ground(folders=folders)


@pytest.fixture
def square() -> Image.Image:
    """A white square with a black line in it, on grey; 90 x 60."""
    image = Image.new("RGB", (90, 60), (90, 90, 90))
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 10, 60, 50), fill=(255, 255, 255))
    draw.line((30, 30, 50, 30), fill=(0, 0, 0), width=2)
    return image


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("name", [row.name for _, row in MAPS if row.works_at_once])
def test_every_map_has_the_size_it_is_asked_for(name: str, square: Image.Image, ground: Ground):
    row = MAPS.get(name)
    made = make(name, square, ground=ground, resolution=96)
    assert made.image.mode == "RGB"
    assert made.image.size == ((144, 96) if row.resolution else square.size)


def test_canny_draws_the_edges_alone(square: Image.Image, ground: Ground):
    found = pixels(make_map("canny", square, ground=ground, resolution=64))[:, :, 0]
    assert set(np.unique(found)) == {0, 255}
    assert found[:, :15].max() == 0
    assert found[20:44, 18:24].max() == 255, "the left side of the square, at 64/60 of its place"
    faint = Image.new("RGB", (64, 64), (90, 90, 90))
    faint.paste((110, 110, 110), (32, 0, 64, 64))
    assert pixels(make_map("canny", faint, ground=ground, resolution=64, a=20, b=40)).max() == 255
    assert pixels(make_map("canny", faint, ground=ground, resolution=64, a=200, b=256)).max() == 0


def test_invert_and_threshold(square: Image.Image, ground: Ground):
    assert (pixels(make_map("invert", square, ground=ground)) + pixels(square) == 255).all()
    cut = pixels(make_map("threshold", square, ground=ground, resolution=64, a=127))
    assert set(np.unique(cut)) <= {0, 255}
    assert cut[32, 24].min() == 255
    assert cut[4, 4].max() == 0


@pytest.mark.parametrize("name", ["scribble_xdog", "lineart_standard"])
def test_dark_lines_become_white_ones_on_black(name: str, square: Image.Image, ground: Ground):
    found = pixels(make_map(name, square, ground=ground, resolution=64))[:, :, 0]
    assert found[32, 42] > 200, "the line"
    assert found[4, 4] == 0, "the even ground"


def test_blur_grows_with_its_sigma(square: Image.Image, ground: Ground):
    spread = [pixels(make_map("blur_gaussian", square, ground=ground, resolution=64, a=sigma)).std() for sigma in (1, 4, 16)]
    assert spread[0] > spread[1] > spread[2]


def test_shuffle_keeps_the_palette_and_is_the_same_each_time(square: Image.Image, folders: Folders):
    first, again = (make_map("shuffle", square, ground=Ground(folders=folders), resolution=128) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert (pixels(first) != pixels(square.resize(first.size))).mean() > 0.2
    assert abs(pixels(first).mean() - pixels(square).mean()) < 60


def test_tile_resample_makes_it_smaller(square: Image.Image, ground: Ground):
    assert make_map("tile_resample", square, ground=ground, a=1).tobytes() == square.tobytes()
    assert make_map("tile_resample", square, ground=ground, a=3).size == (30, 20)


def test_recolouring_keeps_the_brightness_of_the_control_picture(ground: Ground):
    result = Image.new("RGB", (8, 8), (200, 30, 30))
    picture = Image.linear_gradient("L").resize((8, 8)).convert("RGB")
    grey = pixels(make_map("recolor_luminance", picture, ground=ground, a=1))[:, :, 0]
    assert (np.diff(grey.mean(axis=1)) > 0).all()
    found = pixels(finish("recolor_luminance", result, picture, 1, -1))
    assert (np.diff(found.sum(axis=2).mean(axis=1)) > 0).all(), "dark to light, as the picture is"
    assert (found[4, :, 0] > found[4, :, 1] + 20).all(), "and red, as the result was"


def test_colours_are_brought_back_and_details_stay():
    result = Image.new("RGB", (64, 64), (40, 40, 200))
    ImageDraw.Draw(result).line((0, 32, 63, 32), fill=(0, 0, 0))
    picture = Image.new("RGB", (64, 64), (200, 120, 40))
    found = pixels(finish("tile_colorfix", result, picture, 8, -1))
    assert np.abs(found[4, 4] - (200, 120, 40)).max() <= 2
    assert found[32, 32].sum() < found[4, 4].sum() - 50, "the line is still there"
    sharp = pixels(finish("tile_colorfix+sharp", result, picture, 8, 2))
    assert sharp[32, 32].sum() < found[32, 32].sum()


def test_what_lies_outside_the_mask_is_the_picture_again():
    mask = Image.new("L", (8, 8), 0)
    mask.paste(255, (0, 0, 4, 8))
    result, picture = Image.new("RGB", (8, 8), (10, 20, 30)), Image.new("RGB", (8, 8), (200, 100, 50))
    found = pixels(finish("inpaint_only", result, picture, -1, -1, mask))
    assert (found[:, :4] == (10, 20, 30)).all()
    assert (found[:, 4:] == (200, 100, 50)).all()
    assert finish("canny", result, picture, -1, -1, mask) is result


def test_a_map_is_made_once(square: Image.Image, ground: Ground):
    first = make("canny", square, ground=ground, resolution=64)
    again = make("CANNY", square.copy(), ground=ground, resolution=64)
    other = make("canny", square, ground=ground, resolution=64, a=120)
    assert (first.cached, again.cached, other.cached) == (False, True, False)
    assert again.image.tobytes() == first.image.tobytes()
    assert again.seconds == first.seconds > 0
    again.image.putpixel((0, 0), (1, 2, 3))
    assert make("canny", square, ground=ground, resolution=64).image.tobytes() == first.image.tobytes()


def test_the_oldest_map_goes(square: Image.Image, folders: Folders):
    ground = Ground(folders=folders, kept_maps=2)
    for a in (10, 20, 30):
        make("canny", square, ground=ground, resolution=64, a=a)
    assert [make("canny", square, ground=ground, resolution=64, a=a).cached for a in (30, 20, 10)] == [True, True, False]


def test_what_cannot_be_made_says_why(square: Image.Image, ground: Ground):
    with pytest.raises(ModelFault, match="take inpaint_only"):
        make("inpaint_only+lama", square, ground=ground)
    with pytest.raises(ModelFault, match=r"ControlNetHED\.safetensors"):
        make("hed", square, ground=ground)
