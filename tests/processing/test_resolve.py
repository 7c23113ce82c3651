"""From a request to one with nothing left open; everything wrong is found here and names its field."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from modules.faults import Fault, ModelFault, RequestFault, UnknownName
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
    assert (found.sampler_name, found.scheduler, found.steps) == ("DPM++ 2M", "Automatic", 20)
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
    assert any("<lora:x:1>" in w for w in ask(prompt="a cat <lora:x:1>").warnings)
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


def test_no_model_at_all_is_said(tmp_path: Path) -> None:
    folders = Folders(program=tmp_path, data=tmp_path, models=tmp_path / "models")
    with pytest.raises(ModelFault, match=r"Put one into models/Stable-diffusion"):
        resolve(GenerationRequest(), Settings(), Library(folders), Styles(folders.styles_file))


def test_the_checkpoint_is_found_by_every_name_a1111_accepts(folders: Folders, starter_path: Path) -> None:
    library = Library(folders)
    row = library.with_hash(library.checkpoints()[0])
    assert row.sha256 is not None
    for text in (row.title, row.model_name, "darkroom-starter", row.sha256, row.sha256[:10], f"old name [{row.sha256[:10]}]", "starter"):
        assert library.find_checkpoint(text).path == str(starter_path), text
    with pytest.raises(UnknownName, match="darkroom-starter"):
        library.find_checkpoint("darkroom-startre")


def test_a_users_own_model_comes_before_the_starter(tmp_path: Path, starter_path: Path) -> None:
    shutil.copytree(starter_path, tmp_path / "models" / "Stable-diffusion" / "mine")
    library = Library(Folders.at(tmp_path))
    assert library.default_checkpoint("").model_name == "mine"
    assert library.default_checkpoint("darkroom-starter").model_name == "darkroom-starter"


def test_the_digest_of_a_model_follows_its_files(tmp_path: Path, starter_path: Path) -> None:
    model = tmp_path / "models" / "Stable-diffusion" / "mine"
    shutil.copytree(starter_path, model)
    first = Library(Folders.at(tmp_path))
    before = first.with_hash(first.find_checkpoint("mine")).sha256
    config = model / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("v_prediction", "epsilon"))
    second = Library(Folders.at(tmp_path))
    assert second.with_hash(second.find_checkpoint("mine")).sha256 != before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda m: (m / "unet" / "config.json").write_text("{"), "cannot be read"),
        (lambda m: (m / "unet" / "diffusion_pytorch_model.safetensors").unlink(), "no .safetensors weights"),
        (lambda m: (m / "model_index.json").write_text('{"_class_name": "FluxPipeline"}'), "FluxPipeline"),
        (lambda m: (m / "model_index.json").write_text('{"_class_name": "X", "unet": ["my_code", "Unet"]}'), "foreign code"),
    ],
)
def test_a_model_that_cannot_be_used_is_not_listed_but_its_reason_is(tmp_path: Path, starter_path: Path, damage: Any, words: str) -> None:
    model = tmp_path / "models" / "Stable-diffusion" / "mine"
    shutil.copytree(starter_path, model)
    damage(model)
    library = Library(Folders.at(tmp_path))
    assert [c.model_name for c in library.checkpoints()] == ["darkroom-starter"]
    assert words in library.refused()[str(model)]


def test_faults_are_plain_data() -> None:
    fault = UnknownName("sampler_name", "Eulr", ["Euler", "Heun"])
    assert isinstance(fault, Fault)
    assert fault.data()["kind"] == "unknown_name"
    assert fault.data()["allowed"] == ["Euler"]
