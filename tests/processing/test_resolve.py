"""From a request to one with nothing left open; everything wrong is found here and names its field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modules.faults import ModelFault, RequestFault
from modules.folders import Folders
from modules.library import Library
from modules.processing.resolve import MAX_SEED, resolve
from modules.prompts.styles import Style, Styles
from modules.request import GenerationRequest, ResolvedRequest
from modules.settings import Settings


@pytest.fixture
def ask(folders: Folders):
    library, styles = Library(folders), Styles(folders.styles_file)
    styles.save(Style(name="oil", prompt="{prompt}, oil painting", negative_prompt="photo"))

    def run(settings: Settings | None = None, **request: Any) -> ResolvedRequest:
        return resolve(GenerationRequest.from_data(request), settings or Settings(), library, styles)

    return run


def test_the_models_own_size_and_the_first_sampler_are_taken(ask: Any) -> None:
    found = ask(prompt="x")
    assert (found.width, found.height) == (128, 128)
    assert (found.sampler_name, found.scheduler, found.steps) == ("DPM++ 2M", "Karras", 20)
    assert found.checkpoint.model_name == "darkroom-starter"
    assert len(found.checkpoint.sha256) == 64


def test_a_random_seed_is_drawn_once_and_each_picture_has_its_own(ask: Any) -> None:
    found = ask(seed=-1, batch_size=2, n_iter=3)
    first = found.all_seeds[0]
    assert 0 <= first <= MAX_SEED
    assert found.all_seeds == tuple(first + i for i in range(6))
    assert len(found.all_prompts) == 6
    assert ask(seed=-1).all_seeds != ask(seed=-1).all_seeds


def test_a_resolved_request_survives_the_store(ask: Any) -> None:
    found = ask(prompt="é\n", batch_size=2)
    assert ResolvedRequest.from_data(json.loads(json.dumps(found.to_data()))) == found


def test_styles_are_applied_and_unknown_ones_are_said(ask: Any) -> None:
    found = ask(prompt="a cat", styles=["oil", "nowhere"])
    assert (found.prompt, found.negative_prompt) == ("a cat, oil painting", "photo")
    assert found.styles == ("oil",)
    assert any("nowhere" in w for w in found.warnings)


def test_odd_sizes_are_rounded_down_and_said(ask: Any) -> None:
    found = ask(width=130, height=127)
    assert (found.width, found.height) == (128, 120)
    assert "rounded down" in found.warnings[0]


def test_a_size_far_from_the_models_own_is_warned_about(ask: Any) -> None:
    assert any("was made for 128x128" in w for w in ask(width=512, height=512).warnings)
    assert not ask(width=192, height=128).warnings


def test_prompt_syntax_that_has_no_effect_is_said(ask: Any) -> None:
    assert any("no LoRA 'x'" in w for w in ask(prompt="a cat <lora:x:1>").warnings)
    assert any("in the negative prompt" in w for w in ask(prompt="a cat", negative_prompt="<lora:x:1>").warnings)
    assert any("AND" in w for w in ask(prompt="a cat AND a dog", cfg_scale=1).warnings)
    assert not ask(prompt="a (red:1.3) cat AND [a:b:0.5]").warnings


def test_comments_are_left_out_unless_the_setting_says_otherwise(ask: Any) -> None:
    prompt = "a cat # my cat\n# nothing else\n  on a hill #ff0000"
    assert ask(prompt=prompt).prompt == "a cat\n  on a hill"
    assert ask(prompt=prompt, override_settings={"enable_prompt_comments": False}).prompt == prompt


def test_settings_of_the_run_are_laid_over_and_frozen_in(ask: Any) -> None:
    found = ask(Settings(jpeg_quality=50), override_settings={"samples_format": "webp"})
    assert (found.settings["samples_format"], found.settings["jpeg_quality"]) == ("webp", 50)
    assert found.overrides == {"samples_format": "webp"}


@pytest.mark.parametrize(
    ("request_data", "field"),
    [
        ({"width": 7}, "width"),
        ({"steps": 0}, "steps"),
        ({"steps": "many"}, "steps"),
        ({"cfg_scale": float("nan")}, "cfg_scale"),
        ({"cfg_scale": float("inf")}, "cfg_scale"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "x" * 10_000_000}, "prompt"),
        ({"sampler_name": "Oiler"}, "sampler_name"),
        ({"scheduler": "Karas"}, "scheduler"),
        ({"batch_size": 0}, "batch_size"),
        ({"n_iter": 1000, "batch_size": 64}, "n_iter"),
        ({"width": 16000, "height": 16000}, "width"),
        ({"seed": 2**70}, "seed"),
        ({"seed": True}, "seed"),
        ({"styles": "oil"}, "styles"),
        ({"override_settings": []}, "override_settings"),
        ({"override_settings": {"no_such_thing": 1}}, "override_settings"),
        ({"override_settings": {"jpeg_quality": 900}}, "override_settings"),
        ({"override_settings": {"sd_model_checkpoint": "not-here"}}, "sd_model_checkpoint"),
    ],
)
def test_what_is_wrong_is_named(ask: Any, request_data: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestFault) as caught:
        ask(**request_data)
    assert caught.value.field == field
    assert len(caught.value.message) < 600


def test_a_model_of_the_same_name_but_other_content_is_said(ask: Any) -> None:
    assert not ask(override_settings={"sd_model_checkpoint": "darkroom-starter"}).warnings
    [warning] = ask(override_settings={"sd_model_checkpoint": "darkroom-starter [0123456789]"}).warnings
    assert "0123456789" in warning


def test_pictures_cannot_be_sent_outside_the_data_folder(ask: Any) -> None:
    for folder in ("/etc", "../elsewhere", "~/x"):
        with pytest.raises(RequestFault, match="inside the data folder"):
            ask(override_settings={"outdir_txt2img_samples": folder})
    assert ask(override_settings={"outdir_txt2img_samples": "outputs/mine"}).settings["outdir_txt2img_samples"] == "outputs/mine"


def test_no_model_at_all_is_said(tmp_path: Path) -> None:
    folders = Folders(program=tmp_path, data=tmp_path, models=tmp_path / "models")
    with pytest.raises(ModelFault, match=r"Put one into models/Stable-diffusion"):
        resolve(GenerationRequest(), Settings(), Library(folders), Styles(folders.styles_file))


@pytest.mark.parametrize("field", ["prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt"])
def test_a_prompt_of_nothing_but_brackets_is_refused(ask: Any, field: str) -> None:
    with pytest.raises(RequestFault, match="brackets") as caught:
        ask(**{field: "[" * 30_000})
    assert caught.value.field == field
