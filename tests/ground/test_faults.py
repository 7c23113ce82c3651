"""Faults say what happened and travel as plain data."""

from __future__ import annotations

import json

import pytest

from modules import faults
from modules.faults import Fault, ModelFault, RequestFault, UnknownName


def test_data_is_json_with_kind_message_and_details() -> None:
    fault = RequestFault("width", "must be at least 8", got=7, allowed=[8, 16384])
    assert json.loads(json.dumps(fault.data())) == {
        "kind": "request", "message": "width: must be at least 8 (got 7)", "field": "width", "why": "must be at least 8", "got": 7,
        "allowed": [8, 16384],
    }  # fmt: skip
    assert str(fault) == fault.message


def test_more_data_can_be_given() -> None:
    assert ModelFault("broken", path="x").data() == {"kind": "model", "message": "broken", "path": "x"}


def test_long_values_are_cut_in_messages() -> None:
    fault = RequestFault("prompt", "is bad", got="x" * 10_000)
    assert len(fault.message) < 250
    assert "10000 characters" in fault.message


@pytest.mark.parametrize("got", [0, False, 1.5, "", [1, 2], {"a": 1}])
def test_any_value_can_be_shown(got: object) -> None:
    assert json.dumps(RequestFault("f", "is bad", got=got).data())


def test_unknown_names_offer_the_nearest() -> None:
    fault = UnknownName("sampler_name", "Euler b", ["Euler", "Euler a", "DPM++ 2M"])
    assert "did you mean Euler" in fault.message
    assert fault.field == "sampler_name"
    assert fault.close[0] in ("Euler", "Euler a")
    assert UnknownName("sampler_name", "zzzz", ["Euler"]).extra["allowed"] == ["Euler"]


def test_an_unknown_name_is_a_request_fault() -> None:
    with pytest.raises(RequestFault):
        raise UnknownName("style", "a", [])


def test_kinds_are_different() -> None:
    kinds = [c.kind for c in vars(faults).values() if isinstance(c, type) and issubclass(c, Fault)]
    assert len(kinds) == len(set(kinds))


def test_cancelled_is_no_fault() -> None:
    assert not issubclass(faults.Cancelled, Fault)
