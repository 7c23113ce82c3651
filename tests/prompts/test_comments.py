"""Comments in prompts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompts.comments import without_comments


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a cat", "a cat"),
        ("  a cat \n", "  a cat \n"),
        ("a cat # black", "a cat"),
        ("# black\na cat", "a cat"),
        ("a\n   # b\nc", "a\nc"),
        ("a # b # c\nd", "a\nd"),
        ("a\n\nb #", "a\n\nb"),
        ("color #ff0000", "color"),
        ("#", ""),
    ],
)
def test_comments_go_and_the_rest_stays(text: str, kept: str) -> None:
    assert without_comments(text) == kept


@given(st.text(alphabet="a# \n", max_size=60))
def test_nothing_is_left_of_them(text: str) -> None:
    assert "#" not in without_comments(text)
    assert without_comments(text).count("a") == sum(line.split("#")[0].count("a") for line in text.split("\n"))
