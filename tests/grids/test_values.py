"""The text of an axis as values, against A1111's rules and NumPy's rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.faults import RequestFault
from modules.grids.values import MOST_VALUES, as_kind, join_list, read_values, split_list


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1-5", [1, 2, 3, 4, 5]),
        ("1-10 (+2)", [1, 3, 5, 7, 9]),
        ("10-1 (-3)", [10, 7, 4]),
        ("1-10 [5]", [1, 3, 5, 7, 10]),
        ("-2--1", [-2, -1]),
        ("3, , 1-2,\n7", [3, 1, 2, 7]),
        ("5-1", []),
        ("1-1 [1]", [1]),
    ],
)
def test_whole_numbers(text: str, values: list[int]) -> None:
    assert read_values(text, "int", "Steps") == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0-1 (+0.25)", [0, 0.25, 0.5, 0.75, 1]),
        ("0-1 [5]", [0, 0.25, 0.5, 0.75, 1]),
        ("1-3", [1, 2, 3]),
        ("1-0 (-0.5)", [1, 0.5, 0]),
        ("-1.5--0.5 [3]", [-1.5, -1, -0.5]),
        (".5, 7", [0.5, 7]),
    ],
)
def test_numbers(text: str, values: list[float]) -> None:
    assert read_values(text, "float", "CFG Scale") == values


@given(st.integers(-40, 40), st.integers(1, 60), st.integers(1, 30), st.integers(1, 25))
def test_steps_and_parts_are_rounded_as_numpy_rounds(start: int, length: int, step: int, count: int) -> None:
    begin, end, by = start / 10, (start + length) / 10, step / 20
    expected = np.arange(begin, end + by, by).tolist()
    assert read_values(f"{begin}-{end} (+{by})", "float", "Eta") == expected
    assert read_values(f"{begin}-{end} [{count}]", "float", "Eta") == np.linspace(begin, end, count).tolist()
    whole = [int(v) for v in np.linspace(start, start + length, count).tolist()]
    assert read_values(f"{start}-{start + length} [{count}]", "int", "Steps") == whole


def test_texts_switches_orders_and_json() -> None:
    assert read_values('a, "b, c",  d \n"say ""e"""', "str", "Prompt") == ["a", "b, c", "d", 'say "e"']
    assert read_values("True, no, 1", "bool", "FreeU") == [True, False, True]
    assert len(read_values("a, b, c", "order", "Prompt order")) == 6
    assert read_values('"{""a"": [1, 2]}", 3', "json", "Override settings") == [{"a": [1, 2]}, 3]
    assert as_kind(["1-3", "5"], "int", "Steps") == [1, 2, 3, 5]


@given(st.lists(st.text(alphabet="ab,\"' x", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=5))
def test_a_written_list_is_read_back(values: list[str]) -> None:
    assert split_list(join_list(values)) == values


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("1-x", "int", "'1-x' is no whole number"),
        ("1.5", "int", "no whole number"),
        ("nan", "float", "no number"),
        ("1-5 (+0)", "int", "step of 0"),
        ("maybe", "bool", "neither True nor False"),
        ("a,b,c,d,e,f,g", "order", "too many orders"),
        ("{", "json", "is not JSON"),
        (f"1-{MOST_VALUES + 1}", "int", "more than"),
        (f"0-1 [{MOST_VALUES + 1}]", "float", "more than"),
        ("9" * 5000, "int", "no whole number"),
    ],
)
def test_wrong_values_are_refused_in_words(text: str, kind: str, words: str) -> None:
    with pytest.raises(RequestFault, match="Axis") as caught:
        read_values(text, kind, "Axis")
    assert words in caught.value.message
