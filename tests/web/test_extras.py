"""The Extras form as a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.request.extras import ExtrasRequest
from modules.web.tabs.extras import FIELDS, STARTS, request_of

REFERENCE = "input:" + "a" * 64


def form(**changed: Any) -> dict[str, Any]:
    knobs = knobs_of(ExtrasRequest)
    return {name: STARTS.get(name, knobs[name].default) for name in FIELDS} | {"resize_mode": "Scale by"} | changed


def pictures(mode: str, *names: str) -> str:
    return json.dumps({"mode": mode, "pictures": [{"reference": REFERENCE, "name": name} for name in names]})


def test_a_single_picture() -> None:
    asked = request_of(pictures("single", "a.png"), form(resize_mode="Scale to", input_dir="left over", output_dir="left over"))
    assert (asked.images, asked.image_names, asked.resize_mode, asked.upscaler_1) == ([REFERENCE], ["a.png"], 1, "Lanczos")
    assert (asked.input_dir, asked.output_dir) == ("", "")


def test_a_folder() -> None:
    asked = request_of(pictures("dir"), form(input_dir="outputs", output_dir="outputs/large", upscaling_resize=None))
    assert (asked.images, asked.input_dir, asked.output_dir, asked.resize_mode) == ([], "outputs", "outputs/large", 0)
    assert asked.upscaling_resize == knobs_of(ExtrasRequest)["upscaling_resize"].default


@pytest.mark.parametrize(
    ("held", "changed", "field"),
    [
        (pictures("dir"), {}, "input_dir"),
        ("not JSON", {}, "images"),
        ('{"pictures": [1]}', {}, "images"),
        ("[]", {}, "images"),
        (pictures("single", "a"), {"upscaling_resize": "much"}, "upscaling_resize"),
        (pictures("single", "a"), {"resize_mode": "Scale down"}, "resize_mode"),
    ],
)
def test_what_makes_no_sense_is_named(held: str, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestFault) as caught:
        request_of(held, form(**changed))
    assert caught.value.field == field
