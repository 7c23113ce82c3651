"""Which waiting jobs may be made as one batch, by the data of their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modules.folders import Folders
from modules.inputs import Inputs
from modules.library import Library
from modules.processing.joining import MOST_PIXELS, joining_of
from modules.processing.resolve import resolve
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, Steering
from modules.settings import Settings

GPU = {"kind": "cuda"}
BASE = {"prompt": "a cat", "seed": 1, "steps": 4, "width": 128, "height": 128}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders.at(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def library(folders: Folders) -> Library:
    return Library(folders)


@pytest.fixture
def row(folders: Folders, library: Library) -> Any:
    def of(**request: Any) -> dict[str, Any]:
        asked = GenerationRequest.from_data({**BASE, **request})
        return resolve(asked, Settings(), library, Styles(folders.styles_file), Inputs(folders)).to_data()

    return of


def key_of(resolved: dict[str, Any]) -> str:
    found = joining_of("txt2img", resolved, GPU)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    "own", [{"prompt": "a dog"}, {"negative_prompt": "blurry"}, {"seed": 5}, {"subseed": 9}, {"batch_size": 2}, {"save_images": False}]
)  # fmt: skip
def test_what_may_differ(row: Any, own: dict[str, Any]) -> None:
    assert key_of(row(**own)) == key_of(row())


@pytest.mark.parametrize(
    "own",
    [
        {"steps": 5}, {"width": 192}, {"cfg_scale": 3.0}, {"sampler_name": "Euler"}, {"scheduler": "Exponential"},
        {"subseed_strength": 0.5},
        {"override_settings": {"CLIP_stop_at_last_layers": 2}}, {"eta": 0.5, "sampler_name": "Euler a"},
        {"seed_resize_from_w": 64, "seed_resize_from_h": 64},
    ],
)  # fmt: skip
def test_what_must_be_the_same(row: Any, own: dict[str, Any]) -> None:
    assert key_of(row(**own)) != key_of(row())


@pytest.mark.parametrize(
    "own",
    [
        {"n_iter": 2}, {"enable_hr": True, "hr_scale": 2.0, "denoising_strength": 0.5}, {"sampler_name": "DPM adaptive"},
        {"pag_scale": 3.0}, {"freeu": True}, {"tiling": True}, {"override_settings": {"token_merging_ratio": 0.5}}, {"batch_size": 8},
        {"override_settings": {"backend": "torch.compile"}}, {"override_settings": {"join_jobs": "Never"}},
    ],
)  # fmt: skip
def test_what_is_made_by_itself(row: Any, own: dict[str, Any]) -> None:
    assert joining_of("txt2img", row(**own), GPU) is None


def test_every_other_way_of_steering_is_made_by_itself(row: Any) -> None:
    plain = row()
    assert plain["steering"] == Steering().__dict__
    for changed in ({"cfg_rescale": 0.5}, {"cfg_stop": 0.5}, {"cache": "DeepCache"}, {"tile_px": 512}):
        assert joining_of("txt2img", {**plain, "steering": {**plain["steering"], **changed}}, GPU) is None


def test_by_itself_on_a_cpu_unless_always(row: Any) -> None:
    assert joining_of("txt2img", row(), {"kind": "cpu"}) is None
    assert joining_of("txt2img", row(), {}) is None
    assert joining_of("txt2img", row(override_settings={"join_jobs": "Always"}), {"kind": "cpu"}) is not None


def test_other_kinds_are_made_by_themselves(row: Any) -> None:
    assert joining_of("img2img", row(), GPU) is None
    assert joining_of("extras", {"folder": str(Path())}, GPU) is None
    assert joining_of("txt2img", {}, GPU) is None


def test_how_many_at_once(row: Any) -> None:
    found = joining_of("txt2img", row(batch_size=3), GPU)
    assert found is not None
    assert found[1:] == (3, 8)
    large = joining_of("txt2img", {**row(), "width": 2048, "height": 2048}, GPU)
    assert large is not None
    assert large[2] == MOST_PIXELS // 2048**2 == 2
