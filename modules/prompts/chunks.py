"""From a text to chunks of 75 tokens with weights; learnt words take their tokens whole.

Knows the order of tokens; knows nothing about tokenizers and text encoders, and needs no torch. Start reading at `chunks_of`.
Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modules.prompts.attention import parse_attention
from modules.prompts.reading import AS_EVER, Reading

if TYPE_CHECKING:
    from modules.weights.embeddings import Embedding

CHUNK = 75
# The token that stands where a vector goes; its own meaning is overwritten. It must not be an end or padding-behind-the-end token.
PLACEHOLDER = 0


@dataclass(frozen=True)
class Chunk:
    """Up to CHUNK token ids and the weight of each. places: where in ids the vectors of a learnt word begin."""

    ids: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    places: tuple[tuple[int, Embedding], ...] = ()


def chunks_of(
    text: str, ids_of: Callable[[str], Sequence[int | Embedding]], comma: frozenset[int], reading: Reading = AS_EVER
) -> tuple[Chunk, ...]:
    """At least one chunk. ids_of: the tokens of a text, without begin and end; comma: the token that a comma is, if it is one."""
    builder = _Chunker(comma, reading.comma_backtrack)
    for piece in parse_attention(text, reading.emphasis):
        if piece.is_break:
            builder.end_chunk()
        else:
            builder.add(ids_of(piece.text), piece.weight)
    return builder.finish()


@dataclass(frozen=True, slots=True)
class _Token:
    """begins: the learnt word whose first vector goes here."""

    id: int
    weight: float
    begins: Embedding | None = None


class _Chunker:
    """Fills chunks token by token. A chunk that runs over gives what stands behind a late comma to the next one."""

    def __init__(self, comma: frozenset[int], backtrack: int) -> None:
        self._comma = comma
        self._backtrack = backtrack
        self._done: list[Chunk] = []
        self._tokens: list[_Token] = []

    def add(self, items: Sequence[int | Embedding], weight: float) -> None:
        for item in items:
            if isinstance(item, int):
                self._put([_Token(item, weight)])
            else:
                self._put([_Token(PLACEHOLDER, weight, item), *[_Token(PLACEHOLDER, weight)] * (item.length - 1)])

    def _put(self, tokens: list[_Token]) -> None:
        """Tokens that stay together."""
        while len(self._tokens) + len(tokens) > CHUNK:
            self._overflow()
        self._tokens += tokens

    def _overflow(self) -> None:
        late = [n for n, token in enumerate(self._tokens) if token.id in self._comma and n >= CHUNK - self._backtrack]
        cut = late[-1] + 1 if late else CHUNK
        rest = self._tokens[cut:]
        self._tokens = self._tokens[:cut]
        self.end_chunk()
        self._tokens = rest

    def end_chunk(self) -> None:
        tokens = self._tokens
        places = tuple((n, token.begins) for n, token in enumerate(tokens) if token.begins is not None)
        self._done.append(Chunk(tuple(t.id for t in tokens), tuple(t.weight for t in tokens), places))
        self._tokens = []

    def finish(self) -> tuple[Chunk, ...]:
        if self._tokens or not self._done:
            self.end_chunk()
        return tuple(self._done)
