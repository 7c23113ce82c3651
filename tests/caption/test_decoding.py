"""Our own way of choosing words says what transformers' `generate` says, token for token, for every way of writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import StoppingCriteriaList

from modules.caption.decoding import Rules, decode
from modules.caption.loading import Captioner

WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"num_beams": 3},
    {"num_beams": 4, "num_return_sequences": 3, "length_penalty": 2.0},
    {"num_beams": 3, "length_penalty": -1.0, "min_new_tokens": 4},
    {"num_beams": 5, "early_stopping": True, "repetition_penalty": 1.3},
    {"repetition_penalty": 1.5, "min_new_tokens": 5},
    {"do_sample": True, "top_k": 5, "top_p": 0.9, "temperature": 1.3},
    {"do_sample": True, "num_return_sequences": 3},
    {"do_sample": True, "num_beams": 3, "top_k": 8, "num_return_sequences": 2},
)


class Words:
    """BLIP's decoder behind one picture a row, asked anew for the whole text each time."""

    def __init__(self, captioner: Captioner, pixels: torch.Tensor) -> None:
        self._decoder = captioner.model.text_decoder
        self._seen = captioner.model.vision_model(pixel_values=pixels).last_hidden_state
        self._text: torch.Tensor | None = None

    def following(self, tokens: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
        if self._text is None:
            self._text = tokens
        else:
            if rows is not None:
                self._text, self._seen = self._text[rows], self._seen[rows]
            self._text = torch.cat([self._text, tokens], dim=1)
        return self._decoder(self._text, encoder_hidden_states=self._seen).logits[:, -1]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_same_words_as_generate(captioner_of: Callable[[str], Captioner], way: dict[str, Any]):
    captioner = captioner_of("blip")
    model, end = captioner.model, captioner.model.config.text_config.sep_token_id
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    given = torch.full((3, 1), model.config.text_config.bos_token_id)
    usual = {"top_k": 50, "top_p": 1.0, "temperature": 1.0} if way.get("do_sample") else {}
    with torch.inference_mode():
        torch.manual_seed(11)
        asked = {"max_new_tokens": 10, **usual, **way, "return_dict_in_generate": True, "output_logits": True}
        theirs = model.generate(pixel_values=pixels, **asked)
        torch.manual_seed(11)
        ours = decode(given, Words(captioner, pixels).following, Rules(ends=(end,), pad=0, max_new_tokens=10, **{**usual, **way}))
    length = min(theirs.sequences.shape[1], ours.sequences.shape[1])
    assert torch.equal(ours.sequences[:, :length], theirs.sequences[:, :length])
    assert not ours.sequences[:, length:].any()
    if way.get("num_beams", 1) > 1:
        assert ours.beam_indices is not None
        assert torch.equal(ours.beam_indices[:, : length - 1], theirs.beam_indices[:, : length - 1].long())
    for own, other in zip(ours.logits, theirs.logits, strict=False):
        assert torch.allclose(own, other, atol=1e-4)


def test_stops_when_told_and_tells_tokens(captioner_of: Callable[[str], Captioner]):
    captioner = captioner_of("blip")
    pixels = torch.zeros(1, 3, 32, 32)
    given = torch.full((1, 1), captioner.model.config.text_config.bos_token_id)
    told: list[list[int]] = []

    class Streamer:
        def put(self, tokens: torch.Tensor) -> None:
            told.append(tokens.flatten().tolist())

        def end(self) -> None:
            told.append([])

    asked: list[int] = []

    def stop(tokens: torch.Tensor, scores: Any, **rest: Any) -> torch.Tensor:
        asked.append(tokens.shape[1])
        return torch.full((len(tokens),), len(asked) == 2)

    rules = Rules(ends=(10_000,), pad=0, max_new_tokens=9)
    with torch.inference_mode():
        made = decode(given, Words(captioner, pixels).following, rules, stopped=StoppingCriteriaList([stop]), streamer=Streamer())  # pyright: ignore[reportArgumentType]
    assert asked == [2, 3]
    assert made.sequences.shape == (1, 3)
    assert told == [given[0].tolist(), made.sequences[0, 1:2].tolist(), made.sequences[0, 2:].tolist(), []]


def test_beams_that_are_stopped_give_what_runs(captioner_of: Callable[[str], Captioner]):
    captioner = captioner_of("blip")
    given = torch.full((1, 1), captioner.model.config.text_config.bos_token_id)
    rules = Rules(ends=(10_000,), pad=0, max_new_tokens=9, num_beams=3, num_return_sequences=2)
    with torch.inference_mode():
        words = Words(captioner, torch.zeros(1, 3, 32, 32))
        made = decode(given, words.following, rules, stopped=lambda tokens, scores: torch.ones(len(tokens), dtype=torch.bool))
    assert made.sequences.shape == (2, 2)
    assert made.sequences[0, 1] != made.sequences[1, 1]
