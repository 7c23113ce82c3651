"""The prompt language on the starter model: tokens, chunks, and pictures that change the way they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.prompts.encode import CHUNK, Encoder, at_step
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


def colour(image: Image.Image) -> np.ndarray:
    return np.asarray(image, float)[40:100, 30:100].mean((0, 1))


APPLE = {"steps": 12, "cfg_scale": 5, "seed": 3}


def far(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


def test_the_heavier_a_word_the_further_the_picture_moves(studio: Studio) -> None:
    plain, light, heavy = (studio.pictures(**APPLE, prompt=f"a cat on a (blue:{w}) background")[0] for w in (1.0, 1.1, 1.6))
    assert 0 < far(plain, light) < far(plain, heavy)


def test_editing_early_gives_the_second_prompt_and_late_the_first(studio: Studio) -> None:
    [heart] = studio.pictures(**APPLE, prompt="a red heart")
    [panda] = studio.pictures(**APPLE, prompt="a panda")
    [early] = studio.pictures(**APPLE, prompt="[a red heart:a panda:1]")
    [late] = studio.pictures(**APPLE, prompt="[a red heart:a panda:11]")
    assert far(early, panda) < far(early, heart)
    assert far(late, heart) < far(late, panda)


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


def test_the_negative_prompt_pushes_away(studio: Studio) -> None:
    plain = colour(studio.pictures(**APPLE, prompt="an apple, 3d")[0])
    pushed = colour(studio.pictures(**APPLE, prompt="an apple, 3d", negative_prompt="a red apple, red")[0])
    assert plain[0] - plain[1] > pushed[0] - pushed[1]
