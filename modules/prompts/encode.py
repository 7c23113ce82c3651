"""From prompts to what the network reads: chunks, weights, several encoders, one tensor a stretch of steps. torch lives here.

A plain prompt of one chunk gives exactly what the pipeline's own encoding gives. Knows text encoders, as a `TextSet` describes
them; knows nothing about sampling. Start reading at `Encoder.conditions`. Source: A1111 1.10's chunking and "Original" emphasis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from modules.prompts.attention import parse_attention
from modules.prompts.chunks import CHUNK, Chunk, chunks_of
from modules.prompts.embeddings import Embeddings, inserted
from modules.prompts.schedule import schedule, split_and
from modules.prompts.text_sets import COMPONENTS, ONE_CLIP, TextSet
from modules.weights.embeddings import Embedding

__all__ = ["CHUNK", "Conditions", "Encoder", "at_step"]

CACHE_SIZE = 64
Stretches = list[tuple[int, torch.Tensor]]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What guides a batch. All tensors are (B, tokens, width) and of one length.

    negative: per stretch; parts: per AND part its weight and its stretches. Each stretch is (last step, tensor), 1-based.
    pooled: the same with one vector a text, tensors (B, width); None for a network that reads none.
    learnt: the embeddings that took part, in order of appearance; notes: what did not count, in sentences.
    """

    negative: Stretches
    parts: list[tuple[float, Stretches]]
    pooled: Conditions | None = None
    learnt: tuple[Embedding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Something differs between steps."""
        return len(self.negative) > 1 or any(len(stretches) > 1 for _, stretches in self.parts)


@dataclass(frozen=True)
class _Text:
    """A text as the network reads it: words (1, tokens, width), pooled (1, width) or None. learnt, note: as in `Conditions`."""

    words: torch.Tensor
    pooled: torch.Tensor | None
    learnt: tuple[Embedding, ...] = ()
    note: str = ""


class Encoder:
    """Encodes for one loaded model. tokenizer, text_encoder: of transformers, on their device; more: those of the second and
    third place, None where the model has none.

    width: of the vectors that stand for a missing T5 encoder (all zero); empty_is_zero: so is a negative prompt that is empty.
    """

    def __init__(
        self, tokenizer: Any, text_encoder: Any, *more: Any, text_set: TextSet = ONE_CLIP, width: int = 0, empty_is_zero: bool = False
    ) -> None:
        everything = (tokenizer, text_encoder, *more)
        self._tokenizers = dict(zip(COMPONENTS, everything[::2], strict=False))
        self._encoders = {name: e for name, e in zip(COMPONENTS, everything[1::2], strict=False) if e is not None}
        self._set = text_set
        self._width = width
        self._empty_is_zero = empty_is_zero
        self._embeddings = Embeddings.none()
        self._cache: dict[tuple[str, int, int], _Text] = {}

    @classmethod
    def of(cls, pipeline: Any, text_set: TextSet) -> Self:
        """For a diffusers pipeline. text_set: how its network listens."""
        found = [
            getattr(pipeline, kind + name.removeprefix("text_encoder"), None)
            for name in COMPONENTS
            for kind in ("tokenizer", "text_encoder")
        ]
        network = getattr(pipeline, "transformer", None)
        return cls(
            *found,
            text_set=text_set,
            width=network.config.joint_attention_dim if network is not None else 0,
            empty_is_zero=bool(pipeline.config.get("force_zeros_for_empty_prompt", False)),
        )

    @property
    def text_encoders(self) -> dict[str, tuple[Any, Any]]:
        """component -> (tokenizer, text encoder), of those that are there."""
        return {name: (self._tokenizers[name], encoder) for name, encoder in self._encoders.items()}

    @property
    def lacks_long(self) -> bool:
        """The network listens to a T5 encoder, and there is none."""
        return bool(self._set.long) and self._set.long not in self._encoders

    def use(self, embeddings: Embeddings) -> None:
        """From now on these learnt words count in prompts."""
        self._embeddings = embeddings
        self.forget()

    def forget(self) -> None:
        """Drop what was encoded: the weights of a text encoder are not those they were."""
        self._cache.clear()

    def conditions(self, prompts: Sequence[str], negatives: Sequence[str], calls: int, device: Any, *, skip: int = 1) -> Conditions:
        """Everything that guides a batch over `calls` network calls. Prompts of a batch may differ, in their AND parts too.

        skip: the layer of the text encoder that is read, counted from the end, 1 .. 12; only where the `TextSet` skips.
        """
        split = [split_and(prompt) for prompt in prompts]
        n_parts = max(len(parts) for parts in split)
        texts = [[parts[n] if n < len(parts) else ("", 0.0) for parts in split] for n in range(n_parts)]
        schedules = [[schedule(text, calls) for text, _ in column] for column in texts]
        negative = [schedule(text, calls) for text in negatives]
        longest = max(self._count(s.text) for column in [*schedules, negative] for row in column for s in row)

        def over_steps(column: list[Any]) -> list[tuple[int, list[_Text]]]:
            ends = sorted({s.until for row in column for s in row})
            return [(end, [self._encode(_at(row, end), longest, skip, device) for row in column]) for end in ends]

        weights = [column[0][1] for column in texts]
        away = over_steps(negative)
        if self._empty_is_zero and not any(negatives):
            away = [(end, [_zero(text) for text in row]) for end, row in away]
        parts = [over_steps(column) for column in schedules]
        used = [text for stretches in (*parts, away) for _, row in stretches for text in row]
        pooled = Conditions(negative=_pooled(away), parts=list(zip(weights, map(_pooled, parts), strict=True)))
        return Conditions(
            negative=_words(away),
            parts=list(zip(weights, map(_words, parts), strict=True)),
            pooled=pooled if self._set.pooled else None,
            learnt=tuple({embedding: None for text in used for embedding in text.learnt}),
            notes=tuple({text.note: None for text in used if text.note}),
        )

    def _count(self, text: str) -> int:
        """Chunks that a text takes."""
        names = [name for name in self._set.words if name in self._encoders]
        return max((len(self._chunks(text, name)) for name in names), default=1)

    def _chunks(self, text: str, name: str) -> tuple[Chunk, ...]:
        return chunks_of(text, self._tokenizers[name], self._embeddings, name)

    def _encode(self, text: str, n_chunks: int, skip: int, device: Any) -> _Text:
        """In the text encoders' number type."""
        found = self._cache.get((text, n_chunks, skip))
        if found is None:
            with torch.inference_mode():
                found = self._encode_anew(text, n_chunks, skip, device)
            if len(self._cache) >= CACHE_SIZE:
                self._cache.pop(next(iter(self._cache)))
            self._cache[text, n_chunks, skip] = found
        return found

    def _encode_anew(self, text: str, n_chunks: int, skip: int, device: Any) -> _Text:
        pooled: dict[str, torch.Tensor] = {}
        words: list[torch.Tensor] = []
        learnt: list[Embedding] = []
        note = ""
        for name in (n for n in COMPONENTS if n in self._encoders and n in (*self._set.words, *self._set.pooled)):
            chunks = self._chunks(text, name)
            chunks = (*chunks, *[Chunk()] * (n_chunks - len(chunks)))[:n_chunks]
            read = [self._encode_chunk(name, chunk, skip, device) for chunk in chunks]
            words.append(torch.cat([hidden for hidden, _ in read], dim=1))
            pooled[name] = read[0][1]
            learnt += [embedding for chunk in chunks for _, embedding in chunk.places]
        together = torch.cat(words, dim=-1) if self._set.words else None
        if self._set.long:
            long, note = self._encode_long(text, next(iter(self._encoders.values())).dtype, device)
            together = long if together is None else _behind(together, long)
        if together is None:
            raise ValueError("a text set without words and without a long text")
        one = torch.cat([pooled[name] for name in self._set.pooled], dim=-1) if self._set.pooled else None
        return _Text(together, one, tuple(learnt), note)

    def _encode_chunk(self, name: str, chunk: Chunk, skip: int, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """((1, 77, width), pooled (1, width)) of one CLIP encoder. Weights count for the tokens, not for the pooled vector."""
        tokenizer, encoder = self._tokenizers[name], self._encoders[name]
        room = CHUNK - len(chunk.ids)
        ids = [tokenizer.bos_token_id, *chunk.ids, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * room]
        places = [(1 + at, embedding.vectors[name]) for at, embedding in chunk.places]
        with inserted(encoder, places):
            out = encoder(torch.tensor([ids], device=device), attention_mask=None, output_hidden_states=True)
        pooled = out.text_embeds if "text_embeds" in out else out.pooler_output
        hidden = self._layer(encoder, out, skip)
        if all(weight == 1.0 for weight in chunk.weights):
            return hidden, pooled
        weights = torch.tensor([1.0, *chunk.weights, 1.0, *[1.0] * room], device=hidden.device, dtype=hidden.dtype)
        weighted = hidden * weights.view(1, -1, 1)
        return weighted * (hidden.mean() / weighted.mean()), pooled

    def _layer(self, encoder: Any, out: Any, skip: int) -> torch.Tensor:
        if self._set.penultimate:
            return out.hidden_states[-2]
        if skip == 1 or not self._set.skips:
            return out.last_hidden_state
        layers = len(out.hidden_states) - 1
        return getattr(encoder, "text_model", encoder).final_layer_norm(out.hidden_states[-min(skip, layers)])

    def _encode_long(self, text: str, dtype: torch.dtype, device: Any) -> tuple[torch.Tensor, str]:
        """((1, long_tokens, width), note) of the T5 encoder; zeros without one. Its vectors have a mean near 0, so weights keep none."""
        name, length = self._set.long, self._set.long_tokens
        encoder, tokenizer = self._encoders.get(name), self._tokenizers.get(name)
        if encoder is None or tokenizer is None:
            return torch.zeros((1, length, self._width), device=device, dtype=dtype), ""
        pieces = [(" ", 1.0) if piece.is_break else (piece.text, piece.weight) for piece in parse_attention(text)]
        plain = "".join(part for part, _ in pieces)
        tokens = tokenizer(plain, padding="max_length", max_length=length, truncation=True, return_offsets_mapping=True)
        cut = len(tokenizer(plain).input_ids) > length
        note = f"The text encoder T5 reads {length} tokens; what stands behind them in the prompt does not count for it." if cut else ""
        hidden = encoder(torch.tensor([tokens.input_ids], device=device))[0]
        if all(weight == 1.0 for _, weight in pieces):
            return hidden, note
        by_letter = [weight for part, weight in pieces for _ in part]
        weights = [by_letter[start] if start < end else 1.0 for start, end in tokens.offset_mapping]
        return hidden * torch.tensor(weights, device=hidden.device, dtype=hidden.dtype).view(1, -1, 1), note


def _behind(words: torch.Tensor, long: torch.Tensor) -> torch.Tensor:
    """CLIP's vectors widened with zeros to T5's, then T5's behind them. Source: arXiv:2403.03206, section 4."""
    return torch.cat([torch.nn.functional.pad(words, (0, long.shape[-1] - words.shape[-1])), long], dim=-2)


def _zero(text: _Text) -> _Text:
    return _Text(torch.zeros_like(text.words), None if text.pooled is None else torch.zeros_like(text.pooled))


def _words(stretches: list[tuple[int, list[_Text]]]) -> Stretches:
    return [(end, torch.cat([text.words for text in row])) for end, row in stretches]


def _pooled(stretches: list[tuple[int, list[_Text]]]) -> Stretches:
    rows = [(end, [text.pooled for text in row if text.pooled is not None]) for end, row in stretches]
    return [(end, torch.cat(row)) for end, row in rows if row]


def _at(stretches: Sequence[Any], step: int) -> str:
    return next(s.text for s in stretches if s.until >= step)


def at_step(stretches: Sequence[tuple[int, torch.Tensor]], step: int) -> torch.Tensor:
    """The tensor that holds at a step, 1-based; the last one after the end."""
    return next((tensor for until, tensor in stretches if until >= step), stretches[-1][1])
