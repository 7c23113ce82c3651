"""The prompt language on the starter model: tokens, chunks, weights, what is kept. What pictures show: test_prompt_effect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from modules.prompts.embeddings import Embeddings
from modules.prompts.encode import CHUNK, Encoder, at_step
from modules.prompts.encoded import Cache, Encoded, How
from modules.prompts.reading import Reading
from modules.prompts.text_sets import TWO_CLIPS
from tests.model import tiny
from tests.model.conftest import Studio


@pytest.fixture(scope="module")
def parts(starter_path: Any) -> tuple[Any, Any]:
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(starter_path / "tokenizer")
    return tokenizer, CLIPTextModel.from_pretrained(starter_path / "text_encoder", dtype=torch.float32)


def encode(parts: tuple[Any, Any], prompt: str, negative: str = "", calls: int = 10):
    return Encoder(*parts).conditions([prompt], [negative], calls, "cpu")


def first(parts: tuple[Any, Any], prompt: str) -> torch.Tensor:
    return at_step(encode(parts, prompt).parts[0][1], 1)


def test_a_plain_prompt_gives_what_the_text_encoder_gives(parts: tuple[Any, Any]) -> None:
    tokenizer, text_encoder = parts
    ids = tokenizer("a red apple, 3d", padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.inference_mode():
        assert torch.equal(first(parts, "a red apple, 3d"), text_encoder(ids)[0])


def test_long_prompts_take_several_chunks_and_the_shorter_side_is_filled_up(parts: tuple[Any, Any]) -> None:
    found = encode(parts, "apple " * (CHUNK + 5), "blue")
    assert found.parts[0][1][0][1].shape[1] == 154
    assert found.negative[0][1].shape == found.parts[0][1][0][1].shape


def test_break_begins_a_new_chunk(parts: tuple[Any, Any]) -> None:
    broken = first(parts, "a cat BREAK a dog")
    assert broken.shape[1] == 154
    assert torch.equal(broken[:, :77], first(parts, "a cat"))
    assert torch.equal(broken[:, 77:], first(parts, "a dog"))


def test_a_late_comma_takes_what_follows_along_to_the_next_chunk(parts: tuple[Any, Any]) -> None:
    one = len(parts[0]("apple", add_special_tokens=False).input_ids)
    words = "apple " * ((CHUNK - 4) // one)
    found = first(parts, f"{words}, red car with big wheels")
    assert torch.equal(found[:, 77:], first(parts, "red car with big wheels"))


def test_weights_scale_tokens_and_keep_the_mean(parts: tuple[Any, Any]) -> None:
    plain, heavy = first(parts, "a red apple"), first(parts, "a (red:1.5) apple")
    assert not torch.equal(plain, heavy)
    assert heavy.mean().item() == pytest.approx(plain.mean().item(), rel=1e-3)
    assert torch.equal(first(parts, "a (red:1.0) apple"), plain)


def test_editing_and_parts_are_given_per_step(parts: tuple[Any, Any]) -> None:
    found = encode(parts, "[a cat:a dog:0.5] AND a car:0.7", calls=10)
    assert [weight for weight, _ in found.parts] == [1.0, 0.7]
    assert [until for until, _ in found.parts[0][1]] == [5, 10]
    assert found.changes


def of(parts: tuple[Any, Any], prompt: str, **reading: Any) -> torch.Tensor:
    found = Encoder(*parts).conditions([prompt], [""], 10, "cpu", reading=Reading(**reading))
    return at_step(found.parts[0][1], 1)


def test_modes_of_emphasis(parts: tuple[Any, Any]) -> None:
    heavy, plain = "a (red:1.5) apple", of(parts, "a red apple")
    assert torch.equal(of(parts, heavy, emphasis="Ignore"), plain)
    text_encoder = parts[1]
    ids = parts[0](heavy, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.inference_mode():
        assert torch.equal(of(parts, heavy, emphasis="None"), text_encoder(ids)[0]), "the brackets are text"
    bare = of(parts, heavy, emphasis="No norm")
    red = next(n for n in range(77) if not torch.equal(bare[0, n], plain[0, n]))
    assert torch.allclose(bare[0, red], plain[0, red] * 1.5)
    assert torch.equal(bare[0, 0], plain[0, 0])
    assert not torch.equal(of(parts, heavy)[0, 0], plain[0, 0]), "the mean is restored over the whole chunk"


def test_the_word_wrap_limit_moves_the_cut(parts: tuple[Any, Any]) -> None:
    one = len(parts[0]("apple", add_special_tokens=False).input_ids)
    text = "apple " * ((CHUNK - 8) // one) + ", red car with big wheels and a long blue road and more words"
    near, off = of(parts, text), of(parts, text, comma_backtrack=0)
    assert near.shape == off.shape == (1, 154, near.shape[2])
    assert not torch.equal(near, off)
    assert torch.equal(of(parts, text, comma_backtrack=2), off), "the comma is further from the end than that"


def test_a_second_pass_counts_on_from_the_first(parts: tuple[Any, Any]) -> None:
    text = "[a cat:a dog:0.5] [in a car:1.5]"
    encoder = Encoder(*parts)
    first = encoder.conditions([text], [text], 10, "cpu")
    second = encoder.conditions([text], [text], 8, "cpu", first_pass=10)
    old = encoder.conditions([text], [text], 8, "cpu", first_pass=10, reading=Reading(old_schedule=True))
    assert [until for until, _ in first.parts[0][1]] == [5, 10]
    for stretches in (second.parts[0][1], second.negative):
        assert [until for until, _ in stretches] == [4, 8]
    assert [until for until, _ in old.parts[0][1]] == [1, 4, 8]
    assert torch.equal(second.parts[0][1][0][1], at_step(encode(parts, "a dog ").parts[0][1], 1))


def test_how_many_tokens_are_their_own(parts: tuple[Any, Any]) -> None:
    assert encode(parts, "apple " * (CHUNK + 5), "blue").tokens == (154, 77)
    assert encode(parts, "a", "a BREAK b BREAK c").tokens == (77, 231)
    assert encode(parts, "a", "").tokens == (77, 77)


class Counting:
    """A text encoder that counts how often it is asked."""

    def __init__(self, text_encoder: Any) -> None:
        self.inner = text_encoder
        self.asked = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        return self.inner(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_what_was_encoded_is_kept_by_everything_that_decides_it(parts: tuple[Any, Any]) -> None:
    counting = Counting(parts[1])
    encoder = Encoder(parts[0], counting)
    ways: list[dict[str, Any]] = [
        {},
        {"skip": 2},
        {"reading": Reading(emphasis="Ignore")},
        {"reading": Reading(emphasis="No norm")},
        {"reading": Reading(comma_backtrack=0)},
    ]
    found: list[torch.Tensor] = []
    for way in ways:
        before = counting.asked
        conditions = encoder.conditions(["a (red:1.4) apple, with, more"], ["a (red:1.4) apple, with, more"], 10, "cpu", **way)
        assert counting.asked == before + 1, f"prompt and negative prompt are the same text: {way}"
        found.append(at_step(conditions.parts[0][1], 1))
        again = encoder.conditions(["a (red:1.4) apple, with, more"], ["a (red:1.4) apple, with, more"], 10, "cpu", **way)
        assert counting.asked == before + 1, f"the second time it is known: {way}"
        assert torch.equal(at_step(again.parts[0][1], 1), found[-1])
    for n in range(1, 4):
        assert not torch.equal(found[0], found[n])
    encoder.forget()  # another LoRA
    encoder.conditions(["a (red:1.4) apple, with, more"], [""], 10, "cpu")
    assert counting.asked == len(ways) + 2
    encoder.use(Embeddings.none())  # other learnt words
    encoder.conditions([""], [""], 10, "cpu")
    assert counting.asked == len(ways) + 3


def test_what_is_kept_has_a_limit_and_the_latest_used_stay() -> None:
    def text(mib: int) -> Encoded:
        return Encoded(torch.zeros((1, mib, 1024 * 256)), None)

    cache, how = Cache(), How(chunks=1, skip=1, reading=Reading(), device="cpu")
    for name, mib in (("a", 80), ("b", 80)):
        cache.put(name, how, text(mib))
    assert cache.get("a", how) is not None
    cache.put("c", how, text(80))
    assert cache.get("a", how) is not None
    assert cache.get("b", how) is None
    cache.put("huge", how, text(300))
    assert cache.get("huge", how) is not None, "the latest is always kept"
    assert cache.get("a", how) is None
    assert cache.get("huge", replace(how, device="cuda")) is None


def test_clip_skip_of_sdxls_first_text_encoder(tmp_path: Any) -> None:
    from diffusers import StableDiffusionXLPipeline

    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(tiny.sdxl(tmp_path / "xl"), local_files_only=True)
    encoder = Encoder.of(pipeline, TWO_CLIPS)

    def words(skip: int, *, follows: bool) -> torch.Tensor:
        made = encoder.conditions(["a cat"], ["b"], 10, "cpu", skip=skip, reading=Reading(clip_l_skip=follows))
        return at_step(made.parts[0][1], 1)

    assert torch.equal(words(2, follows=False), words(1, follows=False)), "off, clip skip means nothing to SDXL"
    assert torch.equal(words(2, follows=True), words(1, follows=False)), "the layer before the last is what SDXL reads"
    deeper, usual = words(1, follows=True), words(1, follows=False)
    assert not torch.equal(deeper[..., :64], usual[..., :64])
    assert torch.equal(deeper[..., 64:], usual[..., 64:]), "the second text encoder stays as it is"


APPLE = {"steps": 12, "cfg_scale": 5, "seed": 3}


def test_and_with_weight_zero_is_the_first_part_alone_and_with_one_is_not(studio: Studio) -> None:
    [alone] = studio.pictures(**APPLE, prompt="a red heart")
    [nothing_added] = studio.pictures(**APPLE, prompt="a red heart AND a panda:0")
    [both] = studio.pictures(**APPLE, prompt="a red heart AND a panda")
    assert np.abs(np.asarray(alone, int) - np.asarray(nothing_added, int)).max() <= 2
    assert np.abs(np.asarray(alone, int) - np.asarray(both, int)).max() > 60


def test_the_hook_for_and_leaves_nothing_behind(studio: Studio) -> None:
    [before] = studio.pictures(**APPLE, prompt="a red heart")
    studio.pictures(**APPLE, prompt="a red heart AND a panda")
    [after] = studio.pictures(**APPLE, prompt="a red heart")
    assert before.tobytes() == after.tobytes()
