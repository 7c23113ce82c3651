"""Buckets are those that kohya's scripts make, and a cut covers its bucket without stretching."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.train.data.buckets import Rules, bucket_for, bucket_sizes, cut
from tests.train.data.conftest import config


@pytest.mark.parametrize(("side", "shortest", "longest", "count"), [(512, 256, 1024, 17), (768, 384, 1536, 25), (1024, 512, 2048, 33)])
def test_as_many_as_kohya_makes(side: int, shortest: int, longest: int, count: int) -> None:
    sizes = bucket_sizes(Rules(side, shortest=shortest, longest=longest))
    assert len(sizes) == count
    assert (side, side) in sizes
    assert all(width * height <= side * side and width % 64 == height % 64 == 0 for width, height in sizes)
    assert {(height, width) for width, height in sizes} == set(sizes)


@pytest.mark.parametrize(
    ("size", "bucket"),
    [((1920, 1080), (640, 384)), ((640, 480), (576, 448)), ((500, 700), (448, 576)), ((3000, 1000), (832, 256)), ((384, 640), (384, 640))],
)
def test_where_kohya_puts_a_picture(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    assert bucket_for(size, Rules(512)) == bucket


@pytest.mark.parametrize(
    ("size", "bucket"), [((200, 140), (192, 128)), ((1024, 1024), (512, 512)), ((1600, 900), (640, 384)), ((40, 40), (64, 64))]
)
def test_nothing_is_enlarged_when_it_must_not_be(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    assert bucket_for(size, Rules(512, enlarge=False)) == bucket


def test_rules_of_a_configuration() -> None:
    assert Rules.of(config(resolution=512, bucket_reso_steps=64, min_bucket_reso=256, max_bucket_reso=1024)) == Rules(512)
    square = Rules.of(config(resolution=100, enable_bucket=False))
    assert bucket_sizes(square) == ((96, 96),)
    assert bucket_for((900, 20), square) == (96, 96)
    own = {"min_bucket_reso": 0, "max_bucket_reso": 0, "bucket_reso_steps": 0}
    assert Rules.of(config(resolution=512, **own)) == Rules(512)
    assert Rules.of(config(resolution=128, **own)) == Rules(128, step=16, shortest=64, longest=256)
    small = Rules.of(config(resolution=128, bucket_reso_steps=16, min_bucket_reso=256, max_bucket_reso=1024))
    assert small.shortest == 64
    assert (128, 128) in bucket_sizes(small)
    assert len(bucket_sizes(small)) > 5


SIZES = st.tuples(st.integers(8, 4000), st.integers(8, 4000))


@given(size=SIZES, focus=st.tuples(st.floats(0, 1), st.floats(0, 1)), enlarge=st.booleans(), shapes=st.booleans())
def test_a_cut_lies_in_the_picture_and_keeps_its_shape(
    size: tuple[int, int], focus: tuple[float, float], enlarge: bool, shapes: bool
) -> None:
    rules = Rules(512, shapes=shapes, step=64, enlarge=enlarge)
    found = cut(size, rules, focus=focus)
    left, top, right, bottom = found.part
    width, height = found.bucket
    assert 0 <= left < right <= size[0] + 1e-6
    assert 0 <= top < bottom <= size[1] + 1e-6
    assert abs((right - left) * found.scale - width) < 1e-6 * width
    assert abs((bottom - top) * found.scale - height) < 1e-6 * height
    assert width * height <= 512 * 512
    assert width % 64 == height % 64 == 0
    assert 0 <= found.left_top[0] <= found.scaled[0] - width
    assert 0 <= found.left_top[1] <= found.scaled[1] - height
    assert 0 <= found.lost < 1
    if not enlarge and min(size) >= 64:
        assert found.scale <= 1 + 1e-9


def test_a_cut_goes_to_the_focus_and_stays_in_the_crop() -> None:
    rules = Rules(64, shapes=False)
    assert cut((300, 100), rules).part == (100, 0, 200, 100)
    assert cut((300, 100), rules, focus=(0.9, 0.5)).part == (200, 0, 300, 100)
    inside = cut((300, 100), rules, box=(20, 10, 100, 60), focus=(0.0, 0.0))
    assert inside.part == (20, 10, 70, 60)
    assert inside.original == (80, 50)
