"""Knobs: one declaration, read as bounds and types; values in A1111's lenient forms."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import annotated_types as at
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.faults import RequestFault
from modules.knobs import Knob, coerce, knobs_of


@dataclass(frozen=True)
class Form:
    """Fields of every kind."""

    steps: Annotated[int, Knob("Steps", 1, 150, ui=(1, 100), infotext="Steps")] = 20
    scale: Annotated[float, Knob("Scale", 0, 30)] = 7.0
    seed: Annotated[int, Knob("Seed", -1, 2**63 - 1)] = -1
    on: Annotated[bool, Knob("On")] = False
    text: Annotated[str, Knob("Text", max_chars=10)] = ""
    pick: Annotated[str, Knob("Pick", choices=("a", "b"))] = "a"
    kind: Annotated[Literal["x", "y"], Knob("Kind")] = "x"
    size: Annotated[int | None, Knob("Size", 8)] = None
    names: Annotated[list[str], Knob("Names")] = field(default_factory=list)
    extra: Annotated[dict[str, Any], Knob("Extra")] = field(default_factory=dict)
    plain: int = 5


FORM = knobs_of(Form)


def test_fields_with_a_knob_in_order() -> None:
    assert list(FORM) == ["steps", "scale", "seed", "on", "text", "pick", "kind", "size", "names", "extra"]
    assert (FORM["size"].kind, FORM["size"].optional, FORM["steps"].optional) == (int, True, False)
    assert (FORM["names"].kind, FORM["extra"].kind, FORM["kind"].kind) == (list, dict, str)
    assert (FORM["steps"].default, FORM["names"].default, FORM["steps"].knob.infotext) == (20, [], "Steps")


def test_the_slider_may_be_narrower_than_the_bounds() -> None:
    assert FORM["steps"].knob.range == (1, 100)
    assert FORM["scale"].knob.range == (0, 30)


def test_bounds_for_schemas() -> None:
    assert list(FORM["steps"].knob) == [at.Ge(1), at.Le(150)]
    assert list(FORM["text"].knob) == [at.MaxLen(10)]
    assert list(FORM["on"].knob) == []


@pytest.mark.parametrize(
    ("name", "given_value", "expected"),
    [
        ("steps", 20, 20), ("steps", "20", 20), ("steps", 20.0, 20), ("steps", " 20 ", 20), ("steps", 20.9, 20), ("scale", 7, 7.0),
        ("scale", "7.5", 7.5), ("on", "True", True), ("on", 0, False), ("on", "off", False), ("size", None, None), ("size", 8, 8),
        ("pick", "b", "b"), ("names", ["a"], ["a"]), ("extra", {"a": 1}, {"a": 1}), ("text", "a\x00b", "ab"), ("text", "\ud800", "?"),
        ("seed", 2**63 - 1, 2**63 - 1),
    ],
)  # fmt: skip
def test_values_take_their_type(name: str, given_value: object, expected: object) -> None:
    found = coerce(FORM[name], given_value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "given_value"),
    [
        ("steps", 0), ("steps", 151), ("steps", "many"), ("steps", None), ("steps", True), ("steps", [1]), ("steps", math.nan),
        ("steps", math.inf), ("steps", "1e999"), ("scale", "nan"), ("scale", -0.1), ("size", 7), ("on", "maybe"), ("on", 2), ("on", None),
        ("text", "x" * 11), ("text", 5), ("pick", "c"), ("names", "abc"), ("names", {"a": 1}), ("extra", []), ("seed", 2**63),
    ],
)  # fmt: skip
def test_bad_values_name_their_field(name: str, given_value: object) -> None:
    with pytest.raises(RequestFault) as caught:
        coerce(FORM[name], given_value)
    assert caught.value.field == name


@pytest.mark.parametrize("name", ["steps", "scale", "seed"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_whole_number_too_large_for_a_float_is_refused(name: str, sign: int) -> None:
    with pytest.raises(RequestFault):
        coerce(FORM[name], sign * 10**400)


_SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


@given(st.sampled_from(list(FORM.values())), _SIMPLE | st.lists(_SIMPLE) | st.dictionaries(st.text(), _SIMPLE))
def test_anything_is_taken_within_bounds_or_refused(knob_field: Any, value: Any) -> None:
    try:
        found = coerce(knob_field, value)
    except RequestFault:
        return
    assert found is None or isinstance(found, knob_field.kind)
    low, high = knob_field.knob.low, knob_field.knob.high
    assert low is None or found is None or found >= low
    assert high is None or found is None or found <= high
