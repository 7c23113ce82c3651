"""Prompt editing and AND, in the expansions that A1111 users know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.schedule import schedule, split_and


def rows(text: str, steps: int = 12) -> list[tuple[int, str]]:
    return [(s.until, s.text) for s in schedule(text, steps)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oak", [(12, "oak")]),
        ("oak [leaf:4]", [(4, "oak "), (12, "oak leaf")]),
        ("[dog:[cat:owl:6]:3] park", [(3, "dog park"), (6, "cat park"), (12, "owl park")]),
        ("red [ hat : cap : 2] man", [(2, "red  hat  man"), (12, "red  cap  man")]),
        ("[sun:.25]", [(3, ""), (12, "sun")]),
        ("[a::6] b", [(6, "a b"), (12, " b")]),
        ("tree [open", [(12, "tree [open")]),
        ("([a:b:6]:1.3)", [(6, "(a:1.3)"), (12, "(b:1.3)")]),
        ("[a:b:0]", [(12, "b")]),
        ("[a:b:99]", [(12, "a")]),
        ("[a:1.5x]", [(12, "[a:1.5x]")]),
        ("[a]", [(12, "[a]")]),
        (r"\[a:b:6\]", [(12, r"\[a:b:6\]")]),
        ("a) b]", [(12, "a) b]")]),
        ("[(a:b:6]", [(12, "[(a:b:6]")]),  # an unclosed bracket inside: what is in it stays text
    ],
)
def test_editing(text: str, expected: list[tuple[int, str]]) -> None:
    assert rows(text) == expected


def test_alternation_changes_with_every_step() -> None:
    assert [s.text for s in schedule("[wo||]man", 6)][:3] == ["woman", "man", "woman"]
    assert rows("[wo||]man", 6) == [(1, "woman"), (3, "man"), (4, "woman"), (6, "man")]
    assert rows("[a|b]", 3) == [(1, "a"), (2, "b"), (3, "a")]


@given(st.text(alphabet="ab[]()|:.5 1\\", max_size=200), st.integers(1, 40))
def test_nothing_raises_and_the_last_stretch_ends_at_the_last_step(text: str, steps: int) -> None:
    found = schedule(text, steps)
    assert found[-1].until == steps
    assert [s.until for s in found] == sorted({s.until for s in found})


@given(st.text(alphabet="abc ,.:()|", max_size=200))
def test_text_without_square_brackets_stays_as_it_is(text: str) -> None:
    assert rows(text) == [(12, text)]


def test_deep_nesting_is_text_and_not_a_crash() -> None:
    text = "[" * 5_000 + "a" + "]" * 5_000
    assert rows(text) == [(12, text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("a cat AND a dog", [("a cat ", 1.0), (" a dog", 1.0)]),
        ("a cat :1.2 AND a dog:-0.5", [("a cat", 1.2), (" a dog", -0.5)]),
        ("(a:1.3) AND b", [("(a:1.3) ", 1.0), (" b", 1.0)]),
        ("SAND AND LAND", [("SAND ", 1.0), (" LAND", 1.0)]),
        ("a and b", [("a and b", 1.0)]),
    ],
)
def test_and(text: str, expected: list[tuple[str, float]]) -> None:
    assert split_and(text) == expected
