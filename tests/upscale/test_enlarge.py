"""Upscaling as people ask for it: factors, sizes, two blended, transparency, limits, and the text that goes into the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.faults import Fault, RequestFault, UnknownName
from modules.pixels.resizing import LANCZOS, ResizeMode, resize
from modules.upscale import enlarge
from modules.upscale.enlarge import Upscaling, enlarge_to, enlarger, upscale
from modules.upscale.network import Watch
from modules.upscale.shelf import Shelf
from modules.upscale.table import upscalers
from tests.upscale.networks import tiny

IMAGE = Image.effect_noise((50, 30), 70).convert("RGB")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("networks")
    return [(f"{scale}x-net", tiny(folder / f"{scale}x-net.safetensors", scale=scale)) for scale in (1, 2, 4)]


@pytest.fixture
def runs() -> list[int]:
    """Gets a 1 for every run of a network."""
    return []


@pytest.fixture
def tools(files: list[tuple[str, Path]], runs: list[int]) -> Upscaling:
    return Upscaling(rows=upscalers(files), shelf=Shelf(), watch=Watch(step=lambda done, total: runs.append(1) if done == 1 else None))


def test_lanczos_by_a_factor() -> None:
    found = upscale(IMAGE, Upscaling(), factor=2.5, name="Lanczos")
    assert found.image.tobytes() == IMAGE.resize((125, 75), LANCZOS).tobytes()
    assert found.info == {"Postprocess upscale by": "2.5", "Postprocess upscaler": "Lanczos"}


def test_nearest_repeats_pixels() -> None:
    found = upscale(IMAGE, Upscaling(), factor=3, name="nearest").image
    assert np.array_equal(np.asarray(found), np.asarray(IMAGE).repeat(3, 0).repeat(3, 1))


def test_none_leaves_the_picture(tools: Upscaling) -> None:
    found = upscale(IMAGE, tools, factor=4, name="None", name_2="4x-net", visibility_2=1)
    assert found.image is IMAGE
    assert found.info == {}


@pytest.mark.parametrize(("crop", "size"), [(True, (80, 80)), (False, (133, 80))])
def test_to_a_size(crop: bool, size: tuple[int, int]) -> None:
    found = upscale(IMAGE, Upscaling(), size=(80, 80), name="Lanczos", crop=crop)
    assert found.image.size == size
    covered = IMAGE.resize((133, 80), LANCZOS)
    assert found.image.tobytes() == (covered.crop((26, 0, 106, 80)) if crop else covered).tobytes()
    assert found.info["Postprocess upscale to"] == "80x80"
    assert found.info.get("Postprocess crop to") == ("80x80" if crop else None)


def test_the_longest_side_is_held() -> None:
    found = upscale(IMAGE, Upscaling(), factor=4, name="Lanczos", max_side=100)
    assert found.image.size == (100, 60)
    assert found.info["Max side length"] == "100"
    assert upscale(IMAGE, Upscaling(), factor=2, name="Lanczos", max_side=100).info.get("Max side length") is None


def test_two_are_blended(tools: Upscaling) -> None:
    first = upscale(IMAGE, tools, factor=2, name="2x-net").image
    second = upscale(IMAGE, tools, factor=2, name="Lanczos").image
    found = upscale(IMAGE, tools, factor=2, name="2x-net", name_2="Lanczos", visibility_2=0.25)
    wanted = np.asarray(first).astype(float) * 0.75 + np.asarray(second).astype(float) * 0.25
    assert np.abs(np.asarray(found.image) - wanted).max() <= 1
    assert found.info["Postprocess upscaler 2"] == "Lanczos"
    alone = upscale(IMAGE, tools, factor=2, name="2x-net", name_2="Lanczos", visibility_2=0)
    assert alone.image.tobytes() == first.tobytes()
    assert "Postprocess upscaler 2" not in alone.info


@pytest.mark.parametrize(
    ("name", "factor", "times"),
    [("2x-net", 2, 1), ("2x-net", 3, 2), ("2x-net", 16, 3), ("4x-net", 2, 1), ("2x-net", 1, 1), ("2x-net", 0.5, 0), ("1x-net", 1, 1),
     ("1x-net", 2, 1)],
)  # fmt: skip
def test_a_network_runs_until_the_picture_is_large_enough(tools: Upscaling, runs: list[int], name: str, factor: float, times: int) -> None:
    found = upscale(IMAGE, tools, factor=factor, name=name)
    assert found.image.size == (int(50 * factor), int(30 * factor))
    assert len(runs) == times
    plain = IMAGE.resize(found.image.size, LANCZOS).tobytes()
    assert (found.image.tobytes() == plain) == (times == 0)


def test_transparency_is_kept_beside_the_network(tools: Upscaling) -> None:
    alpha = Image.linear_gradient("L").resize(IMAGE.size)
    image = IMAGE.copy()
    image.putalpha(alpha)
    found = upscale(image, tools, factor=2, name="2x-net").image
    assert found.mode == "RGBA"
    assert found.getchannel("A").tobytes() == alpha.resize((100, 60), LANCZOS).tobytes()
    assert found.convert("RGB").tobytes() == upscale(IMAGE, tools, factor=2, name="2x-net").image.tobytes()
    assert upscale(IMAGE.convert("L"), tools, factor=2, name="2x-net").image.mode == "RGB"


def test_a_result_too_large_is_refused_before_any_work(tools: Upscaling, runs: list[int]) -> None:
    with pytest.raises(RequestFault, match=r"45000x27000 pixels; the most is"):
        upscale(IMAGE, tools, factor=900, name="4x-net")
    with pytest.raises(RequestFault, match="the most is"):
        enlarge_to(IMAGE, (50000, 30000), "4x-net", tools)
    assert runs == []


def test_a_run_that_would_make_too_much_gets_a_smaller_picture(tools: Upscaling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarge, "MAX_PIXELS", 50 * 30 * 5)
    found = upscale(IMAGE, tools, factor=2, name="4x-net")
    assert found.image.size == (100, 60)
    assert "made smaller before the last run" in found.notes[0]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"factor": 0}, "upscaling_resize"), ({"factor": -1}, "upscaling_resize"), ({"factor": float("nan")}, "upscaling_resize"),
        ({}, "upscaling_resize"), ({"factor": 2, "size": (9, 9)}, "upscaling_resize"), ({"size": (0, 9)}, "upscaling_resize_w"),
        ({"factor": 2, "visibility_2": 1.1}, "extras_upscaler_2_visibility"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_field(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestFault) as caught:
        upscale(IMAGE, Upscaling(), name="Lanczos", **asked)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda tools: upscale(IMAGE, tools, factor=2, name="2x-nett"), "upscaler_1"),
        (lambda tools: upscale(IMAGE, tools, factor=2, name="None", name_2="2x-nett"), "upscaler_2"),
        (lambda tools: enlarge_to(IMAGE, (9, 9), "2x-nett", tools), "upscaler"),
        (lambda tools: enlarger("2x-nett", tools), "upscaler_for_img2img"),
    ],
)
def test_an_unknown_name_gets_its_nearest(tools: Upscaling, call: Callable[[Upscaling], object], field: str) -> None:
    with pytest.raises(UnknownName, match="2x-net") as caught:
        call(tools)
    assert caught.value.field == field


def test_to_an_exact_size_for_the_hires_pass(tools: Upscaling, runs: list[int]) -> None:
    assert enlarge_to(IMAGE, (96, 64), "None", tools).image.tobytes() == IMAGE.resize((96, 64), LANCZOS).tobytes()
    assert runs == []
    found = enlarge_to(IMAGE, (96, 64), "4x-net", tools).image
    assert (found.size, runs) == ((96, 64), [1])


def test_as_the_upscaler_of_img2img(tools: Upscaling, runs: list[int]) -> None:
    assert enlarger(None, tools) is enlarger("None", tools) is enlarger("Lanczos", tools) is None
    through = enlarger("2x-net", tools, [])
    assert through is not None
    result = resize(IMAGE, (75, 60), ResizeMode.CROP, enlarge=through)
    assert (result.size, runs) == ((75, 60), [1])
    resize(IMAGE, (25, 15), ResizeMode.CROP, enlarge=through)
    assert runs == [1]


def test_a_broken_file_is_told_when_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(Fault, match=r"bad\.safetensors"):
        upscale(IMAGE, Upscaling(rows=upscalers([("bad", path)])), factor=2, name="bad")
