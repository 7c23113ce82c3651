"""The ControlNet units of the forms: in the request when they are on, back from a parameters text and from a job."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from modules.faults import RequestFault
from modules.server.control_page import lists_of
from modules.web.control_units import MOST_RUNS, missing_pictures, pasted, text_of, turns_of, units_of
from modules.web.form import request_of, values_from
from modules.web.form_fields import IMG2IMG, TXT2IMG, Form
from modules.web.refill import values_of
from tests.web.fake_app import LARGE, STARTER
from tests.web.test_form import TEXT, form, img2img
from tests.web.test_img2img import picture, png

REFERENCE = "input:" + "6" * 64
ON = {"enabled": True, "module": "canny", "model": "control_canny", "image": REFERENCE, "threshold_a": 80}
FORMS = [(TXT2IMG, form), (IMG2IMG, img2img)]


@pytest.mark.parametrize(("of", "made"), FORMS)
def test_units_that_are_on_reach_the_request_without_what_only_the_page_knows(of: Form, made: Any):
    text = json.dumps([{"module": "canny"}, {**ON, "type": "Canny", "size": [64, 64]}])
    assert request_of(made(control_units=text), of).control_units == [{"enabled": False}, ON]
    assert request_of(made(control_units=json.dumps([{"module": "canny"}])), of).control_units == []
    assert request_of(made(), of).control_units == []


@pytest.mark.parametrize("text", ["{", "7", '["canny"]', '{"units": []}'])
def test_a_text_of_another_shape_is_refused(text: str):
    with pytest.raises(RequestFault, match="reload the page") as caught:
        units_of(text)
    assert caught.value.field == "control_units"


def several(count: int) -> dict[str, Any]:
    return {**ON, "batch": [{"reference": f"input:{n:064x}", "name": f"{n}.png"} for n in range(count)]}


def test_units_with_several_pictures_make_a_run_each():
    other = {**ON, "module": "tile_resample"}
    turns = turns_of(json.dumps([several(3), other, several(3)]))
    assert [[unit["image"][-1] for unit in units] for units in turns] == [["0", "6", "0"], ["1", "6", "1"], ["2", "6", "2"]]
    assert "batch" not in turns[0][0]
    assert turns_of(json.dumps([{**several(3), "enabled": False}, other])) == turns_of(json.dumps([other])) == turns_of("") == []


@pytest.mark.parametrize(
    ("units", "words"), [([several(3), several(2)], "unit 0 has 3, unit 1 has 2"), ([several(MOST_RUNS + 1)], f"{MOST_RUNS} pictures")]
)
def test_pictures_that_do_not_go_together_are_refused(units: list[dict[str, Any]], words: str):
    with pytest.raises(RequestFault, match=words) as caught:
        turns_of(json.dumps(units))
    assert caught.value.field == "control_units"


def test_a_pasted_text_brings_pictures_that_are_here_and_leaves_others_to_the_page(app: Any):
    kept = app.inputs.put(png(picture()))
    units = [{**ON, "mask": kept, "control_mode": "Balanced"}]
    text = pasted(app, units)
    unit = {"enabled": True, "module": "canny", "model": "control_canny", "threshold_a": 80, "mask": kept, "control_mode": "Balanced"}
    assert json.loads(text) == {"pasted": [unit]}
    assert units_of(text) == [unit]
    assert missing_pictures(app, units) == ["The picture of ControlNet unit 0 is not kept here any more; give it again."]


@pytest.mark.parametrize("of", [TXT2IMG, IMG2IMG])
def test_a_text_without_units_switches_them_off_and_a_prompt_leaves_them_alone(app: Any, of: Form):
    assert json.loads(values_from(app, TEXT, of).values["control_units"]) == {"pasted": []}
    assert "control_units" not in values_from(app, "only a prompt", of).values


def test_units_of_a_text_come_back(app: Any):
    unit = (
        'ControlNet 0: "Module: canny, Model: control_canny [aa11bb22], Weight: 0.6, Resize Mode: Resize and Fill, Processor Res: 512, '
        "Threshold A: 90.0, Threshold B: 180.0, Guidance Start: 0.1, Guidance End: 0.8, Pixel Perfect: False, "
        'Control Mode: ControlNet is more important"'
    )
    filled = values_from(app, TEXT.replace("Version", f"{unit}, Version"))
    assert filled.notices == []
    found = json.loads(filled.values["control_units"])["pasted"]
    assert [{name: one[name] for name in ("module", "model", "weight", "threshold_a", "guidance_end", "resize_mode")} for one in found] == [
        {"module": "canny", "model": "control_canny [aa11bb22]", "weight": 0.6, "threshold_a": 90.0, "guidance_end": 0.8,
         "resize_mode": "Resize and Fill"}
    ]  # fmt: skip


def test_a_job_gives_its_units_back_with_their_pictures_and_says_which_are_gone(app: Any):
    request = request_of(form(control_units=json.dumps([ON])))
    job = SimpleNamespace(request=request.to_data(), resolved={})
    filled = values_of(app, job, TXT2IMG)  # pyright: ignore[reportArgumentType]
    assert units_of(filled.values["control_units"]) == [ON]
    assert any("The picture of ControlNet unit 0" in notice for notice in filled.notices)
    assert text_of([]) == ""


def test_the_panels_lists_say_what_goes_with_the_checkpoint(app: Any):
    app.library.known[1] = LARGE.__class__(**{**LARGE.__dict__, "family": "sdxl"})
    told = lists_of(app, STARTER.title)
    assert (told["units"], told["family"]) == (3, "Stable Diffusion 1.x")
    fits = {title: one["fits"] for title, one in told["models"].items()}
    assert fits == {"control_canny [aa11bb22]": True, "control_depth_xl": False, "union_sd15": True}
    assert told["models"]["union_sd15"]["union"]
    assert not told["models"]["control_depth_xl"]["union"]
    canny = next(one for one in told["types"] if one["name"] == "Canny")
    assert canny["module"] == "canny"
    assert "control_canny [aa11bb22]" in canny["models"]
    assert "control_depth_xl" not in canny["models"]
    assert told["modules"]["canny"]["sliders"]["threshold_a"] == {"label": "Low Threshold", "value": 100, "low": 0, "high": 256, "step": 1}
    assert told["modules"]["canny"]["lacking"] == ""
    assert "ControlNetHED" in told["modules"]["softedge_hed"]["lacking"]
    assert lists_of(app, LARGE.title)["models"]["control_depth_xl"]["fits"]


def test_the_number_of_units_is_a_setting(app: Any):
    app.settings.set({"control_net_unit_count": 5})
    assert lists_of(app, "")["units"] == 5
