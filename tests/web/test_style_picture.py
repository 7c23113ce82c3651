"""The style picture in the forms: in the request when there is one, and only then; and back from a parameters text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from modules.faults import UnknownName
from modules.request import GenerationRequest
from modules.web.form import request_of, start_of, values_from
from modules.web.form_fields import CHECKPOINT, IMG2IMG, STYLE, TXT2IMG, Form
from tests.web.fake_app import STARTER
from tests.web.test_form import TEXT, form, img2img
from tests.web.test_img2img import picture, png

REFERENCE = "input:" + "5" * 64
CHANGED = {"style_strength": 0.9, "style_statistics": 0.1, "style_adapter": "plus", "composition_strength": 0.4}
FORMS = [(TXT2IMG, form), (IMG2IMG, img2img)]


def told(reference: str, more: str = "") -> str:
    return TEXT.replace("Version", f"Style image: {reference.removeprefix('input:')}, Style strength: 0.3, {more}Version")


@pytest.mark.parametrize(("of", "made"), FORMS)
def test_a_style_picture_reaches_the_request_with_its_numbers(of: Form, made: Any):
    request = request_of(made(style_image=REFERENCE, **CHANGED), of)
    assert request.style_image == REFERENCE
    assert {name: getattr(request, name) for name in STYLE} == CHANGED
    assert request_of(made(style_image=REFERENCE), of).style_adapter is None


@pytest.mark.parametrize(("of", "made"), FORMS)
def test_without_a_style_picture_nothing_of_it_counts(of: Form, made: Any):
    assert request_of(made(**CHANGED), of) == request_of(made(), of)
    plain = GenerationRequest(prompt="")
    request = request_of(made(), of)
    assert {name: getattr(request, name) for name in ("style_image", *STYLE)} == {
        name: getattr(plain, name) for name in ("style_image", *STYLE)
    }


@pytest.mark.parametrize("of", [TXT2IMG, IMG2IMG])
def test_a_text_brings_its_style_picture_and_one_without_takes_it_away(app: Any, of: Form):
    reference = app.inputs.put(png(picture()))
    filled = values_from(app, told(reference), of)
    assert filled.notices == []
    assert [filled.values[name] for name in ("style_image", *STYLE)] == [reference, 0.3, 0.5, "None", 0.0]
    given = {**{name: start_of(of, name) for name in of.fields}, CHECKPOINT: STARTER.title, **filled.values}
    request = request_of([given[name] for name in of.names], of)
    assert (request.style_image, request.style_strength) == (reference, 0.3)
    assert values_from(app, TEXT, of).values["style_image"] == ""
    assert "style_image" not in values_from(app, "only a prompt", of).values


def test_a_style_picture_that_is_gone_is_said(app: Any):
    filled = values_from(app, told(REFERENCE))
    assert filled.values["style_image"] == ""
    assert any("style picture" in notice for notice in filled.notices)


def test_an_adapter_of_a_text_is_known_or_said(app: Any):
    def find(kind: str, name: str) -> Any:
        if (kind, name) == ("ip_adapter", "plus"):
            return SimpleNamespace(name="plus.safetensors")
        raise UnknownName("style_adapter", name, [])

    app.library.find = find
    reference = app.inputs.put(png(picture()))
    there = values_from(app, told(reference, "IP-Adapter: plus, Composition strength: 0.2, "))
    assert (there.values["style_adapter"], there.values["composition_strength"], there.notices) == ("plus.safetensors", 0.2, [])
    gone = values_from(app, told(reference, "IP-Adapter: gone, "))
    assert gone.values["style_adapter"] == "None"
    assert any("gone" in notice for notice in gone.notices)
