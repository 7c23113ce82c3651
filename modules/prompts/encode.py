"""From prompts to what the network reads: chunks, weights, several encoders, one tensor a stretch of steps. torch lives here.

A plain prompt of one chunk gives exactly what the pipeline's own encoding gives. Knows text encoders, as a `TextSet` describes
them; knows nothing about sampling. Start reading at `Encoder.conditions`. Source: A1111 1.10's chunking and emphasis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch

from modules.prompts.attention import parse_attention
from modules.prompts.chunks import CHUNK, Chunk, chunks_of
from modules.prompts.embeddings import Embeddings, inserted
from modules.prompts.encoded import Cache, Encoded, How
from modules.prompts.reading import AS_EVER, Reading
from modules.prompts.schedule import Stretch, schedule, split_and
from modules.prompts.text_sets import COMPONENTS, ONE_CLIP, TextSet
from modules.weights.embeddings import Embedding

__all__ = ["CHUNK", "Conditions", "Encoder", "at_step"]

WHOLE_CHUNK = CHUNK + 2  # with its begin and end token
CLIP_L = COMPONENTS[0]

Stretches = list[tuple[int, torch.Tensor]]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What guides a batch. All tensors are (B, tokens, width) and of one length.

    negative: per stretch; parts: per AND part its weight and its stretches. Each stretch is (last step, tensor), 1-based.
    pooled: the same with one vector a text, tensors (B, width); None for a network that reads none.
    tokens: how many of the prompt's tokens are its own, and of the negative prompt's; what stands behind is filling.
    learnt: the embeddings that took part, in order of appearance; notes: what did not count, in sentences.
    """

    negative: Stretches
    parts: list[tuple[float, Stretches]]
    pooled: Conditions | None = None
    tokens: tuple[int, int] = (0, 0)
    learnt: tuple[Embedding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Something differs between steps."""
        return len(self.negative) > 1 or any(len(stretches) > 1 for _, stretches in self.parts)


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
        self._commas = {name: _comma(self._tokenizers[name]) for name in self._encoders if name in (*text_set.words, *text_set.pooled)}
        self._set = text_set
        self._width = width
        self._empty_is_zero = empty_is_zero
        self._embeddings = Embeddings.none()
        self._cache = Cache()

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

    @property
    def empty_is_zero(self) -> bool:
        """A batch whose negative prompts are all empty reads zeros for them; in another batch an empty one is read as text."""
        return self._empty_is_zero

    def use(self, embeddings: Embeddings) -> None:
        """From now on these learnt words count in prompts."""
        self._embeddings = embeddings
        self.forget()

    def forget(self) -> None:
        """Drop what was encoded: the weights of a text encoder are not those they were."""
        self._cache = Cache()

    def conditions(
        self,
        prompts: Sequence[str],
        negatives: Sequence[str],
        calls: int,
        device: Any,
        *,
        skip: int = 1,
        reading: Reading = AS_EVER,
        first_pass: int | None = None,
    ) -> Conditions:
        """Everything that guides a batch over `calls` network calls. Prompts of a batch may differ, in their AND parts too.

        skip: the layer of the text encoder that is read, counted from the end, 1 .. 12; only where the `TextSet` skips, and with
        `reading.clip_l_skip`. first_pass: calls of the pass before this one, on which numbers in prompt editing count on.
        """
        split = [split_and(prompt) for prompt in prompts]
        n_parts = max(len(parts) for parts in split)
        texts = [[parts[n] if n < len(parts) else ("", 0.0) for parts in split] for n in range(n_parts)]

        def over_time(text: str) -> list[Stretch]:
            return schedule(text, calls, first_pass=first_pass, old=reading.old_schedule)

        schedules = [[over_time(text) for text, _ in column] for column in texts]
        negative = [over_time(text) for text in negatives]
        own = max(self._count(s.text, reading) for column in schedules for row in column for s in row)
        against = max(self._count(s.text, reading) for row in negative for s in row)
        how = How(chunks=max(own, against), skip=skip, reading=reading, device=str(device))

        def over_steps(column: list[Any]) -> list[tuple[int, list[Encoded]]]:
            ends = sorted({s.until for row in column for s in row})
            return [(end, [self._encode(_at(row, end), how) for row in column]) for end in ends]

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
            tokens=(own * WHOLE_CHUNK, against * WHOLE_CHUNK),
            learnt=tuple({embedding: None for text in used for embedding in text.learnt}),
            notes=tuple({text.note: None for text in used if text.note}),
        )

    def _count(self, text: str, reading: Reading) -> int:
        """Chunks that a text takes."""
        names = [name for name in self._set.words if name in self._encoders]
        return max((len(self._chunks(text, name, reading)) for name in names), default=1)

    def _chunks(self, text: str, name: str, reading: Reading) -> tuple[Chunk, ...]:
        def ids_of(part: str) -> list[int | Embedding]:
            return self._embeddings.split(name, self._tokenizers[name](part, add_special_tokens=False).input_ids)

        return chunks_of(text, ids_of, self._commas[name], reading)

    def _encode(self, text: str, how: How) -> Encoded:
        """In the text encoders' number type."""
        found = self._cache.get(text, how)
        if found is None:
            with torch.inference_mode():
                found = self._encode_anew(text, how)
            self._cache.put(text, how, found)
        return found

    def _encode_anew(self, text: str, how: How) -> Encoded:
        pooled: dict[str, torch.Tensor] = {}
        words: list[torch.Tensor] = []
        learnt: list[Embedding] = []
        note = ""
        for name in (n for n in COMPONENTS if n in self._encoders and n in (*self._set.words, *self._set.pooled)):
            chunks = self._chunks(text, name, how.reading)
            chunks = (*chunks, *[Chunk()] * (how.chunks - len(chunks)))[: how.chunks]
            read = [self._encode_chunk(name, chunk, how) for chunk in chunks]
            words.append(torch.cat([hidden for hidden, _ in read], dim=1))
            pooled[name] = read[0][1]
            learnt += [embedding for chunk in chunks for _, embedding in chunk.places]
        together = torch.cat(words, dim=-1) if self._set.words else None
        if self._set.long:
            long, note = self._encode_long(text, next(iter(self._encoders.values())).dtype, how)
            together = long if together is None else _behind(together, long)
        if together is None:
            raise ValueError("a text set without words and without a long text")
        one = torch.cat([pooled[name] for name in self._set.pooled], dim=-1) if self._set.pooled else None
        return Encoded(together, one, tuple(learnt), note)

    def _encode_chunk(self, name: str, chunk: Chunk, how: How) -> tuple[torch.Tensor, torch.Tensor]:
        """((1, 77, width), pooled (1, width)) of one CLIP encoder. Weights count for the tokens, not for the pooled vector."""
        tokenizer, encoder = self._tokenizers[name], self._encoders[name]
        room = CHUNK - len(chunk.ids)
        ids = [tokenizer.bos_token_id, *chunk.ids, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * room]
        places = [(1 + at, embedding.vectors[name]) for at, embedding in chunk.places]
        with inserted(encoder, places):
            out = encoder(torch.tensor([ids], device=how.device), attention_mask=None, output_hidden_states=True)
        pooled = out.text_embeds if "text_embeds" in out else out.pooler_output
        hidden = self._layer(name, out, how)
        if all(weight == 1.0 for weight in chunk.weights):
            return hidden, pooled
        weights = torch.tensor([1.0, *chunk.weights, 1.0, *[1.0] * room], device=hidden.device, dtype=hidden.dtype)
        weighted = hidden * weights.view(1, -1, 1)
        return (weighted if how.reading.emphasis == "No norm" else weighted * (hidden.mean() / weighted.mean())), pooled

    def _layer(self, name: str, out: Any, how: How) -> torch.Tensor:
        chosen = -min(how.skip, len(out.hidden_states) - 1)
        if self._set.penultimate:
            return out.hidden_states[chosen if how.reading.clip_l_skip and name == CLIP_L else -2]
        if how.skip == 1 or not self._set.skips:
            return out.last_hidden_state
        encoder = self._encoders[name]
        return getattr(encoder, "text_model", encoder).final_layer_norm(out.hidden_states[chosen])

    def _encode_long(self, text: str, dtype: torch.dtype, how: How) -> tuple[torch.Tensor, str]:
        """((1, long_tokens, width), note) of the T5 encoder; zeros without one. Its vectors have a mean near 0, so weights keep none."""
        name, length = self._set.long, self._set.long_tokens
        encoder, tokenizer = self._encoders.get(name), self._tokenizers.get(name)
        if encoder is None or tokenizer is None:
            return torch.zeros((1, length, self._width), device=how.device, dtype=dtype), ""
        pieces = [(" ", 1.0) if piece.is_break else (piece.text, piece.weight) for piece in parse_attention(text, how.reading.emphasis)]
        plain = "".join(part for part, _ in pieces)
        tokens = tokenizer(plain, padding="max_length", max_length=length, truncation=True, return_offsets_mapping=True)
        cut = len(tokenizer(plain).input_ids) > length
        note = f"The text encoder T5 reads {length} tokens; what stands behind them in the prompt does not count for it." if cut else ""
        hidden = encoder(torch.tensor([tokens.input_ids], device=how.device))[0]
        if all(weight == 1.0 for _, weight in pieces):
            return hidden, note
        by_letter = [weight for part, weight in pieces for _ in part]
        weights = [by_letter[start] if start < end else 1.0 for start, end in tokens.offset_mapping]
        return hidden * torch.tensor(weights, device=hidden.device, dtype=hidden.dtype).view(1, -1, 1), note


def _comma(tokenizer: Any) -> frozenset[int]:
    """The token that a comma alone is; none when it is several."""
    ids = tokenizer(",", add_special_tokens=False).input_ids
    return frozenset(ids if len(ids) == 1 else ())


def _behind(words: torch.Tensor, long: torch.Tensor) -> torch.Tensor:
    """CLIP's vectors widened with zeros to T5's, then T5's behind them. Source: arXiv:2403.03206, section 4."""
    return torch.cat([torch.nn.functional.pad(words, (0, long.shape[-1] - words.shape[-1])), long], dim=-2)


def _zero(text: Encoded) -> Encoded:
    return Encoded(torch.zeros_like(text.words), None if text.pooled is None else torch.zeros_like(text.pooled))


def _words(stretches: list[tuple[int, list[Encoded]]]) -> Stretches:
    return [(end, torch.cat([text.words for text in row])) for end, row in stretches]


def _pooled(stretches: list[tuple[int, list[Encoded]]]) -> Stretches:
    rows = [(end, [text.pooled for text in row if text.pooled is not None]) for end, row in stretches]
    return [(end, torch.cat(row)) for end, row in rows if row]


def _at(stretches: Sequence[Stretch], step: int) -> str:
    return next(s.text for s in stretches if s.until >= step)


def at_step(stretches: Sequence[tuple[int, torch.Tensor]], step: int) -> torch.Tensor:
    """The tensor that holds at a step, 1-based; the last one after the end."""
    return next((tensor for until, tensor in stretches if until >= step), stretches[-1][1])
