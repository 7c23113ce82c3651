"""What an extension registers when its script is made: options that come with a request or a parameters text, and a tab of the page."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from modules import infotext
from modules.compat.shelf import Scripts
from modules.faults import RequestFault
from modules.request import GenerationRequest, Visit
from modules.settings import Settings
from modules.web.overrides import from_text, options_of, settings_of
from modules.web.script_page import ScriptPage
from tests.compat.conftest import Theatre, samples


def test_options_of_an_extension_count_for_one_job_and_stand_in_its_text(theatre: Theatre):
    plain = samples(theatre.make())[0].infotext
    found = samples(theatre.make(override_settings={"late_shade": 4, "eta_noise_seed_delta": 0}))[0].infotext
    assert found.startswith("a red circle, shade 4\n")
    assert "Late shade: 4" in found
    assert samples(theatre.make())[0].infotext == plain
    silent = samples(theatre.make(override_settings={"late_shade": 4, "late_silent": True}))[0].infotext
    assert silent.startswith("a red circle\n")
    with pytest.raises(RequestFault, match="late_shade: must lie between 0 and 9"):
        theatre.make(override_settings={"late_shade": 40})


def test_a_script_may_ask_for_them_on_a_p_of_its_own_and_a_job_row_keeps_them(theatre: Theatre):
    request = GenerationRequest.from_data({"prompt": "a", "override_settings": {"late_shade": 2, "samples_format": "jpg"}})
    rest, options = theatre.scripts.own_options(request)
    assert (rest.override_settings, options) == ({"samples_format": "jpg"}, {"late_shade": 2})
    visit = theatre.scripts.visit(rest, options)
    assert visit is not None
    assert Visit.from_data(visit.to_data()).options == {"late_shade": 2}
    untouched = GenerationRequest(prompt="a", override_settings={"nothing_of_the_kind": 1})
    assert theatre.scripts.own_options(untouched) == (untouched, {})


def fake_app(scripts: Scripts) -> Any:
    return SimpleNamespace(scripts=scripts, settings=SimpleNamespace(current=Settings()))


def test_a_parameters_text_fills_them_where_it_says_something_else(theatre: Theatre):
    app = fake_app(theatre.scripts)
    text = "a cat\nSteps: 3, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Late shade: 4"
    entries = from_text(app, infotext.parse(text))
    assert "Late shade: 4" in entries
    assert settings_of(["Late shade: 4", "late_silent: True"], options_of(app)) == {"late_shade": 4, "late_silent": True}
    assert "Late shade: 0" not in from_text(app, infotext.parse(text.replace("shade: 4", "shade: 0")))
    with pytest.raises(RequestFault, match="is not written as its kind is"):
        settings_of(["Late shade: dark"], options_of(app))


def test_a_tab_that_is_registered_when_the_script_is_made_stands_once_and_works(theatre: Theatre):
    page = ScriptPage(fake_app(theatre.scripts))
    assert "late_tab" not in [elem_id for _, _, elem_id in page.tabs]
    assert page.troupe is not None
    with gr.Blocks() as blocks:
        page.begin(blocks)
        with gr.Tabs():
            with gr.Tab("txt2img"):
                for tab in ("txt2img", "img2img"):
                    page.troupe.cast(tab)
            page.place_tabs()
            with gr.Tab("After"):
                after = gr.Textbox(label="After")
    labels = [row["props"].get("label") for row in blocks.config["components"]]
    assert labels.count("Late word") == 1
    assert after.parent is not None
    assert labels.count("After") == 2
    [function] = [one for one in blocks.fns.values() if [getattr(out, "label", "") for out in one.outputs] == ["Late answer"]]
    assert function.fn is not None
    assert function.fn("yes") == "YES"
