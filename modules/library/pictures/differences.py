"""Why two pictures differ, from their parameters texts: keys with both values, and the words of the prompts.

Knows infotext, nothing about files. Start reading at `settings`, `words` and `readable`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from modules import infotext

PROMPTS = ("Prompt", "Negative prompt")
WORDS = 3000
_WORD = re.compile(r"\s+|<[^<>]*>|[\w'’-]+|[^\w\s]")
_SIZE = re.compile(r"(.+)-([12])")


@dataclass(frozen=True)
class Difference:
    """A key of the parameters text that differs; None where a text does not have it."""

    key: str
    first: str | None
    second: str | None


@dataclass(frozen=True)
class Piece:
    """A piece of prompt. side: in both texts, or in one only."""

    side: Literal["both", "first", "second"]
    text: str


def settings(first: str, second: str) -> list[Difference]:
    """The keys whose values differ, prompts apart, in the order of the texts. What a text leaves out counts as its default."""
    a, b = _in_order(first), _in_order(second)
    keys = [key for key in dict.fromkeys([*a, *b]) if key not in PROMPTS]
    return [Difference(key, a.get(key), b.get(key)) for key in keys if _plain(a.get(key)) != _plain(b.get(key))]


def readable(text: str) -> list[tuple[str, str]]:
    """(key, value) of what a parameters text says itself, prompts and the defaults of what it leaves out apart; sizes as one."""
    told = infotext.parse(text).told
    return [(key, value) for key, value in _in_order(text).items() if key in told or f"{key}-1" in told]


def words(first: str, second: str) -> list[Piece]:
    """Two prompts as pieces that both have or one of them only; put together, each side gives its prompt again."""
    a, b = _cut(first), _cut(second)
    pieces: list[Piece] = []
    for tag, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("both", "".join(a[a1:a2])))
            continue
        if a2 > a1:
            pieces.append(Piece("first", "".join(a[a1:a2])))
        if b2 > b1:
            pieces.append(Piece("second", "".join(b[b1:b2])))
    return pieces


def _cut(prompt: str) -> list[str]:
    """Words, marks and white space; what goes beyond WORDS of them stands as one piece."""
    found = [match.group() for match in _WORD.finditer(prompt)]
    return found if len(found) <= WORDS else [*found[:WORDS], "".join(found[WORDS:])]


def _in_order(text: str) -> dict[str, str]:
    """The keys of a text as they stand in it, the defaults of what it leaves out behind them; sizes as one."""
    parsed = infotext.parse(text)
    last = text.strip().rpartition("\n")[2]

    def place(item: tuple[str, str]) -> int:
        found = _SIZE.fullmatch(item[0])
        return last.find(f"{found.group(1) if found else item[0]}:") if item[0] in parsed.told else len(last)

    return _joined(dict(sorted(parsed.items(), key=place)))


def _joined(parsed: dict[str, str]) -> dict[str, str]:
    """Sizes as one key again: Size-1 and Size-2 as Size."""
    found: dict[str, str] = {}
    for key, value in parsed.items():
        size = _SIZE.fullmatch(key)
        name = size.group(1) if size else key
        if size and f"{name}-1" in parsed and f"{name}-2" in parsed:
            found[name] = f"{parsed[f'{name}-1']}x{parsed[f'{name}-2']}"
        else:
            found[key] = value
    return found


def _plain(value: str | None) -> str | float | None:
    """7 and 7.0 are the same number."""
    try:
        return float(value) if value is not None and len(value) < 16 else value
    except ValueError:
        return value
