"""Captions and answers: one pass over a batch of pictures, candidates with scores, words as they come, and a way to stop.

Start reading at `write`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from transformers import StoppingCriteria, StoppingCriteriaList, TextStreamer

from modules.caption.loading import Captioner
from modules.faults import Cancelled, RequestFault
from modules.request.caption import Writing


@dataclass(frozen=True)
class Candidate:
    """text: what was written, a given beginning included; score: mean log-probability of its new tokens, 0 is certain.

    tokens: the new ones, up to and with the end.
    """

    text: str
    score: float
    tokens: tuple[int, ...] = ()

    def to_data(self) -> dict[str, Any]:
        return {"text": self.text, "score": round(self.score, 4)}


@dataclass(frozen=True, kw_only=True)
class Watch:
    """stopped(): end after this token; token(n): so many new tokens are there; words(text): the next words of a lone picture's caption.

    scores: of lone candidates too; without it theirs are 0 and their tokens not told, which saves the memory of every likelihood.
    """

    stopped: Callable[[], bool] = lambda: False
    token: Callable[[int], None] = lambda count: None
    words: Callable[[str], None] | None = None
    scores: bool = True


@torch.inference_mode()
def write(
    captioner: Captioner,
    images: Sequence[Image.Image],
    text: str,
    how: Writing,
    *,
    seed: int = 0,
    answer: bool = False,
    watch: Watch | None = None,
) -> list[list[Candidate]]:
    """how.num_return_sequences candidates for each picture (RGB, any sizes), best first. text: a beginning, or a question as it is put.

    Without sampling the pictures go through the model together; with it one by one, each from the seed, so that no picture depends on
    its neighbours. Words are told only for one picture at a time with one beam and one candidate. answer: leave the question out.
    Raises RequestFault("prompt") when the text leaves no room, Cancelled.
    """  # fmt: skip
    watch = watch or Watch()
    groups = [[image] for image in images] if how.do_sample else [list(images)]
    found: list[list[Candidate]] = []
    for group in groups:
        with _seeded(seed if how.do_sample else None, captioner.device):
            found += _written(captioner, group, text, how, answer, watch)
    return found


def arguments(how: Writing, room: int | None = None) -> dict[str, Any]:
    """What `generate` is given: only what has an effect, since transformers warns of the rest. room: most tokens that can be written."""
    most = how.max_length if room is None else min(how.max_length, room)
    given: dict[str, Any] = {
        "max_new_tokens": most,
        "min_new_tokens": min(how.min_length, most) or None,
        "num_beams": how.num_beams,
        "do_sample": how.do_sample,
        "repetition_penalty": how.repetition_penalty,
        "num_return_sequences": how.num_return_sequences,
    }
    if how.do_sample:
        given |= {"temperature": how.temperature, "top_k": how.top_k, "top_p": how.top_p}
    if how.num_beams > 1:
        given |= {"length_penalty": how.length_penalty, "early_stopping": how.early_stopping}
    return {name: value for name, value in given.items() if value is not None}


def _written(captioner: Captioner, images: list[Image.Image], text: str, how: Writing, answer: bool, watch: Watch) -> list[list[Candidate]]:
    kind = captioner.kind
    inputs = captioner.placed(kind.inputs(captioner.processor, images, text))
    known = kind.prompt_length(inputs)
    judge = watch.scores or how.num_return_sequences > 1
    made = captioner.model.generate(
        **inputs,
        **arguments(how, _room(captioner, inputs, known)),
        stopping_criteria=StoppingCriteriaList([_Stop(watch)]),
        streamer=_streamer(captioner, images, how, watch),
        return_dict_in_generate=True,
        output_logits=judge,
    )
    if watch.stopped():
        raise Cancelled
    begin = known if kind.returns_prompt and (answer or kind.begun) else 0
    before = kind.begun(text) if kind.begun else ""
    texts = captioner.tokenizer.batch_decode(made.sequences[:, begin:], skip_special_tokens=True)
    said = (" ".join(f"{before}{text}".split()) for text in texts)
    scores = judged(made, captioner.ends) if judge else [(0.0, ())] * len(made.sequences)
    rows = [Candidate(words, score, new) for words, (score, new) in zip(said, scores, strict=True)]
    each = how.num_return_sequences
    picked = [rows[n : n + each] for n in range(0, len(rows), each)]
    return [sorted(some, key=lambda row: -row.score) for some in picked] if how.do_sample and how.num_beams == 1 else picked


def _room(captioner: Captioner, inputs: Any, known: int) -> int | None:
    """How many tokens can be written. Raises RequestFault when the text is too long for the model."""
    if captioner.positions is None:
        return None
    read = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
    if max(known + 1, read) > captioner.positions:
        most = f"{captioner.installed.name} has room for {captioner.positions} tokens, its own words included"
        raise RequestFault("prompt", f"is {max(known, read)} tokens long; {most}. Shorten it")
    return captioner.positions - known


def judged(made: Any, ends: Any) -> list[tuple[float, tuple[int, ...]]]:
    """(mean log-probability by the model's own logits, the tokens) of what is new in each sequence, up to and with its end.

    made: what `generate` returned, with logits; ends: the token or tokens that end a sequence.
    """
    beams = getattr(made, "beam_indices", None)
    count = len(made.logits) if beams is None else int((beams >= 0).sum(1).max())
    tokens = made.sequences[:, made.sequences.shape[1] - count :]
    if beams is None:
        rows = torch.arange(len(tokens), device=tokens.device)[:, None].expand(-1, count)
        over = torch.isin(tokens, torch.tensor(ends if isinstance(ends, list) else [ends], device=tokens.device)).int()
        counts = over.cumsum(1) - over == 0
    else:
        rows, counts = beams[:, :count].clamp(min=0), beams[:, :count] >= 0
    steps = [logits[rows[:, n]].float() for n, logits in enumerate(made.logits[:count])]
    found = torch.stack([step.gather(1, tokens[:, n : n + 1])[:, 0] - step.logsumexp(1) for n, step in enumerate(steps)], dim=1)
    means = (torch.where(counts, found, 0.0).sum(1) / counts.sum(1).clamp(min=1)).tolist()
    return [(mean, tuple(row[: int(n)])) for mean, row, n in zip(means, tokens.tolist(), counts.sum(1), strict=True)]


class _Stop(StoppingCriteria):
    """Asked after every token."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._count = 0

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        self._count += 1
        self._watch.token(self._count)
        return torch.full((input_ids.shape[0],), self._watch.stopped(), device=input_ids.device, dtype=torch.bool)


class _Words(TextStreamer):
    """Tells words as soon as they are whole."""

    def __init__(self, tokenizer: Any, tell: Callable[[str], None]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._tell = tell

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self._tell(text)


def _streamer(captioner: Captioner, images: list[Image.Image], how: Writing, watch: Watch) -> _Words | None:
    if watch.words is None or len(images) > 1 or how.num_beams > 1 or how.num_return_sequences > 1:
        return None
    return _Words(captioner.tokenizer, watch.words)


@contextlib.contextmanager
def _seeded(seed: int | None, device: str) -> Iterator[None]:
    """torch's random numbers begin with the seed inside, and go on as before afterwards. None: nothing is drawn."""
    if seed is None:
        yield
        return
    devices = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
