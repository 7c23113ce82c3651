"""Knob -> component: kind, label, range, choices, id, and that every control can be changed."""

from __future__ import annotations

from typing import Annotated, Any

import gradio as gr
import pytest

from modules.knobs import Knob, KnobField, knobs_of
from modules.request import GenerationRequest
from modules.web.controls import Controls
from modules.web.ui_config import UiConfig

KNOBS = knobs_of(GenerationRequest)
LISTS = {"samplers": lambda: ["DPM++ 2M", "Euler"], "schedulers": lambda: ["Automatic", "Karras"], "styles": lambda: ["Night"]}


def make(name: str, ui: dict[str, Any] | None = None, **options: Any) -> Any:
    with gr.Blocks():
        return Controls("txt2img", UiConfig(ui), LISTS).make(KNOBS[name], **options)


@pytest.mark.parametrize(
    ("name", "kind", "elem_id", "value"),
    [
        ("prompt", gr.Textbox, "txt2img_prompt", ""),
        ("negative_prompt", gr.Textbox, "txt2img_neg_prompt", ""),
        ("styles", gr.Dropdown, "txt2img_styles", []),
        ("sampler_name", gr.Dropdown, "txt2img_sampling", "DPM++ 2M"),
        ("scheduler", gr.Dropdown, "txt2img_scheduler", "Automatic"),
        ("steps", gr.Slider, "txt2img_steps", 20),
        ("cfg_scale", gr.Slider, "txt2img_cfg_scale", 7.0),
        ("n_iter", gr.Slider, "txt2img_batch_count", 1),
        ("seed", gr.Textbox, "txt2img_seed", "-1"),
        ("save_images", gr.Checkbox, "txt2img_save_images", True),
    ],
)
def test_kind_id_and_start(name: str, kind: type, elem_id: str, value: Any):
    made = make(name)
    assert type(made) is kind
    assert made.elem_id == elem_id
    assert made.value == value
    assert made.label == KNOBS[name].knob.label
    assert made.interactive is True


def test_a_slider_has_the_narrow_range_and_the_help():
    steps = make("steps")
    assert (steps.minimum, steps.maximum, steps.step) == (1, 150, 1)
    assert steps.info == KNOBS["steps"].knob.help


def test_names_that_vanished_are_left_to_the_request():
    assert make("sampler_name").allow_custom_value is True
    assert make("styles").allow_custom_value is True


def test_ui_config_changes_a_control():
    key = "txt2img/Sampling steps"
    steps = make("steps", {f"{key}/value": 33, f"{key}/maximum": 60, f"{key}/visible": False})
    assert (steps.value, steps.maximum, steps.visible) == (33, 60, False)


def test_ui_config_wins_over_the_models_size():
    assert make("width", value=128).value == 128
    assert make("width", {"txt2img/Width/value": 512}, value=128).value == 512


def test_a_seed_of_63_bits_keeps_its_digits():
    assert make("seed", {"txt2img/Seed/value": 2**63 - 1}).value == str(2**63 - 1)


def test_a_number_without_bounds_is_a_plain_number():
    field = KnobField("x", float, False, 1.5, Knob("X"))
    with gr.Blocks():
        assert type(Controls("t", UiConfig(), {}).make(field)) is gr.Number


def test_fixed_choices_of_a_knob():
    field = KnobField("f", str, False, "png", Annotated[str, Knob("Format", choices=("png", "jpg"))].__metadata__[0])
    with gr.Blocks():
        made: Any = Controls("t", UiConfig(), {}).make(field)
    assert [value for _, value in made.choices] == ["png", "jpg"]


def test_a_number_that_may_be_left_out_begins_empty():
    eta = make("eta", placeholder="default")
    assert (type(eta), eta.value, eta.placeholder) == (gr.Textbox, "", "default")
    assert type(make("width", value=128)) is gr.Slider


def test_choices_side_by_side():
    schedule = make("cfg_schedule", radio=True)
    assert (type(schedule), schedule.value) == (gr.Radio, "Constant")
