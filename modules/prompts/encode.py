"""From prompts to what the network reads: chunks of 75 tokens, weights, one tensor a stretch of steps. torch lives here.

A plain prompt of one chunk gives exactly what the pipeline's own encoding gives. Knows CLIP text encoders; knows nothing
about sampling. Start reading at `Encoder.conditions`. Source: A1111 1.10's chunking and "Original" emphasis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from modules.prompts.attention import parse_attention
from modules.prompts.schedule import schedule, split_and

CHUNK = 75
COMMA_BACKTRACK = 20
CACHE_SIZE = 64


@dataclass(frozen=True)
class Chunk:
    """Up to CHUNK token ids and the weight of each."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What guides a batch. All tensors are (B, tokens, width) and of one length.

    negative: per stretch; parts: per AND part its weight and its stretches. Each stretch is (last step, tensor), 1-based.
    """

    negative: list[tuple[int, torch.Tensor]]
    parts: list[tuple[float, list[tuple[int, torch.Tensor]]]]

    @property
    def changes(self) -> bool:
        """Something differs between steps."""
        return len(self.negative) > 1 or any(len(stretches) > 1 for _, stretches in self.parts)


class Encoder:
    """Encodes for one loaded model. tokenizer, text_encoder: CLIP classes of transformers, on their device."""

    def __init__(self, tokenizer: Any, text_encoder: Any) -> None:
        self._tokenizer = tokenizer
        self._text_encoder = text_encoder
        self._cache: dict[tuple[Chunk, ...], torch.Tensor] = {}
        self._comma = _comma_ids(tokenizer)

    def conditions(self, prompts: Sequence[str], negatives: Sequence[str], calls: int, device: Any) -> Conditions:
        """Everything that guides a batch over `calls` network calls. Prompts of a batch may differ, in their AND parts too."""
        split = [split_and(prompt) for prompt in prompts]
        n_parts = max(len(parts) for parts in split)
        texts = [[parts[n] if n < len(parts) else ("", 0.0) for parts in split] for n in range(n_parts)]
        schedules = [[schedule(text, calls) for text, _ in column] for column in texts]
        negative = [schedule(text, calls) for text in negatives]
        longest = max(len(self._chunks(s.text)) for column in [*schedules, negative] for row in column for s in row)

        def over_steps(column: list[Any]) -> list[tuple[int, torch.Tensor]]:
            ends = sorted({s.until for row in column for s in row})
            return [(end, torch.cat([self._encode(_at(row, end), longest, device) for row in column])) for end in ends]

        weights = [column[0][1] for column in texts]
        return Conditions(negative=over_steps(negative), parts=[(w, over_steps(c)) for w, c in zip(weights, schedules, strict=True)])

    def _encode(self, text: str, n_chunks: int, device: Any) -> torch.Tensor:
        """(1, n_chunks * 77, width), in the text encoder's number type."""
        chunks = self._chunks(text)
        chunks = (*chunks, *[Chunk((), ())] * (n_chunks - len(chunks)))
        found = self._cache.get(chunks)
        if found is None:
            found = torch.cat([self._encode_chunk(chunk, device) for chunk in chunks], dim=1)
            if len(self._cache) >= CACHE_SIZE:
                self._cache.pop(next(iter(self._cache)))
            self._cache[chunks] = found
        return found

    def _encode_chunk(self, chunk: Chunk, device: Any) -> torch.Tensor:
        tokenizer = self._tokenizer
        room = CHUNK - len(chunk.ids)
        ids = [tokenizer.bos_token_id, *chunk.ids, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * room]
        with torch.inference_mode():
            hidden = self._text_encoder(torch.tensor([ids], device=device), attention_mask=None)[0]
        if all(weight == 1.0 for weight in chunk.weights):
            return hidden
        weights = torch.tensor([1.0, *chunk.weights, 1.0, *[1.0] * room], device=hidden.device, dtype=hidden.dtype)
        weighted = hidden * weights.view(1, -1, 1)
        return weighted * (hidden.mean() / weighted.mean())

    def _chunks(self, text: str) -> tuple[Chunk, ...]:
        builder = _Chunker(self._comma)
        for piece in parse_attention(text):
            if piece.is_break:
                builder.end_chunk()
            else:
                builder.add(self._tokenizer(piece.text, add_special_tokens=False).input_ids, piece.weight)
        return builder.finish()


class _Chunker:
    """Fills chunks token by token. A chunk that runs over gives what stands behind a late comma to the next one."""

    def __init__(self, comma: frozenset[int]) -> None:
        self._comma = comma
        self._done: list[Chunk] = []
        self._tokens: list[tuple[int, float]] = []

    def add(self, ids: Sequence[int], weight: float) -> None:
        for token in ids:
            if len(self._tokens) == CHUNK:
                self._overflow()
            self._tokens.append((token, weight))

    def _overflow(self) -> None:
        late = [n for n, (token, _) in enumerate(self._tokens) if token in self._comma and n >= CHUNK - COMMA_BACKTRACK]
        cut = late[-1] + 1 if late else CHUNK
        rest = self._tokens[cut:]
        self._tokens = self._tokens[:cut]
        self.end_chunk()
        self._tokens = rest

    def end_chunk(self) -> None:
        self._done.append(Chunk(tuple(t for t, _ in self._tokens), tuple(w for _, w in self._tokens)))
        self._tokens = []

    def finish(self) -> tuple[Chunk, ...]:
        if self._tokens or not self._done:
            self.end_chunk()
        return tuple(self._done)


def _at(stretches: Sequence[Any], step: int) -> str:
    return next(s.text for s in stretches if s.until >= step)


def _comma_ids(tokenizer: Any) -> frozenset[int]:
    ids = tokenizer(",", add_special_tokens=False).input_ids
    return frozenset(ids if len(ids) == 1 else ())


def at_step(stretches: Sequence[tuple[int, torch.Tensor]], step: int) -> torch.Tensor:
    """The tensor that holds at a step, 1-based; the last one after the end."""
    return next((tensor for until, tensor in stretches if until >= step), stretches[-1][1])
