"""Emphasis, in the values that A1111 users know."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.attention import Piece, parse_attention


def pairs(text: str) -> list[tuple[str, float]]:
    return [("BREAK" if p.is_break else p.text, pytest.approx(p.weight, abs=1e-6)) for p in parse_attention(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words", [("plain words", 1.0)]),
        ("", [("", 1.0)]),
        ("(a)", [("a", 1.1)]),
        ("[a]", [("a", 1 / 1.1)]),
        ("(((sun)))", [("sun", 1.331)]),
        ("(sea", [("sea", 1.1)]),
        ("(a:1.5)", [("a", 1.5)]),
        ("(a: .5 )", [("a", 0.5)]),
        ("(a:-1)", [("a", -1.0)]),
        ("(a:0)", [("a", 0.0)]),
        (r"\(a\) \[b\] \\", [("(a) [b] \\", 1.0)]),
        ("a) b]", [("a) b]", 1.0)]),
        ("(a:1.2", [("a:1.2", 1.1)]),
        ("a:1.2)", [("a:1.2)", 1.0)]),
        ("(ratio 16:9)", [("ratio 16", 9.0)]),
        (
            "old ((barn:1.4) [door] (roof:0.5)), hay",
            [("old ", 1.0), ("barn", 1.54), (" ", 1.1), ("door", 1.0), (" ", 1.1), ("roof", 0.55), (", hay", 1.0)],
        ),
        ("(a [b) c]", [("a ", 1.1), ("b", 1.0), (" c", 1 / 1.1)]),
        ("a BREAK b", [("a", 1.0), ("BREAK", 1.0), ("b", 1.0)]),
        ("(a BREAK b:1.2)", [("a", 1.2), ("BREAK", 1.0), ("b", 1.2)]),
        ("BREAKFAST", [("BREAKFAST", 1.0)]),
    ],
)
def test_weights(text: str, expected: list[tuple[str, float]]) -> None:
    assert pairs(text) == expected


@given(st.text(alphabet="ab ,()[]:\\.19BREAK|#\n", max_size=300))
def test_nothing_raises_and_no_letter_is_lost(text: str) -> None:
    pieces = parse_attention(text)
    assert pieces
    if "BREAK" not in text:
        assert "".join(p.text for p in pieces).count("b") == text.count("b")


@given(st.text(alphabet="abc ,.!", max_size=200))
def test_text_without_brackets_is_one_piece(text: str) -> None:
    assert parse_attention(text) == [Piece(text)]


@pytest.mark.parametrize("text", ["(" * 10_000 + "a" + ")" * 10_000, "[" * 10_000, "a, b: c) " * 110_000, "(a:1" * 10_000, "x" * 1_000_000])
def test_hostile_text_takes_time_in_proportion_to_its_length(text: str) -> None:
    began = time.process_time()
    parse_attention(text)
    assert time.process_time() - began < 8, "a bound that only a runaway reaches; the measured time is far below"
