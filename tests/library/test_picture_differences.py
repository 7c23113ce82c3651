"""Why two pictures differ: keys and words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modules.library.pictures import differences
from modules.library.pictures.differences import Difference, Piece

FIRST = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768, Clip skip: 1, Version: v1.9.0"
SECOND = "a dog\nSteps: 20, Sampler: Euler a, CFG scale: 7.0, Seed: 2, Size: 512x512, Refiner: xl, Version: v1.9.0"


def test_keys_that_differ_with_both_values():
    assert differences.settings(FIRST, SECOND) == [
        Difference("Seed", "1", "2"), Difference("Size", "512x768", "512x512"), Difference("Refiner", None, "xl"),
    ]  # fmt: skip


def test_what_a_text_leaves_out_counts_as_its_default():
    assert differences.settings(FIRST, FIRST.replace("Clip skip: 1, ", "")) == []


def test_readable_holds_what_the_text_says_itself():
    assert differences.readable(FIRST) == [
        ("Steps", "20"), ("Sampler", "Euler a"), ("CFG scale", "7"), ("Seed", "1"), ("Size", "512x768"), ("Clip skip", "1"),
        ("Version", "v1.9.0"),
    ]  # fmt: skip
    assert differences.readable("") == differences.readable("only a prompt") == []


def test_words_that_differ():
    pieces = differences.words("a red cat, <lora:ink:1>", "a blue cat, <lora:ink:0.5>")
    assert pieces == [
        Piece("both", "a "), Piece("first", "red"), Piece("second", "blue"), Piece("both", " cat, "), Piece("first", "<lora:ink:1>"),
        Piece("second", "<lora:ink:0.5>"),
    ]  # fmt: skip


@given(st.text(max_size=200), st.text(max_size=200))
def test_the_pieces_of_a_side_are_its_prompt(first: str, second: str):
    pieces = differences.words(first, second)
    for side, prompt in (("first", first), ("second", second)):
        assert "".join(p.text for p in pieces if p.side in ("both", side)) == prompt


def test_long_prompts_stay_quick_and_whole():
    long = "word " * 200_000
    assert differences.words(long, long + "end")[-1].text.endswith("end")
