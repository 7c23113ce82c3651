"""The grammar of prompts with choices: from text to nodes, in time proportional to its length.

Knows nothing about files and draws nothing. Start reading at `parse`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

JOINER = ", "
MANY = 1_000_000
# A name: words, "-", ".", "/", "*" and single "_" and " " in between.
_NAME = r"(?:[^\W_]|[-./*]|[_ ](?=[^\W_]|[-./*])){1,200}+"
_TOKEN = re.compile(
    rf"__{_NAME}__|\$\{{|\$\$|[{{}}|\[\]]"
    rf"|(?:[^\\${{}}|\[\]_]++|\\(?:__{_NAME}__|.?)|\$(?![${{])|_(?!_{_NAME}__))++",
    re.DOTALL,
)
_COUNT = re.compile(r"\s*(?:(\d{1,4})|(\d{0,4})-(\d{0,4}))\s*")
_WEIGHT = re.compile(r"\s*(\d{1,9}\.?\d{0,9}|\.\d{1,9})::")
_VARIABLE = re.compile(r"\s*([A-Za-z_]\w{0,99})\s*(?:(=)\s*(!?)|(:))?")


class Choice(NamedTuple):
    """low to high of the options, none twice, joined."""

    options: list[Option]
    low: int = 1
    high: int = 1
    joiner: str = JOINER


class Wildcard(NamedTuple):
    """A line of a file. written: as it stands in the text."""

    name: str
    written: str


class Remember(NamedTuple):
    """From here on a variable means these nodes: drawn now, once (at_once), or each time it is used. Itself it is no text."""

    name: str
    nodes: list[Node]
    at_once: bool


class Recall(NamedTuple):
    """What a variable means. fallback: when it means nothing yet; written: as it stands in the text."""

    name: str
    fallback: list[Node] | None
    written: str


Node = str | Choice | Wildcard | Remember | Recall
Option = tuple[float, list[Node] | str]  # its weight, and nodes or a text that was not parsed yet
_Part = Node | list["_Part"]


@dataclass(slots=True)
class _Open:
    """An open brace. parts: what was found so far, the brace first; bars: where "|" stands in them; squares: open "[" inside."""

    parts: list[_Part]
    bars: list[int]
    squares: int = 0


def parse(text: str) -> list[Node]:
    """The nodes of a text; [text] itself when nothing is to be drawn. A brace that holds neither "|" nor "$$" is text, and so is one
    that is not closed. A backslash keeps what follows from being syntax; it stays where it is. "|" in square brackets is theirs.
    """
    if "{" not in text and "__" not in text:
        return [text]
    stack = [_Open([], [])]
    for token in _TOKEN.findall(text):
        top = stack[-1]
        if token in ("{", "${"):
            stack.append(_Open([token], []))
        elif token == "}" and len(stack) > 1:
            top.parts.append(token)
            stack.pop()
            stack[-1].parts.append(_closed(top))
        elif token == "|" and len(stack) > 1 and not top.squares:
            top.bars.append(len(top.parts))
            top.parts.append(token)
        elif token[:2] == "__" and token[-2:] == "__" and len(token) > 4:
            top.parts.append(Wildcard(token[2:-2], token))
        else:
            top.squares = max(0, top.squares + (token == "[") - (token == "]"))
            top.parts.append(token)
    return _flat([part for brace in stack for part in brace.parts]) or [text]


def weighed(line: str) -> Option:
    """A line of a file as an option: "0.5::red" weighs 0.5."""
    found = _WEIGHT.match(line)
    return (float(found.group(1)), line[found.end() :]) if found else (1.0, line)


def _flat(parts: list[_Part]) -> list[Node]:
    """Without lists in lists, and neighbouring texts as one."""
    found: list[Node] = []
    run: list[str] = []
    waiting = parts[::-1]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            run.append(part)
        elif isinstance(part, list):
            waiting += part[::-1]
        else:
            if run:
                found.append("".join(run))
                run = []
            found.append(part)
    return [*found, "".join(run)] if run else found


def _closed(brace: _Open) -> _Part:
    """A brace from its beginning to "}": a variable, a choice, or its parts when it is neither."""
    if brace.parts[0] == "${":
        return _variable(brace.parts)
    count, first = _count(brace)
    if not brace.bars and count is None:
        return brace.parts
    edges = [first - 1, *brace.bars, len(brace.parts) - 1]
    options = [_option(brace.parts[a + 1 : b]) for a, b in zip(edges, edges[1:])]  # noqa: B905, RUF007 - neighbours
    if count is None:
        return Choice(options)
    low, high, joiner = count
    return Choice(options, min(low, high), high if high >= low else low, joiner)


def _count(brace: _Open) -> tuple[tuple[int, int, str] | None, int]:
    """((lowest, highest number of options, what joins them) or None when "$$" does not say it, where the first option begins)."""
    head = brace.parts[1 : brace.bars[0] if brace.bars else -1]
    asked = _COUNT.fullmatch(head[0]) if len(head) > 1 and isinstance(head[0], str) and head[1] == "$$" else None
    if asked is None:
        return None, 1
    exact, low, high = asked.groups()
    bounds = (int(exact), int(exact)) if exact else (int(low or 1), int(high or MANY))
    more = next((n for n, part in enumerate(head[2:]) if part == "$$"), None)
    texts = [part for part in head[2 : 2 + (more or 0)] if isinstance(part, str)]
    if more is None or len(texts) < more:
        return (*bounds, JOINER), 3
    return (*bounds, "".join(texts)), 4 + more


def _option(parts: list[_Part]) -> Option:
    nodes = _flat(parts)
    found = _WEIGHT.match(nodes[0]) if nodes and isinstance(nodes[0], str) else None
    if found is None:
        return 1.0, nodes
    return float(found.group(1)), [found.string[found.end() :], *nodes[1:]]


def _variable(parts: list[_Part]) -> _Part:
    """ "${name=text}", "${name=!text}", "${name}" or "${name:text}"; the parts themselves when it is none of these."""
    head = parts[1]
    found = _VARIABLE.match(head) if isinstance(head, str) else None
    if found is None or not isinstance(head, str):
        return parts
    name, equals, now, colon = found.groups()
    value = _flat([head[found.end() :], *parts[2:-1]])
    if equals:
        return Remember(name, value, bool(now))
    if colon:
        return Recall(name, value, "")
    return parts if head[found.end() :] or len(parts) > 3 else Recall(name, None, f"${{{head}}}")
