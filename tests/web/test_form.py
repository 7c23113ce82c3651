"""The form as data: to a request, and back from a parameters text."""

from __future__ import annotations

from typing import Any

import pytest

from modules.faults import RequestFault
from modules.web.form import CHECKPOINT, FIELDS, NAMES, request_of, values_from
from tests.web.fake_app import LARGE, STARTER

GOOD: dict[str, Any] = {
    "prompt": "a cat", "negative_prompt": "dog", "styles": ["Night"], "sampler_name": "Euler", "scheduler": "Karras", "steps": 12,
    "width": 256, "height": 128, "n_iter": 2, "batch_size": 3, "cfg_scale": 5.5, "seed": "42", CHECKPOINT: STARTER.title,
}  # fmt: skip
TEXT = (
    "a red apple\nNegative prompt: blur\nSteps: 30, Sampler: Euler a, Schedule type: Automatic, CFG scale: 4.5, Seed: 9007199254740993, "
    "Size: 256x192, Model hash: 0a1b2c3d4e, Model: darkroom-starter, Version: v1.10.1"
)


def form(**changes: Any) -> list[Any]:
    return [{**GOOD, **changes}[name] for name in NAMES]


def test_every_value_reaches_the_request():
    request = request_of(form())
    for name in FIELDS:
        assert getattr(request, name) == (42 if name == "seed" else GOOD[name])
    assert request.override_settings == {CHECKPOINT: STARTER.title}


@pytest.mark.parametrize(("typed", "seed"), [("", -1), (None, -1), (" 7 ", 7), ("-1", -1), (7, 7), (str(2**63 - 1), 2**63 - 1)])
def test_seeds_are_read_exactly(typed: Any, seed: int):
    assert request_of(form(seed=typed)).seed == seed


@pytest.mark.parametrize(
    ("field", "value"), [("seed", "abc"), ("seed", "-5"), ("steps", None), ("steps", 0), ("width", "wide"), ("batch_size", 65)]
)
def test_bad_values_name_their_field(field: str, value: Any):
    with pytest.raises(RequestFault) as caught:
        request_of(form(**{field: value}))
    assert caught.value.field == field


def test_empty_choices_and_sizes_take_the_defaults():
    request = request_of(form(styles=None, width=None, height=None, **{CHECKPOINT: None}))
    assert (request.styles, request.width, request.override_settings) == ([], None, {})


def test_a_parameters_text_fills_the_form(app: Any):
    filled = values_from(app, TEXT)
    assert filled.notices == []
    assert filled.values == {
        "prompt": "a red apple", "negative_prompt": "blur", "styles": [], "sampler_name": "Euler a", "scheduler": "Automatic", "steps": 30,
        "width": 256, "height": 192, "cfg_scale": 4.5, "seed": "9007199254740993", CHECKPOINT: STARTER.title,
    }  # fmt: skip


def test_a_model_that_is_not_here_is_named_and_the_chosen_one_stays(app: Any):
    filled = values_from(app, TEXT.replace("0a1b2c3d4e", "ffffffffff").replace("darkroom-starter", "someMix"))
    assert CHECKPOINT not in filled.values
    assert "someMix [ffffffffff]" in filled.notices[0]


def test_a_model_of_the_same_name_but_another_content_is_taken_with_a_word(app: Any):
    filled = values_from(app, TEXT.replace("0a1b2c3d4e", "ffffffffff").replace("darkroom-starter", "large"))
    assert filled.values[CHECKPOINT] == LARGE.title
    assert "another content" in filled.notices[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("Euler a", "No Such Sampler"), "Sampling method was left as it is"),
        (TEXT.replace("Steps: 30", "Steps: 5000"), "Sampling steps was left as it is"),
    ],
)
def test_what_does_not_fit_is_said(app: Any, text: str, words: str):
    filled = values_from(app, text)
    assert any(words in notice for notice in filled.notices), filled.notices
    assert filled.values["prompt"] == "a red apple"


def test_a_text_without_parameters_is_a_prompt(app: Any):
    filled = values_from(app, "just words, nothing else")
    assert filled.values["prompt"] == "just words, nothing else"
    assert not set(filled.values) - {"prompt", "negative_prompt", "styles"}


def test_an_old_sampler_name_with_its_schedule(app: Any):
    filled = values_from(app, TEXT.replace("Sampler: Euler a, Schedule type: Automatic", "Sampler: DPM++ 2M Karras"))
    assert (filled.values["sampler_name"], filled.values["scheduler"]) == ("DPM++ 2M", "Karras")
