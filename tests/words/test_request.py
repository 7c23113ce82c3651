"""The request and its records: read leniently as A1111 does, kept exactly, wrong values named."""

from __future__ import annotations

import json

import pytest

from modules.faults import RequestFault
from modules.request import Checkpoint, GenerationRequest, Picture, ResolvedRequest, Result


def test_a1111s_leniency() -> None:
    made = GenerationRequest.from_data({"steps": "12", "width": 512.0, "cfg_scale": 7, "save_images": "true", "no_such_field": 1})
    assert (made.steps, made.width, made.cfg_scale, made.save_images) == (12, 512, 7.0, True)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"steps": None}, "steps"),
        ({"steps": float("nan")}, "steps"),
        ({"steps": True}, "steps"),
        ({"prompt": ["x"]}, "prompt"),
        ({"width": 7}, "width"),
    ],
)
def test_wrong_values_name_their_field(data: dict, field: str) -> None:
    with pytest.raises(RequestFault) as caught:
        GenerationRequest.from_data(data)
    assert caught.value.field == field


def test_a_request_and_a_result_survive_json() -> None:
    request = GenerationRequest(prompt='é\n"', styles=["a"], override_settings={"samples_format": "png"})
    assert GenerationRequest.from_data(json.loads(json.dumps(request.to_data()))) == request
    picture = Picture(index=0, path="/x.png", seed=1, width=2, height=3, infotext="t")
    result = Result(pictures=(picture,), warnings=("w",), seconds={"total": 1.0})
    assert Result.from_data(json.loads(json.dumps(result.to_data()))) == result


def test_a_row_of_another_version_is_refused_with_words() -> None:
    with pytest.raises(RequestFault, match="another version"):
        ResolvedRequest.from_data({"prompt": "x"})


def test_lone_surrogates_and_nul_do_not_get_in() -> None:
    assert GenerationRequest.from_data({"prompt": "a\x00b\ud800c"}).prompt == "ab?c"


def test_a_short_hash_is_ten_digits() -> None:
    made = Checkpoint(title="t", model_name="m", path="/m", family="sd", sha256="0123456789abcdef" * 4)
    assert made.short_hash == "0123456789"
    assert Checkpoint(title="t", model_name="m", path="/m", family="sd").short_hash is None
