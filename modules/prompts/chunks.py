"""From a text to chunks of 75 tokens with weights, for one CLIP tokenizer; learnt words take their tokens whole.

Knows tokenizers and the order of tokens; knows nothing about text encoders. Start reading at `chunks_of`.
Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modules.prompts.attention import parse_attention
from modules.prompts.embeddings import PLACEHOLDER, Embeddings
from modules.weights.embeddings import Embedding

CHUNK = 75
COMMA_BACKTRACK = 20


@dataclass(frozen=True)
class Chunk:
    """Up to CHUNK token ids and the weight of each. places: where in ids the vectors of a learnt word begin."""

    ids: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    places: tuple[tuple[int, Embedding], ...] = ()


def chunks_of(text: str, tokenizer: Any, embeddings: Embeddings, component: str) -> tuple[Chunk, ...]:
    """At least one chunk. tokenizer: that of the component, a CLIP class of transformers."""
    builder = _Chunker(comma_ids(tokenizer))
    for piece in parse_attention(text):
        if piece.is_break:
            builder.end_chunk()
        else:
            builder.add(embeddings.split(component, tokenizer(piece.text, add_special_tokens=False).input_ids), piece.weight)
    return builder.finish()


def comma_ids(tokenizer: Any) -> frozenset[int]:
    """The token that a comma alone is; none when it is several."""
    ids = tokenizer(",", add_special_tokens=False).input_ids
    return frozenset(ids if len(ids) == 1 else ())


@dataclass(frozen=True)
class _Token:
    """begins: the learnt word whose first vector goes here."""

    id: int
    weight: float
    begins: Embedding | None = None


class _Chunker:
    """Fills chunks token by token. A chunk that runs over gives what stands behind a late comma to the next one."""

    def __init__(self, comma: frozenset[int]) -> None:
        self._comma = comma
        self._done: list[Chunk] = []
        self._tokens: list[_Token] = []

    def add(self, items: Sequence[int | Embedding], weight: float) -> None:
        for item in items:
            if isinstance(item, Embedding):
                self._put([_Token(PLACEHOLDER, weight, item), *[_Token(PLACEHOLDER, weight)] * (item.length - 1)])
            else:
                self._put([_Token(item, weight)])

    def _put(self, tokens: list[_Token]) -> None:
        """Tokens that stay together."""
        while len(self._tokens) + len(tokens) > CHUNK:
            self._overflow()
        self._tokens += tokens

    def _overflow(self) -> None:
        late = [n for n, token in enumerate(self._tokens) if token.id in self._comma and n >= CHUNK - COMMA_BACKTRACK]
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
