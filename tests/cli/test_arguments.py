"""The words after txt2img become the fields of a request."""

from __future__ import annotations

import pytest

from modules.cli.arguments import fields, help_text, read
from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.request import GenerationRequest


def test_every_knob_of_the_request_is_a_flag():
    assert {f.name for f in fields().values()} == set(knobs_of(GenerationRequest)) - {"send_images"}
    assert all(flag in help_text() for flag in fields())


def test_values_get_the_types_of_their_fields():
    words = ["--steps", "12", "--cfg-scale=5.5", "--seed", "-1", "a red apple", "--sampler_name", "Euler a", "--negative-prompt", "-- ugly"]
    assert read(words) == {
        "steps": 12, "cfg_scale": 5.5, "seed": -1, "prompt": "a red apple", "sampler_name": "Euler a", "negative_prompt": "-- ugly",
    }  # fmt: skip


def test_lists_switches_and_objects():
    words = ["--styles", "a", "--styles=b", "--no-save-images", "--override-settings", '{"samples_format": "webp"}', "--prompt", "x"]
    assert read(words) == {"styles": ["a", "b"], "save_images": False, "override_settings": {"samples_format": "webp"}, "prompt": "x"}
    assert read(["--save-images", "--steps", "2"]) == {"save_images": True, "steps": 2}
    assert read(["--save-images", "false"]) == {"save_images": False}


@pytest.mark.parametrize(
    ("words", "field", "told"),
    [
        (["--stepz", "3"], "flag", "did you mean --steps"),
        (["--send-images"], "flag", "there is no --send-images"),
        (["--steps"], "steps", "needs a value"),
        (["--steps", "many"], "steps", "must be a number"),
        (["--steps", "0"], "steps", "must lie between 1 and 1000"),
        (["--width", "nan"], "width", "finite"),
        (["red", "apple"], "prompt", "quotation marks"),
        (["--override-settings", "{"], "override_settings", "must be JSON"),
    ],
)
def test_what_is_wrong_names_the_field(words: list[str], field: str, told: str):
    with pytest.raises(RequestFault, match=told) as caught:
        read(words)
    assert caught.value.field == field
