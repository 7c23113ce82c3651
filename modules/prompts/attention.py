"""Emphasis: (more), [less], (word:1.3), and BREAK. From text to pieces with weights, in time proportional to its length.

Knows no tokens and no models. Start reading at `parse_attention`. Source: A1111 1.10's prompt language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ROUND, SQUARE = 1.1, 1 / 1.1
_TOKEN = re.compile(
    r"\\([()\[\]\\])"  # an escaped bracket is a plain one
    r"|([(\[])|:\s{0,8}([+-]?(?:\d+\.?\d*|\.\d+))\s{0,8}\)|([)\]])"
    r"|([^\\()\[\]:]+|[:\\])"
)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")


@dataclass(frozen=True)
class Piece:
    """A stretch of prompt and how much it counts. is_break: an end of chunk, without text."""

    text: str
    weight: float = 1.0
    is_break: bool = False


@dataclass
class _Bracket:
    """One pair of brackets. The factor is known when it closes; until then it is that of a plain pair."""

    opener: str
    factor: float


@dataclass(frozen=True)
class _Group:
    """Text between the same brackets: a chain of brackets, innermost first."""

    bracket: _Bracket
    outer: int


class _Reader:
    """Collects pieces, each with the group it stands in. Brackets may overlap: "(a [b) c]" is two ranges."""

    def __init__(self) -> None:
        self.groups: list[_Group | None] = [None]
        self.open: list[int] = [0]
        self.pieces: list[tuple[str, int]] = []

    def push(self, bracket: _Bracket) -> None:
        self.groups.append(_Group(bracket, self.open[-1]))
        self.open.append(len(self.groups) - 1)

    def close(self, opener: str, factor: float | None) -> bool:
        """Close the innermost bracket of that kind; False when none is open. Those opened inside it stay open."""
        inner: list[_Bracket] = []
        for at in range(len(self.open) - 1, 0, -1):
            group = self.groups[self.open[at]]
            bracket = group.bracket if group else None
            if bracket is not None and bracket.opener == opener:
                if factor is not None:
                    bracket.factor = factor
                del self.open[at:]
                for left_open in reversed(inner):
                    self.push(left_open)
                return True
            if bracket is not None:
                inner.append(bracket)
        return False

    def weights(self) -> list[float]:
        """The weight of each group: the product of the brackets around it."""
        found = [1.0]
        for group in self.groups[1:]:
            found.append(1.0 if group is None else found[group.outer] * group.bracket.factor)
        return found


def parse_attention(text: str) -> list[Piece]:
    """Pieces of a prompt with their weights, in order; neighbours of equal weight are one piece. "" is one empty piece.

    An unclosed bracket holds to the end of the text; a stray closing one is plain text.
    """
    reader = _Reader()
    for token in _TOKEN.finditer(text):
        escaped, opener, weight, closer, plain = token.groups()
        if opener:
            reader.push(_Bracket(opener, ROUND if opener == "(" else SQUARE))
        elif weight is not None:
            if not reader.close("(", float(weight)):
                reader.pieces.append((token.group(), reader.open[-1]))
        elif closer:
            if not reader.close("(" if closer == ")" else "[", None):
                reader.pieces.append((closer, reader.open[-1]))
        else:
            reader.pieces.append((escaped or plain, reader.open[-1]))
    weights = reader.weights()
    return _merge([(part, round(weights[group], 10)) for part, group in reader.pieces])


def _merge(parts: list[tuple[str, float]]) -> list[Piece]:
    """Join neighbours of equal weight, then cut at BREAK. A break inside brackets is a break too."""
    joined: list[tuple[list[str], float]] = []
    for text, weight in parts:
        if joined and joined[-1][1] == weight:
            joined[-1][0].append(text)
        else:
            joined.append(([text], weight))
    pieces: list[Piece] = []
    for texts, weight in joined:
        for n, part in enumerate(_BREAK.split("".join(texts))):
            if n:
                pieces.append(Piece("", 1.0, is_break=True))
            if part:
                pieces.append(Piece(part, weight))
    return pieces or [Piece("")]
