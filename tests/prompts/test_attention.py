"""Emphasis, in the values that A1111 users know."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.knobs import knobs_of
from modules.prompts.attention import MODES, WEIGHT_LIMIT, Piece, parse_attention
from modules.settings import Settings


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
        (r"(a:\)", [("a:)", 1.1)]),
        (r"(a:1\):1.5)", [("a:1)", 1.5)]),
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


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("Original", [("a ", 1.0), ("b", 1.2), ("BREAK", 1.0), ("(c)", 1.0)]),
        ("No norm", [("a ", 1.0), ("b", 1.2), ("BREAK", 1.0), ("(c)", 1.0)]),
        ("Ignore", [("a b", 1.0), ("BREAK", 1.0), ("(c)", 1.0)]),
        ("None", [(r"a (b:1.2) BREAK \(c\)", 1.0)]),
    ],
)
def test_modes(mode: str, expected: list[tuple[str, float]]) -> None:
    assert [("BREAK" if p.is_break else p.text, p.weight) for p in parse_attention(r"a (b:1.2) BREAK \(c\)", mode)] == expected


def test_there_is_a_mode_for_every_choice_of_the_setting() -> None:
    assert knobs_of(Settings)["emphasis"].knob.choices == MODES


def test_what_is_escaped_for_wildcards_is_plain_text_here() -> None:
    assert parse_attention(r"\{a|b\} \__name__ \\") == [Piece("{a|b} __name__ \\")]
    assert parse_attention("\0\\(") == [Piece("\0(")]


@pytest.mark.parametrize(
    "text", ["(" * 20_000 + "a", "(" * 400 + "a:99999)" + ")" * 399, "(a:" + "9" * 400 + ")", "((a:0):" + "9" * 400 + ")"]
)
def test_weights_stay_finite(text: str) -> None:
    assert all(abs(piece.weight) <= WEIGHT_LIMIT for piece in parse_attention(text))


def text_of(pieces: list[Piece]) -> str:
    """A prompt that says the same."""
    words = [re.sub(r"([()\[\]\\])", r"\\\1", piece.text) for piece in pieces]
    rows = zip(pieces, words, strict=True)
    return "".join(" BREAK " if p.is_break else word if p.weight == 1 else f"({word}:{p.weight:.12f})" for p, word in rows)


@given(st.lists(st.sampled_from(["a", " ", "(", ")", "[", "]", ":", "1.2", ":1.5)", "\\", ".", ",", "BREAK", "-", "{", "__"]), max_size=40))
def test_round_trip(parts: list[str]) -> None:
    pieces = parse_attention("".join(parts))
    again = parse_attention(text_of(pieces))
    assert [(p.text, p.is_break) for p in again] == [(p.text, p.is_break) for p in pieces]
    assert [p.weight for p in again] == pytest.approx([p.weight for p in pieces], abs=1e-9)


@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 5), st.integers(0, 5))
def test_weights_multiply(inner: float, outer: float, rounds: int, squares: int) -> None:
    text = "(" * rounds + "[" * squares + f"((a:{inner:.6f}):{outer:.6f})" + "]" * squares + ")" * rounds
    [piece] = parse_attention(text)
    assert piece.weight == pytest.approx(round(inner, 6) * round(outer, 6) * 1.1 ** (rounds - squares), abs=1e-9)


@given(st.text(max_size=200), st.sampled_from(MODES))
def test_any_text_can_be_read(text: str, mode: str) -> None:
    assert parse_attention(text, mode)
