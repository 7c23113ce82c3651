"""Captions for a network in training: tokens, chunks of 75, the text encoders with or without gradients. torch lives here.

For a caption of one chunk it gives exactly what the pipeline's own encoding gives; longer ones go on in further chunks, as when
pictures are made. Brackets and colons in a caption mean themselves: nothing is weighted. Start reading at `Texts.encode`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

from modules.prompts.text_sets import COMPONENTS, TextSet

CHUNK = 75
MOST_CHUNKS = 3  # 225 tokens; what stands behind them is not learnt
Pieces = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Text:
    """What the network is told: words (B, tokens, width); pooled (B, width), None for a network that reads none."""

    words: torch.Tensor
    pooled: torch.Tensor | None = None

    def to(self, dtype: torch.dtype) -> Text:
        """The same in another number type."""
        return Text(words=self.words.to(dtype), pooled=None if self.pooled is None else self.pooled.to(dtype))


class Texts:
    """The text encoders of a pipeline. text_set: how its network listens; trained: components whose weights learn.

    Encoders that do not learn run without gradients. width: of the vectors that stand for a missing T5 encoder (all zero).
    """

    def __init__(self, pipeline: Any, text_set: TextSet, *, trained: Sequence[str] = (), width: int = 0) -> None:
        self._set = text_set
        self._trained = frozenset(trained)
        self._width = width
        parts = {name: getattr(pipeline, name, None) for name in COMPONENTS}
        self.encoders: dict[str, Any] = {name: part for name, part in parts.items() if part is not None}
        self._tokenizers = {name: getattr(pipeline, name.replace("text_encoder", "tokenizer")) for name in self.encoders}
        self._clips = [n for n in COMPONENTS if n in self.encoders and n in (*text_set.words, *text_set.pooled)]
        self._empty: torch.Tensor | None = None

    def encode(self, captions: Sequence[str]) -> Text:
        """The captions of one batch, as long as its longest. Gradients reach the encoders that learn."""
        ids = {name: [self._chunks(name, caption) for caption in captions] for name in self._clips}
        most = max((len(chunks) for rows in ids.values() for chunks in rows), default=1)
        found: dict[str, torch.Tensor] = {}
        for name, rows in ids.items():
            empty = self._row(name, [])
            whole = [(chunks + [empty] * most)[:most] for chunks in rows]
            hidden, pooled = self._clip(name, whole)
            found[f"words.{name}"], found[f"pooled.{name}"] = hidden, pooled
        if self._set.long:
            found["long"] = self._long(captions)
        return self._joined(found)

    @torch.no_grad()
    def pieces(self, caption: str) -> dict[str, torch.Tensor]:
        """One caption for a cache: "words" (tokens, width), "long" and "pooled", as far as the network reads them."""
        text = self.encode([caption])
        long = self._set.long_tokens if self._set.long else 0
        cut = text.words.shape[1] - long
        found = {"words": text.words[0, :cut], "long": text.words[0, cut:]}
        if text.pooled is not None:
            found["pooled"] = text.pooled[0]
        return {name: tensor.contiguous() for name, tensor in found.items() if tensor.numel()}

    def stack(self, rows: Sequence[Pieces], device: Any, dtype: torch.dtype) -> Text:
        """A batch from what `pieces` gave. Shorter texts are filled up with empty chunks."""
        rows = [{name: tensor.to(device, dtype) for name, tensor in row.items()} for row in rows]
        most = max(len(row["words"]) if "words" in row else 0 for row in rows)
        words: list[torch.Tensor] = []
        for row in rows:
            own = [row["words"]] if "words" in row else []
            while sum(map(len, own)) < most:
                own.append(self._empty_chunk(row["words"]))
            words.append(torch.cat([*own, *([row["long"]] if "long" in row else [])]))
        pooled = torch.stack([row["pooled"] for row in rows]) if "pooled" in rows[0] else None
        return Text(words=torch.stack(words), pooled=pooled)

    def _empty_chunk(self, like: torch.Tensor) -> torch.Tensor:
        if self._empty is None:
            self._empty = self.pieces("")["words"]
        return self._empty.to(like)

    def _chunks(self, name: str, caption: str) -> list[list[int]]:
        ids = self._tokenizers[name](caption, add_special_tokens=False, verbose=False).input_ids[: MOST_CHUNKS * CHUNK]
        return [self._row(name, ids[start : start + CHUNK]) for start in range(0, max(len(ids), 1), CHUNK)]

    def _row(self, name: str, ids: Sequence[int]) -> list[int]:
        tokenizer = self._tokenizers[name]
        return [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * (CHUNK - len(ids))]

    def _clip(self, name: str, rows: Sequence[Sequence[Sequence[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
        """((B, chunks * 77, width), pooled (B, width)) of one CLIP encoder, all chunks in one call."""
        encoder = self.encoders[name]
        ids = torch.tensor([chunk for chunks in rows for chunk in chunks], device=encoder.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and name in self._trained):
            out = encoder(ids, attention_mask=None, output_hidden_states=self._set.penultimate)
        pooled = out.text_embeds if "text_embeds" in out else out.pooler_output
        hidden = out.hidden_states[-2] if self._set.penultimate else out.last_hidden_state
        return hidden.reshape(len(rows), -1, hidden.shape[-1]), pooled[:: len(rows[0])]

    @torch.no_grad()
    def _long(self, captions: Sequence[str]) -> torch.Tensor:
        """(B, long_tokens, width) of the T5 encoder, zeros without one."""
        name, length = self._set.long, self._set.long_tokens
        encoder = self.encoders.get(name)
        if encoder is None:
            other = next(iter(self.encoders.values()))
            return torch.zeros((len(captions), length, self._width), device=other.device, dtype=other.dtype)
        tokens = self._tokenizers[name](list(captions), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return encoder(tokens.input_ids.to(encoder.device))[0]

    def _joined(self, found: Pieces) -> Text:
        words = torch.cat([found[f"words.{name}"] for name in self._set.words], dim=-1) if self._set.words else None
        if "long" in found:
            long = found["long"]
            words = long if words is None else torch.cat([pad(words, (0, long.shape[-1] - words.shape[-1])), long.to(words.dtype)], dim=1)
        if words is None:
            raise ValueError("a text set without words and without a long text")
        pooled = torch.cat([found[f"pooled.{name}"] for name in self._set.pooled], dim=-1) if self._set.pooled else None
        return Text(words=words, pooled=pooled)
