"""Emphasis: (more), [less], (word:1.3), and BREAK. From text to pieces with weights, in time proportional to its length.

Knows no tokens and no models. Start reading at `parse_attention`. Source: A1111 1.10's prompt language.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

ROUND, SQUARE = 1.1, 1 / 1.1
WEIGHT_LIMIT = 1e4  # beyond it nothing but infinities would come out of the text encoder
MODES = ("None", "Ignore", "Original", "No norm")
# A bracket; a weight with its closing bracket; else text, escaped brackets in it. Quantifiers that never go back (the possessive
# "+") keep the time in proportion to the length.
_WEIGHT = r":\s{0,8}+[+-]?+(?:\d++\.?+\d*+|\.\d++)\s{0,8}+\)"
_TOKEN = re.compile(rf"[()\[\]]|{_WEIGHT}|(?:[^\\()\[\]:]++|\\[()\[\]\\]?+|:(?!{_WEIGHT[1:]}))++")
_BREAK = re.compile(r"\bBREAK\b")
_ESCAPED = re.compile(r"\\([()\[\]\\{}]|(?=__))")


class Piece(NamedTuple):
    """A stretch of prompt and how much it counts. is_break: an end of chunk, without text."""

    text: str
    weight: float = 1.0
    is_break: bool = False


class _Brackets:
    """One kind of brackets of a text, in order; outer: which one is around it, 0 for none (and 0 itself is no bracket).

    Round and square brackets are two trees, so that they may overlap: in "(a [b) c]" each has its own range.
    """

    def __init__(self) -> None:
        self.outer = [0]
        self.factors = [1.0]

    def weights(self) -> list[float]:
        """The weight inside each bracket: the product of the factors from the outermost in. An unclosed one holds to the end."""
        found: list[float] = []
        for outer, factor in zip(self.outer, self.factors, strict=True):
            found.append(found[outer] * factor if found else 1.0)
        if max(found) > WEIGHT_LIMIT or min(found) < -WEIGHT_LIMIT:
            found = [1.0]
            for outer, factor in zip(self.outer[1:], self.factors[1:], strict=True):
                weight = found[outer] * factor
                found.append(weight if -WEIGHT_LIMIT < weight < WEIGHT_LIMIT else math.copysign(WEIGHT_LIMIT, weight))
        return found


def parse_attention(text: str, mode: str = "Original") -> list[Piece]:
    """Pieces of a prompt with their weights, in order; neighbours of equal weight are one piece. "" is one empty piece.

    mode: one of MODES. "None" reads no syntax at all; "Ignore" takes it out and gives every piece the weight 1; for the other
    two the pieces are the same. An unclosed bracket holds to the end of the text; a stray closing one is plain text.
    """
    if mode == "None":
        return [Piece(text)]
    texts, weights = _read(text)
    if mode == "Ignore":
        weights = [1.0] * len(texts)
    texts, weights = _merged(texts, weights)
    return _broken(texts, weights) if "BREAK" in text else [*map(Piece, texts, weights)] or [Piece("")]


def _read(text: str) -> tuple[list[str], list[float]]:
    """Every stretch between brackets and its weight. One pass over the tokens; the weights follow when every factor is known."""
    rounds, squares = _Brackets(), _Brackets()
    round_outer, round_factors, square_outer, square_factors = rounds.outer, rounds.factors, squares.outer, squares.factors
    texts: list[str] = []
    heavy: list[int] = []
    light: list[int] = []
    inside, among = 0, 0  # the innermost open bracket of each kind
    for token in _TOKEN.findall(text):
        if token == "(":
            round_outer.append(inside)
            inside = len(round_factors)
            round_factors.append(ROUND)
        elif token == ")" and inside:
            inside = round_outer[inside]
        elif token == "[":
            square_outer.append(among)
            among = len(square_factors)
            square_factors.append(SQUARE)
        elif token == "]" and among:
            among = square_outer[among]
        elif inside and token[-1] == ")" and token[0] == ":" and token[-2] != "\\":  # a weight; text ends in no bracket but an escaped one
            round_factors[inside] = float(token[1:-1])
            inside = round_outer[inside]
        else:
            texts.append(token)
            heavy.append(inside)
            light.append(among)
    if "\\" in text:
        texts = [_unescaped(part) for part in texts]
    more, less = rounds.weights(), squares.weights()
    return texts, [more[r] * less[s] for r, s in zip(heavy, light, strict=True)]


def _unescaped(text: str) -> str:
    """What is escaped, without its backslash. Pairs of backslashes are set aside first, so that none of them escapes a bracket."""
    if "\0" in text:
        return _ESCAPED.sub(r"\1", text)
    text = text.replace("\\\\", "\0")
    for kept in ("(", ")", "[", "]", "{", "}", "__"):
        text = text.replace("\\" + kept, kept)
    return text.replace("\0", "\\")


def _merged(texts: list[str], weights: list[float]) -> tuple[list[str], list[float]]:
    """Neighbours of equal weight as one."""
    begins = [0, *(n for n, (a, b) in enumerate(zip(weights, weights[1:]), 1) if a != b)]  # noqa: B905, RUF007 - one shorter on purpose
    if len(begins) == len(texts):
        return texts, weights
    ends = [*begins[1:], len(texts)]
    return ["".join(texts[a:b]) for a, b in zip(begins, ends, strict=True)], [weights[n] for n in begins if n < len(weights)]


def _broken(texts: list[str], weights: list[float]) -> list[Piece]:
    """Cut at BREAK, which eats the white space around it. A break inside brackets is a break too."""
    pieces: list[Piece] = []
    for text, weight in zip(texts, weights, strict=True):
        words = _BREAK.split(text)
        last = len(words) - 1
        for n, word in enumerate(words):
            if n:
                pieces.append(Piece("", 1.0, True))
                word = word.lstrip()
            if n < last:
                word = word.rstrip()
            if word:
                pieces.append(Piece(word, weight))
    return pieces or [Piece("")]
