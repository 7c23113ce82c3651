"""Values of scripts' controls: from ui-config.json, names they are kept under, from parameters texts, and back from a job."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from modules.compat.cast import Cast
from modules.compat.pasting import converted, pasted
from modules.web.script_values import configure, keys_of, shown_value
from modules.web.ui_config import UiConfig


@pytest.fixture
def controls() -> dict[str, Any]:
    with gr.Blocks():
        return {
            "on": gr.Checkbox(label="On", elem_id="wheel_on"),
            "much": gr.Slider(minimum=0, maximum=10, value=3, label="Much"),
            "kind": gr.Dropdown(choices=["a", "b"], value="a", label="Kind", type="index"),
            "words": gr.Textbox(label="Much"),
            "button": gr.Button("Press"),
        }


@pytest.fixture
def cast(controls: dict[str, Any]) -> Cast:
    script: Any = SimpleNamespace(name="wheel", filename="somewhere/wheel.py", controls=list(controls.values()))
    return Cast(tab="txt2img", scripts=[script])


def test_ui_config_knows_controls_of_scripts_by_file(cast: Cast, controls: dict[str, Any]):
    start = "customscript/wheel.py/txt2img"
    config = UiConfig({
        f"{start}/Much/value": 7, f"{start}/Much/maximum": 20, f"{start}/Kind/value": "c", f"{start}/On/visible": False,
        "customscript/other.py/txt2img/Kind/value": "b", f"{start}/On/value": "yes",
    })  # fmt: skip
    configure(cast, config)
    assert (controls["much"].value, controls["much"].maximum, controls["kind"].value) == (7, 20, "a")
    assert (controls["on"].visible, controls["on"].value) == (False, False)
    assert len(config.notices) == 4  # Kind, On, and what the text box of the same label cannot hold
    assert any("'c' is not among the choices" in notice for notice in config.notices)


def test_names_of_kept_values_are_those_of_the_controls(cast: Cast, controls: dict[str, Any]):
    kept = keys_of(cast)
    assert list(kept) == ["wheel/wheel_on", "wheel/Much", "wheel/Kind", "wheel/Much/3"]
    assert kept["wheel/Much/3"] is controls["words"]


def test_a_text_fills_what_it_names(controls: dict[str, Any]):
    def broken(found: dict[str, str]) -> str:
        raise KeyError("no")

    fields = [
        (controls["on"], lambda d: "Wheel" in d),
        (controls["much"], "Wheel"),
        (controls["kind"], "Kind"),
        (controls["words"], broken),
    ]
    found = {id(component): value for component, value in pasted(fields, {"Wheel": "4", "Kind": "z"})}
    assert found == {id(controls["on"]): True, id(controls["much"]): 4}


def test_words_become_values(controls: dict[str, Any]):
    assert [converted(controls["on"], text) for text in ("True", "False", True)] == [True, False, True]
    assert converted(controls["much"], "2.5") == 2.5
    assert converted(controls["kind"], "b") == "b"
    assert shown_value(controls["kind"], 1) == "b"
    assert shown_value(controls["words"], "x") == "x"
