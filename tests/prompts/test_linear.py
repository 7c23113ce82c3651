"""Every reader of prompts takes time in proportion to the length of the text, whatever stands in it.

The times themselves are printed by `python -m benchmarks.prompts`.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import pytest

from modules.prompts.attention import parse_attention
from modules.prompts.choices import parse
from modules.prompts.comments import without_comments
from modules.prompts.networks import take_networks
from modules.prompts.schedule import schedule, split_and

SMALL, LARGE = 20_000, 200_000
TIMES_AT_MOST = 45  # 10 is proportional; 100 would be quadratic; the rest is for a busy machine
READERS: dict[str, Callable[[str], object]] = {
    "attention": parse_attention,
    "schedule": lambda text: schedule(text, 4),
    "and": split_and,
    "networks": take_networks,
    "comments": without_comments,
    "choices": parse,
}
REPEATED = (
    "(a)b", "[a|b]", "([", "([a)]b", "[a:b:0.5]", ":1", " ", "1", "\\(", "BREAK ", "a AND ", ")]", "a#\n", "<a:", "<lora:x:1>", "{a|b}",
    "{a", "{2$$a|", "${a=", "__a__", "_", "__a b", "$", "|", "a:1 ",
)  # fmt: skip
NESTED = (("(", ")"), ("[", ":1]"), ("{a|", "}"), ("{", "}"), ("([", ")]"), (":", "1"), ("__", "a"), ("<a:", ">"))


def texts(length: int) -> dict[str, str]:
    repeated = {part: part * (length // len(part)) for part in REPEATED}
    return repeated | {f"{a}..{b}": a * (length // 2 // len(a)) + b * (length // 2 // len(b)) for a, b in NESTED}


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Garbage is not collected meanwhile: how long that takes depends on everything else that is alive."""
    gc.disable()
    yield
    gc.enable()


def seconds(reader: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    reader(text)
    return max(time.process_time() - began, 0.002)


@pytest.mark.parametrize("name", READERS)
def test_ten_times_the_text_takes_about_ten_times_as_long(name: str) -> None:
    large = texts(LARGE)
    for part, text in texts(SMALL).items():
        small = max(seconds(READERS[name], text) for _ in range(2))
        ratio = seconds(READERS[name], large[part]) / small
        if ratio > TIMES_AT_MOST:  # once may be bad luck
            ratio = seconds(READERS[name], large[part]) / small
        assert ratio <= TIMES_AT_MOST, f"{part!r} repeated: {ratio:.0f} times as long for ten times the text"
