"""ui-config.json: both spellings, every field, and a notice instead of a fault for what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.folders import PROGRAM
from modules.knobs import knobs_of
from modules.request import GenerationRequest
from modules.web.form import start_of
from modules.web.form_fields import IMG2IMG, TXT2IMG
from modules.web.ui_config import UiConfig
from tests.web import shipped_ui_config

KNOBS = knobs_of(GenerationRequest)


def test_values_of_a_control():
    key = "txt2img/Sampling steps"
    config = UiConfig({f"{key}/value": 30, f"{key}/maximum": 60, f"{key}/visible": False, "img2img/Sampling steps/value": 5})
    assert config.of("txt2img", KNOBS["steps"]) == {"value": 30, "maximum": 60, "visible": False}
    assert config.of("txt2img", KNOBS["width"]) == {}
    assert config.notices == []


@pytest.mark.parametrize("prefix", ["", "customscript/sampler.py/", "customscript/seed.py/"])
def test_both_spellings_of_a_key(prefix: str):
    assert UiConfig({f"{prefix}txt2img/Sampling steps/value": 12}).of("txt2img", KNOBS["steps"]) == {"value": 12}


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        ("steps", "Sampling steps/value", 0, "between 1 and 1000"),
        ("steps", "Sampling steps/value", "many", "must be a number"),
        ("steps", "Sampling steps/value", None, "a value is needed"),
        ("steps", "Sampling steps/maximum", 10**9, "between"),
        ("steps", "Sampling steps/maximum", float("nan"), "must be a number"),
        ("steps", "Sampling steps/step", 0, "above 0"),
        ("steps", "Sampling steps/visible", "no", "true or false"),
        ("sampler_name", "Sampling method/value", "Nothing", "not among the choices"),
        ("styles", "Styles/value", "Night", "must be a list"),
        ("seed", "Seed/value", -2, "between -1"),
    ],
)
def test_what_does_not_fit_is_said_and_left_out(name: str, key: str, value: object, words: str):
    config = UiConfig({f"txt2img/{key}": value})
    assert config.of("txt2img", KNOBS[name], ["DPM++ 2M"] if name == "sampler_name" else ()) == {}
    assert len(config.notices) == 1
    assert f"txt2img/{key}" in config.notices[0]
    assert words in config.notices[0]


def test_bounds_that_cross_are_dropped_together():
    config = UiConfig({"txt2img/Sampling steps/minimum": 50, "txt2img/Sampling steps/maximum": 10, "txt2img/Sampling steps/value": 20})
    assert config.of("txt2img", KNOBS["steps"]) == {"value": 20}
    assert "not below" in config.notices[0]


@pytest.mark.parametrize("content", ["{", "[1]", "\xff\xfe"])
def test_a_broken_file_is_reported_and_counts_as_empty(tmp_path: Path, content: str):
    path = tmp_path / "ui-config.json"
    path.write_bytes(content.encode("latin-1"))
    config = UiConfig.load([path])
    assert config.of("txt2img", KNOBS["steps"]) == {}
    assert "could not be read" in config.notices[0]


def test_the_first_file_that_exists_is_read(tmp_path: Path):
    own, shipped = tmp_path / "own.json", tmp_path / "shipped.json"
    shipped.write_text(json.dumps({"txt2img/Seed/value": 7}))
    assert UiConfig.load([own, shipped]).of("txt2img", KNOBS["seed"]) == {"value": 7}
    own.write_text("{}")
    assert UiConfig.load([own, shipped]).of("txt2img", KNOBS["seed"]) == {}


def test_the_shipped_file_is_up_to_date_and_changes_nothing():
    shipped = (PROGRAM / "ui-config.json").read_text(encoding="utf-8")
    assert shipped == shipped_ui_config.text(), "write it anew: python -m tests.web.shipped_ui_config --write"
    config = UiConfig.load([PROGRAM / "ui-config.json"])
    for form in (TXT2IMG, IMG2IMG):
        for field in form.fields.values():
            changed = config.of(form.tab, field)
            low, high = field.knob.range
            start = start_of(form, field.name)
            expected = {"visible": True, "value": start, "minimum": low, "maximum": high, "step": field.knob.step}
            for name, value in changed.items():
                if field.name not in shipped_ui_config.FIRST:
                    assert str(value) == str(expected[name]), (form.tab, field.name, name)
    assert config.notices == []
