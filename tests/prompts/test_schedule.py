"""Prompt editing and AND, in the expansions that A1111 users know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.schedule import AND_WEIGHT_LIMIT, schedule, split_and


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[sun:.25]", [(12, "sun")]),
        ("[sun:1.5]", [(6, ""), (12, "sun")]),
        ("[a:b:0.9]", [(12, "b")]),
        ("[a:b:1.0]", [(12, "b")]),
        ("[a:b:2.0]", [(12, "a")]),
        ("[a:b:5]", [(12, "b")]),
        ("[a:b:15]", [(3, "a"), (12, "b")]),
        ("[a:b:12]", [(12, "b")]),
        ("oak [a|b]", [(1, "oak a"), (2, "oak b"), (3, "oak a")]),
    ],
)
def test_a_second_pass_counts_on(text: str, expected: list[tuple[int, str]]) -> None:
    """Twelve steps after twelve: shares from 1.0 to 2.0 and steps above 12 are its own."""
    assert [(s.until, s.text) for s in schedule(text, 12, first_pass=12)][:3] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a:b:.5]", [(6, "a"), (12, "b")]),
        ("[a:b:1.5]", [(1, "a"), (12, "b")]),
        ("[a:b:4]", [(4, "a"), (12, "b")]),
        ("[a:b:0]", [(12, "b")]),
    ],
)
@pytest.mark.parametrize("first_pass", [None, 12])
def test_the_old_rule_knows_no_second_pass(text: str, expected: list[tuple[int, str]], first_pass: int | None) -> None:
    assert [(s.until, s.text) for s in schedule(text, 12, first_pass=first_pass, old=True)] == expected


@pytest.mark.parametrize("when", ["-1", "-.5", "0.0"])
def test_a_number_of_zero_or_less_has_switched_already(when: str) -> None:
    assert rows(f"[a:b:{when}]") == [(12, "b")]


@pytest.mark.parametrize("when", ["9" * 5000, "9" * 500 + ".5"])
def test_a_number_beyond_all_bounds_never_switches(when: str) -> None:
    assert rows(f"[a:b:{when}]") == [(12, "a")]


def test_cycles_of_different_lengths_and_switches_together() -> None:
    found = schedule("[a|b][c|d|e][f:g:3]", 6)
    assert [s.text for s in found] == ["acf", "bdf", "aef", "bcg", "adg", "beg"]
    assert rows("[[a|b]:c:2][|d]", 4) == [(1, "a"), (2, "bd"), (3, "c"), (4, "cd")]


def test_a_separator_in_round_brackets_is_theirs() -> None:
    assert rows("[(a:1.2)|b]", 2) == [(1, "(a:1.2)"), (2, "b")]
    assert rows("[(a|b)]", 2) == [(2, "[(a|b)]")]
    assert rows("([a:b) c:6]") == [(12, "([a:b) c:6]")]


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
        ("a AND b : 1.5  AND c:x AND", [("a ", 1.0), (" b", 1.5), (" c:x ", 1.0), ("", 1.0)]),
        ("a:" + "9" * 400, [("a", AND_WEIGHT_LIMIT)]),
    ],
)
def test_and(text: str, expected: list[tuple[str, float]]) -> None:
    assert split_and(text) == expected


@given(st.text(max_size=200), st.integers(1, 30), st.none() | st.integers(1, 30), st.booleans())
def test_any_text_can_be_read(text: str, steps: int, first_pass: int | None, old: bool) -> None:
    for part, weight in split_and(text):
        assert abs(weight) <= AND_WEIGHT_LIMIT
        assert schedule(part, steps, first_pass=first_pass, old=old)[-1].until == steps


@given(st.lists(st.tuples(st.text(alphabet="abc ", max_size=5), st.integers(1, 29)), min_size=1, max_size=6))
def test_every_switch_is_where_it_says(switches: list[tuple[str, int]]) -> None:
    """Each word is there from the step after its number on, whatever the others do."""
    text = " ".join(f"[<{n}{word}>:{when}]" for n, (word, when) in enumerate(switches))
    found = schedule(text, 30)
    for before, stretch in zip([0, *(s.until for s in found)], found, strict=False):
        for step in (before + 1, stretch.until):
            assert [f"<{n}" in stretch.text for n in range(len(switches))] == [step > when for _, when in switches]
