"""The Queue tab: its frame and what its scripts look for there; and the way of a job's request back into a form."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from modules.request import GenerationRequest
from modules.server.queue import SHOWN
from modules.web.form import data_of, request_of
from modules.web.form_fields import CHECKPOINT, IMG2IMG, TXT2IMG, Form
from modules.web.overrides import settings_of
from modules.web.page import ASSETS, SCRIPTS, STYLES
from modules.web.refill import DRAWN, form_of, values_of
from modules.web.tabs import queue
from tests.web.fake_app import STARTER

OWN = ("queue_tab.js", "queue_acts.js")
SEEDS = {"all_seeds": [77, 78], "all_subseeds": [5, 6]}


def scripts(*names: str) -> str:
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)


def test_every_action_of_the_frame_and_of_its_scripts_is_answered():
    answered = set(re.findall(r'darkroom\.on\("([a-z0-9-]+)"', scripts(*SCRIPTS)))
    asked = set(re.findall(r'data-do="([a-z0-9-]+)"', queue.FRAME)) | set(re.findall(r'"(board-[a-z-]+)"', scripts(*OWN)))
    assert {"board-pause", "board-move", "board-again", "board-edit", "go-txt2img"} <= asked
    assert asked <= answered


def test_every_place_that_the_scripts_fill_is_in_the_frame():
    asked = set(re.findall(r'part\("\.([a-z_-]+)"\)', scripts(*OWN)))
    assert {"dr-board-state", "dr-board-none", "dr-board-said"} <= asked
    assert not {name for name in asked if name not in queue.FRAME and f'"div.{name}' not in scripts(*OWN)}
    parts = set(re.findall(r"data-part=\"?([a-z-]+)", queue.FRAME))
    assert {"running", "waiting-device", "waiting-files", "past"} <= parts


def test_the_scripts_are_on_the_page_after_what_they_use():
    places = [SCRIPTS.index(name) for name in ("core.js", "form.js", "img2img.js", "lightbox.js", "queue.js", "models.js", *OWN)]
    assert places == sorted(places)
    assert "queue.css" in STYLES


def test_the_finished_part_can_be_narrowed_to_what_the_server_knows():
    assert [value for value, _ in queue.SHOWN] == list(SHOWN)


# ---- Back into the form ------------------------------------------------------------------------------------------------


def job(resolved: dict[str, Any] | None = None, **asked: Any) -> Any:
    request = GenerationRequest.from_data({"prompt": "an apple", "seed": 3, "width": 64, "height": 64, **asked})
    return SimpleNamespace(request=request.to_data(), resolved=resolved or {"checkpoint": {"title": STARTER.title}, **SEEDS})


def sent(values: dict[str, Any], form: Form, **more: Any) -> GenerationRequest:
    """What the form would ask for with these values; what was left alone is as the page starts."""
    return request_of(
        [{**{name: field.default for name, field in form.fields.items()}, **values, **more}[name] for name in form.names], form
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"negative_prompt": "blur", "styles": ["Night"], "steps": 7, "cfg_scale": 3.5, "n_iter": 2, "batch_size": 3},
        {"sampler_name": "Euler a", "scheduler": "Karras", "eta": 0.5, "freeu_b1": 1.2, "tiling": True},
        {"subseed": 9, "subseed_strength": 0.25, "seed_resize_from_w": 128, "seed_resize_from_h": 64},
        {"enable_hr": True, "hr_scale": 1.5, "denoising_strength": 0.4, "hr_prompt": "closer", "hr_upscaler": "Latent"},
        {"refiner_checkpoint": "large [5f6e7d8c9b]", "refiner_switch_at": 0.6},
    ],
)  # fmt: skip
def test_a_filled_form_asks_for_the_same_again(app: Any, asked: dict[str, Any]):
    wanted = job(**asked)
    filled = values_of(app, wanted, TXT2IMG)
    assert filled.notices == []
    assert filled.values[CHECKPOINT] == STARTER.title
    again = sent(filled.values, TXT2IMG).to_data()
    assert {name: again[name] for name in asked} == {name: wanted.request[name] for name in asked}
    assert (again["prompt"], again["seed"], again["width"]) == ("an apple", 3, 64)


def test_what_an_inpainting_asked_for_comes_back_in_the_words_of_its_form(app: Any):
    image = app.inputs.put_picture(Image.new("RGB", (64, 64)))
    asked = {
        "init_images": [image], "mask": image, "resize_mode": 2, "inpainting_fill": 3, "inpaint_full_res": True,
        "inpainting_mask_invert": 1, "mask_blur_x": 7, "mask_blur_y": 7, "denoising_strength": 0.3, "soft_inpainting": True,
        "soft_mask_influence": 0.5, "scale_by": 1.5,
    }  # fmt: skip
    wanted = job(**asked)
    assert form_of(wanted) is IMG2IMG
    filled = values_of(app, wanted, IMG2IMG)
    assert filled.notices == []
    begin = {name: value for name, value in filled.values.items() if name in IMG2IMG.names}
    values = {**{name: field.default for name, field in IMG2IMG.fields.items()}, **begin}
    again = GenerationRequest.from_data(data_of([values[name] for name in IMG2IMG.names], IMG2IMG)).to_data()
    kept = [name for name in asked if name not in ("init_images", "mask")]
    assert {name: again[name] for name in kept} == {name: asked[name] for name in kept}


def test_what_was_drawn_or_chosen_then_is_filled_in(app: Any):
    then = {"checkpoint": {"title": STARTER.title}, **SEEDS, "width": 512, "height": 256, "sampler_name": "Euler", "scheduler": "Beta"}
    filled = values_of(app, job(then, seed=-1, subseed_strength=0.5, width=None, height=None), TXT2IMG)
    names = ("seed", "subseed", "subseed_show", "width", "height", "sampler_name", "scheduler")
    assert [filled.values[name] for name in names] == ["77", "5", True, 512, 256, "Euler", "Beta"]
    assert filled.notices == [DRAWN]


def test_settings_that_are_others_now_come_along(app: Any):
    before = app.settings.current.to_data()
    app.settings.set({"CLIP_stop_at_last_layers": 3})
    wanted = job({"checkpoint": {"title": STARTER.title}, "settings": before}, override_settings={"eta_noise_seed_delta": 31337})
    entries = values_of(app, wanted, TXT2IMG).values["override_settings"]
    assert settings_of(entries) == {"CLIP_stop_at_last_layers": 1, "eta_noise_seed_delta": 31337}


def test_what_the_form_cannot_hold_is_said(app: Any):
    image = app.inputs.put_picture(Image.new("RGB", (64, 64)))
    pictures = {"init_images": [image] * 2, "mask": image, "style_image": "input:" + "0" * 64}
    blurs = {"mask_round": False, "mask_blur_x": 3, "mask_blur_y": 5}
    then = {"checkpoint": {"title": "elsewhere [0000000000]"}}
    wanted = job(then, styles=["Night", "Lost"], refiner_checkpoint="nowhere", **pictures, **blurs)
    Path(app.inputs.path(image)).unlink()
    filled = values_of(app, wanted, IMG2IMG)
    said = "\n".join(filled.notices)
    expected = (
        "There is no style 'Lost'", "elsewhere [0000000000], a model that is not here", "The picture this job", "The mask this job",
        "The style picture this job", "began with 2 pictures", "Round the mask has no place", "3 and 5 pixels", "nowhere is not here",
    )  # fmt: skip
    assert [words for words in expected if words not in said] == []
    assert CHECKPOINT not in filled.values
    assert (filled.values["styles"], filled.values["style_image"]) == (["Night"], "")


def test_an_upscaled_picture_says_that_its_first_pass_is_made_anew(app: Any):
    filled = values_of(app, job(enable_hr=True, firstpass_image="input:" + "0" * 64), TXT2IMG)
    assert filled.notices == ["First pass image is left out: the form paints it anew."]
