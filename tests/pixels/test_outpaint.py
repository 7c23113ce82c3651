"""Pictures that grow: where everything lies, what the new part begins as, and what stays as it was, for any size and side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from modules.pixels.ground import Ground, Sides, turns
from modules.pixels.mask import blur_reach_px
from modules.pixels.outpaint import Noise, continued, matched_noise, prepare_grown
from modules.pixels.repaint import Prepared, Repainting, finish, mask_composite
from modules.request.outpaint import BEGINS

_SIDE = st.one_of(st.just(0), st.integers(0, 70))
_SIDES = st.tuples(_SIDE, _SIDE, _SIDE, _SIDE).filter(any)
_SIZE = st.tuples(st.integers(1, 90), st.integers(1, 90))


def ready_of(
    picture: Image.Image, sides: Sides, mask: Image.Image | None = None, begin: str = "edges", overlap: int = 0, seed: int = 0, **asked: Any
) -> Prepared:
    """asked: of `Repainting`; without a blur unless it says so."""
    about = Repainting(size=(8, 8), **{"blur_x": 0, "blur_y": 0, **asked})
    return prepare_grown(picture, mask, about, sides, step=8, begin=begin, overlap_px=overlap, noise=Noise(seed=seed))


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


@settings(max_examples=300, deadline=None)
@given(size=_SIZE, sides=_SIDES, step=st.sampled_from([8, 16, 64]))
def test_the_ground_holds_everything(size: tuple[int, int], sides: Sides, step: int) -> None:
    ground = Ground.around(size, sides, step)
    left, top, right, bottom = ground.picture
    assert (right - left, bottom - top) == size
    assert ground.result_size == (size[0] + sides[0] + sides[1], size[1] + sides[2] + sides[3])
    assert (left - ground.result[0], top - ground.result[1]) == (sides[0], sides[2])
    assert 0 <= ground.result[0] <= left < right <= ground.result[2] <= ground.size[0]
    assert 0 <= ground.result[1] <= top < bottom <= ground.result[3] <= ground.size[1]
    assert all(px % step == 0 and px - kept < step for px, kept in zip(ground.size, ground.result_size, strict=True))


@settings(max_examples=200, deadline=None)
@given(
    size=_SIZE, sides=_SIDES, overlap=st.integers(0, 40), blur_px=st.integers(0, 12), begin=st.sampled_from(BEGINS), rounded=st.booleans()
)
def test_only_the_new_part_and_a_band_beside_it_change(
    size: tuple[int, int], sides: Sides, overlap: int, blur_px: int, begin: str, rounded: bool
) -> None:
    """A drawing that leaves nothing as it was is laid under the picture, whatever the model might do."""
    picture = noise(size)
    ready = ready_of(picture, sides, None, begin, overlap, 3, blur_x=blur_px, blur_y=blur_px, rounded=rounded)
    drawn = Image.fromarray(255 - np.asarray(ready.image))
    done = finish(drawn, ready)
    ground = Ground.around(size, sides, 8)
    assert done.image.size == ready.result_size == ground.result_size
    assert ready.size == ready.image.size == ground.size
    made, own = np.asarray(done.image), np.asarray(picture)
    reach = overlap + blur_reach_px(blur_px)
    left, right, up, down = (reach if px else 0 for px in sides)
    x, y = sides[0], sides[2]
    kept = np.s_[up : max(up, size[1] - down), left : max(left, size[0] - right)]
    assert (made[y : y + size[1], x : x + size[0]][kept] == own[kept]).all()
    new = np.ones(made.shape[:2], bool)
    new[y : y + size[1], x : x + size[0]] = False
    drawn_there = np.asarray(drawn.crop(ground.result))
    assert (made[new] == drawn_there[new]).all()
    assert (made[y : y + size[1], x : x + size[0]] != own).any() == (bool(overlap) or blur_px > 0)
    composite = mask_composite(done, ready)
    assert composite is not None
    assert composite.size == done.image.size


def test_a_mask_is_painted_as_well() -> None:
    picture, mask = noise((40, 30)), Image.new("L", (80, 60))
    mask.paste(255, (20, 20, 40, 40))  # of twice the picture's size: 10, 10, 20, 20 in the picture
    ready = ready_of(picture, (16, 0, 0, 0), mask)
    made = np.asarray(finish(Image.new("RGB", ready.size, "lime"), ready).image)
    changed = (made[:, 16:] != np.asarray(picture)).any(-1)
    assert changed[11:19, 11:19].all()
    assert not changed[:8].any()
    assert not changed[:, 22:].any()
    turned = ready_of(picture, (16, 0, 0, 0), mask, inverted=True)
    others = (np.asarray(finish(Image.new("RGB", ready.size, "lime"), turned).image)[:, 16:] != np.asarray(picture)).any(-1)
    assert not others[12:18, 12:18].any()
    assert others[:8].all()


def test_transparency_shows_the_background() -> None:
    ready = ready_of(Image.new("RGBA", (8, 8)), (8, 0, 0, 0), background="#ff0000")
    assert np.asarray(ready.image).reshape(-1, 3).tolist() == [[255, 0, 0]] * 128


def test_edges_go_on_and_grow_soft() -> None:
    picture = noise((64, 64))
    ground = Ground.around((64, 64), (64, 0, 32, 0), 8)
    made = np.asarray(continued(picture, ground), float)
    assert (made[32:, 64:] == np.asarray(picture)).all()
    assert np.abs(made[32:, 63] - np.asarray(picture)[:, 0]).mean() < 2
    roughness = [np.abs(np.diff(made[40:90, x], axis=0)).mean() for x in (63, 40, 0)]
    assert roughness[0] > 1.5 * roughness[1] > 2 * roughness[2]


def test_matched_noise_has_the_pictures_colours_and_texture() -> None:
    """Against plain noise of the same mean and contrast, the spectrum is far nearer to the picture's."""
    fine = np.asarray(noise((96, 96)).resize((24, 24)).resize((96, 96), Image.Resampling.BICUBIC), float)
    picture = Image.fromarray((fine * (0.5, 0.7, 0.2) + (90, 10, 40)).clip(0, 255).astype(np.uint8))
    ground = Ground.around((96, 96), (96, 0, 0, 0), 8)
    made = np.asarray(matched_noise(picture, ground, Noise(seed=5)), float)
    assert (made[:, 96:] == np.asarray(picture)).all()
    own, new = np.asarray(picture, float), made[:, :96]
    assert np.abs(own.mean((0, 1)) - new.mean((0, 1))).max() < 6
    assert np.abs(own.std((0, 1)) / new.std((0, 1)) - 1).max() < 0.25
    plain = own.mean((0, 1)) + own.std((0, 1)) * np.random.default_rng(0).standard_normal(own.shape)
    rough = [np.abs(np.diff(one, axis=1)).mean() for one in (own, new, plain)]
    assert abs(rough[1] - rough[0]) < 0.25 * abs(rough[2] - rough[0])
    assert (np.asarray(matched_noise(picture, ground, Noise(seed=5))) == made).all()
    assert (np.asarray(matched_noise(picture, ground, Noise(seed=6))) != made).any()


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (3, 200, 90)])
def test_a_plain_picture_grows_plain(colour: tuple[int, int, int]) -> None:
    picture, ground = Image.new("RGB", (5, 7), colour), Ground.around((5, 7), (9, 2, 0, 3), 8)
    for made in (continued(picture, ground), matched_noise(picture, ground, Noise(seed=1))):
        assert set(map(tuple, np.asarray(made).reshape(-1, 3))) == {colour}


def test_turns_are_the_sides_that_grow() -> None:
    assert turns((8, 0, 3, 1)) == [(8, 0, 0, 0), (0, 0, 3, 0), (0, 0, 0, 1)]
    assert turns((0, 5, 0, 0)) == [(0, 5, 0, 0)]
