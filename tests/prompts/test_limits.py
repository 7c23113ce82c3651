"""A prompt with more syntax than anybody means is refused in words, before any reader sees it."""

from __future__ import annotations

import pytest

from modules.faults import RequestFault
from modules.prompts.limits import MOST_MARKS, check_marks, marks


@pytest.mark.parametrize(("text", "found"), [("", 0), ("a (b:1.2) [c|d] {e} <lora:f:1>", 4), ("__a__", 2), ("a_b ) ] }", 0), ("((", 2)])
def test_marks_are_counted(text: str, found: int) -> None:
    assert marks(text) == found


def test_the_limit_is_as_it_says() -> None:
    check_marks("prompt", "(a) " * MOST_MARKS)
    check_marks("prompt", "words, " * 140_000)
    with pytest.raises(RequestFault, match="the most that are read is") as caught:
        check_marks("hr_prompt", "([" * MOST_MARKS)
    assert caught.value.field == "hr_prompt"
