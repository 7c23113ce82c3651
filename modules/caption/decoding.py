"""Words from a network that only says how likely each next token is: greedy, drawn, by beams, or by beams that are drawn.

Knows nothing of what the network is; a network outside torch writes with it. The same words as transformers' `generate` for the same
likelihoods, and the same form of answer. Start reading at `decode`.
Source: the behaviour of transformers' greedy, multinomial and beam search (scores are sums of log-probabilities over length to the power
of length_penalty; as many beams as ends and one more are looked at, so that those that end never thin out the rest).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

Next = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How words are chosen; the names are those of a GenerationConfig. ends: tokens that end a text; pad: stands behind an end."""

    max_new_tokens: int
    ends: tuple[int, ...]
    pad: int
    min_new_tokens: int = 0
    num_beams: int = 1
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0
    early_stopping: bool = False
    num_return_sequences: int = 1


@dataclass(frozen=True)
class Made:
    """sequences: (N,T) tokens, what was given first; logits: of each step, (rows,V) float32; beam_indices: (N,new) the row of each new
    token, -1 behind the end, None without beams.
    """

    sequences: torch.Tensor
    logits: tuple[torch.Tensor, ...]
    beam_indices: torch.Tensor | None = None


def decode(given: torch.Tensor, following: Next, rules: Rules, *, stopped: Any = None, streamer: Any = None) -> Made:
    """Write behind given (B,T) tokens. following(tokens, rows): likelihoods (N,V) behind the tokens (N,t) that are new to it, where rows
    (N,) says which row of its last answer each goes on from, None: the same.

    stopped: transformers' stopping criteria, asked once a step; streamer: transformers', for a lone text without beams.
    """
    if rules.num_beams > 1:
        return _by_beams(given, following, rules, stopped)
    return _one_by_one(given, following, rules, stopped, streamer)


def processors(rules: Rules, known: int) -> LogitsProcessorList:
    """What is done to the likelihoods before a word is chosen. known: how many tokens were given."""
    chain = LogitsProcessorList()
    if rules.repetition_penalty != 1.0:
        chain.append(RepetitionPenaltyLogitsProcessor(rules.repetition_penalty))
    if rules.min_new_tokens and rules.ends:
        chain.append(MinNewTokensLengthLogitsProcessor(known, rules.min_new_tokens, [*rules.ends]))
    if rules.do_sample:
        keep = len(rules.ends) + 1 if rules.num_beams > 1 else 1
        if rules.temperature != 1.0:
            chain.append(TemperatureLogitsWarper(rules.temperature))
        if rules.top_k:
            chain.append(TopKLogitsWarper(rules.top_k, min_tokens_to_keep=keep))
        if rules.top_p < 1.0:
            chain.append(TopPLogitsWarper(rules.top_p, min_tokens_to_keep=keep))
    return chain


def _one_by_one(given: torch.Tensor, following: Next, rules: Rules, stopped: Any, streamer: Any) -> Made:
    many = rules.num_return_sequences
    rows = torch.arange(len(given)).repeat_interleave(many) if many > 1 else None
    tokens = given if rows is None else given[rows]
    chain, ends = processors(rules, given.shape[1]), torch.tensor(rules.ends, dtype=torch.long)
    open_rows = torch.ones(len(tokens), dtype=torch.bool)
    logits: list[torch.Tensor] = []
    if streamer is not None:
        streamer.put(given)
    new = given
    for _ in range(rules.max_new_tokens):
        said = following(new, None).float()
        if rows is not None:  # the given text was read once, for all that are drawn from it
            said = said[rows]
        scores = chain(tokens, said)
        picked = torch.multinomial(scores.softmax(-1), 1)[:, 0] if rules.do_sample else scores.argmax(-1)
        picked = torch.where(open_rows, picked, torch.full_like(picked, rules.pad))
        logits.append(said)
        tokens = torch.cat([tokens, picked[:, None]], dim=1)
        if streamer is not None:
            streamer.put(picked)
        open_rows &= ~torch.isin(picked, ends)
        if (stopped is not None and bool(stopped(tokens, None).all())) or not bool(open_rows.any()):
            break
        if rows is None:
            new = tokens[:, -1:]
            continue
        first, rows = rows, None
        following = _begun(following, first)
        new = tokens[:, -1:]
    if streamer is not None:
        streamer.end()
    return Made(tokens, tuple(logits))


def _begun(following: Next, first: torch.Tensor) -> Next:
    """The same, whose next answer goes on from these rows of the last one."""
    waiting = [first]

    def on(tokens: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
        return following(tokens, waiting.pop() if waiting else rows)

    return on


@dataclass
class _Beams:
    """The beams of one picture. running: tokens, sum of log-probabilities, rows of the new tokens; ended: score, tokens, rows; best first.

    improvable: those that run may still become better than those that ended.
    """

    running: list[tuple[list[int], float, list[int]]]
    ended: list[tuple[float, list[int], list[int]]] = field(default_factory=list[tuple[float, list[int], list[int]]])
    improvable: bool = True

    def full(self, rules: Rules) -> bool:
        return len(self.ended) >= rules.num_beams


def _by_beams(given: torch.Tensor, following: Next, rules: Rules, stopped: Any) -> Made:
    count, known, width = len(given), given.shape[1], rules.num_beams
    chain, looked_at = processors(rules, known), max(2, 1 + len(rules.ends)) * width
    pictures = [_Beams([(row.tolist(), 0.0 if n == 0 else -1e9, []) for n in range(width)]) for row in given]
    rows: torch.Tensor | None = None
    tokens, logits = given, list[torch.Tensor]()
    for step in range(rules.max_new_tokens):
        said = following(tokens if step == 0 else tokens[:, -1:], rows).float()
        if step == 0:
            said = said.repeat_interleave(width, dim=0)
            tokens = given.repeat_interleave(width, dim=0)
        logits.append(said)
        scores = chain(tokens, said.log_softmax(-1)).view(count, width, -1)
        last = step + 1 == rules.max_new_tokens
        for n, picture in enumerate(pictures):
            _advance(picture, _candidates(picture, scores[n], n * width, looked_at, rules), rules, step + 1, last)
        from_rows = [beam[2][-1] for picture in pictures for beam in picture.running]
        rows = torch.tensor([row // width for row in from_rows] if step == 0 else from_rows)
        tokens = torch.tensor([beam[0] for picture in pictures for beam in picture.running])
        halted = stopped is not None and bool(stopped(tokens, None).all())
        if halted or not _worth_it(pictures, rules):
            break
    return _gathered(pictures, known, logits, rules)


def _candidates(
    picture: _Beams, scores: torch.Tensor, first_row: int, looked_at: int, rules: Rules
) -> list[tuple[list[int], float, list[int]]]:
    """The best (or drawn) ways to go on from the running beams. scores: (beams,V)."""
    sums = (scores + torch.tensor([beam[1] for beam in picture.running])[:, None]).flatten()
    if rules.do_sample:
        places = torch.multinomial(sums.softmax(-1), min(looked_at, sums.numel()))
        found = sums[places]
    else:
        found, places = sums.topk(min(looked_at, sums.numel()))
    vocabulary = scores.shape[-1]
    made: list[tuple[list[int], float, list[int]]] = []
    for score, place in zip(found.tolist(), places.tolist(), strict=True):
        before, _, path = picture.running[place // vocabulary]
        made.append(([*before, place % vocabulary], score, [*path, first_row + place // vocabulary]))
    return made


def _advance(picture: _Beams, found: Sequence[tuple[list[int], float, list[int]]], rules: Rules, length: int, last: bool) -> None:
    """Take the candidates in: those that end are kept when they are good enough, the best others run on."""
    width = rules.num_beams
    over = [last or tokens[-1] in rules.ends for tokens, _, _ in found]
    if picture.improvable and not (rules.early_stopping and picture.full(rules)):
        ended = [
            (score / length**rules.length_penalty, tokens, path)
            for (tokens, score, path), end in zip(found[:width], over, strict=False)
            if end
        ]
        picture.ended = sorted([*picture.ended, *ended], key=lambda row: -row[0])[:width]
    running = [(tokens, score - 1e9 * end, path) for (tokens, score, path), end in zip(found, over, strict=True)]
    picture.running = sorted(running, key=lambda row: -row[1])[:width]
    if picture.improvable and picture.full(rules):
        picture.improvable = picture.running[0][1] / length**rules.length_penalty > picture.ended[-1][0]
    picture.improvable = picture.improvable and not last


def _worth_it(pictures: Sequence[_Beams], rules: Rules) -> bool:
    """Can any picture's caption still become better?"""
    return any(picture.improvable and not (rules.early_stopping and picture.full(rules)) for picture in pictures)


def _gathered(pictures: Sequence[_Beams], known: int, logits: list[torch.Tensor], rules: Rules) -> Made:
    """The best of each picture, as rows of one length. A picture that was stopped before any beam ended gives those that run."""
    best: list[tuple[list[int], list[int]]] = []
    for picture in pictures:
        ended = [(tokens, path) for _, tokens, path in picture.ended]
        running = [(tokens, path) for tokens, _, path in picture.running]
        best += [*ended, *running][: rules.num_return_sequences]
    longest = max(len(path) for _, path in best)
    sequences = torch.full((len(best), known + longest), rules.pad)
    indices = torch.full((len(best), longest), -1)
    for n, (tokens, path) in enumerate(best):
        sequences[n, : len(tokens)] = torch.tensor(tokens)
        indices[n, : len(path)] = torch.tensor(path)
    return Made(sequences, tuple(logits), indices)
