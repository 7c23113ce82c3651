"""The recipe on drawings made here: scenes say what they show, training goes on where it stopped, the tokenizer is CLIP's."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BlipForConditionalGeneration

from starter import captioner, loras, tokenizer, words
from starter.drawings import Drawing
from starter.make import chosen
from starter.scenes import KINDS, Painter, Scene
from starter.sizes import EVERYDAY, SIZES
from starter.training import Plan, train
from starter.upscaler import build as build_upscaler

SIDE = 32


@pytest.fixture
def painter() -> Painter:
    """A red disc and a blue square, each in three styles."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    shapes = {"red apple": ((x**2 + y**2 < 12**2), (220, 20, 20)), "blue book": ((abs(x) < 12) & (abs(y) < 12), (20, 20, 220))}
    array, rows = [], []
    for label, (mask, colour) in shapes.items():
        for style in words.STYLES:
            array.append(np.dstack([mask * c for c in colour] + [mask * 255]).astype(np.uint8))
            rows.append(Drawing(label, label, style, "objects", words.SYNONYMS.get(label, ()), ()))
    return Painter(torch.from_numpy(np.stack(array)), rows)


def test_a_scene_shows_its_drawing_on_its_background(painter: Painter) -> None:
    [made] = painter.render([Scene("one", 0, -1, "blue")], random.Random(0), jitter=False)
    assert made.shape == (3, SIDE, SIDE)
    assert made[:, 0, 0].mul(255).round().int().tolist() == list(words.COLOURS["blue"])
    assert made[:, 16, 16].mul(255).round().int().tolist() == [220, 20, 20]


def test_pairs_stand_where_the_words_say(painter: Painter) -> None:
    left, top = painter.render([Scene("beside", 0, 3, "white"), Scene("above", 0, 3, "white")], random.Random(0), jitter=False)
    assert left[0, 16, 8] > left[2, 16, 8]
    assert left[2, 16, 24] > left[0, 16, 24]
    assert top[0, 8, 16] > top[2, 8, 16]
    assert top[2, 24, 16] > top[0, 24, 16]
    for seed in range(40):
        text = painter.caption(Scene("beside", 0, 3, "white"), random.Random(seed))
        first, second = text.find("apple"), text.find("book")
        assert (first < second) != ("right of" in text), text


def test_a_tint_recolours_the_drawing_and_is_said(painter: Painter) -> None:
    scene = Scene("tinted", 0, -1, "white", "green")
    [made] = painter.render([scene], random.Random(0), jitter=False)
    assert made[1, 16, 16] > made[0, 16, 16]
    assert all("green" in painter.caption(scene, random.Random(n)) for n in range(20))


def test_every_caption_names_its_background_unless_white(painter: Painter) -> None:
    rng = random.Random(1)
    for _ in range(200):
        scene = painter.draw_scene(rng, dict.fromkeys(KINDS, 1.0))
        text = painter.caption(scene, rng)
        assert scene.colour == "white" or f"{scene.colour} background" in text
        assert text == text.strip()
        assert ", ," not in text


@pytest.mark.parametrize(
    ("name", "said"), [("apple", "an apple"), ("unicorn", "a unicorn"), ("scissors", "scissors"), ("two beers", "two beers")]
)
def test_articles(name: str, said: str) -> None:
    assert words.with_article(name) == said


def test_the_tokenizer_is_clips_and_the_same_each_time(painter: Painter, tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    for folder in ("a", "b"):
        tokenizer.make(tmp_path / folder, painter)
    assert (tmp_path / "a" / "vocab.json").read_bytes() == (tmp_path / "b" / "vocab.json").read_bytes()
    made = CLIPTokenizer.from_pretrained(tmp_path / "a", local_files_only=True)
    ids = made("A red apple, zürich").input_ids
    assert (ids[0], ids[-1]) == (made.bos_token_id, made.eos_token_id)
    assert made.decode(ids[1:-1]).replace(" ", "") == "aredapple,zürich"


def test_training_that_was_stopped_ends_with_the_same_weights(tmp_path: Path) -> None:
    plan = Plan(steps=12, batch=4, learning_rate=1e-2, warm_up=2, checkpoint_s=0.0)

    def run(state: Path, stop_at: int | None) -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        model = torch.nn.Linear(4, 4)

        def loss(rng: random.Random, step: int) -> dict[str, torch.Tensor]:
            if step == stop_at:
                raise KeyboardInterrupt
            x = torch.randn(plan.batch, 4) * rng.uniform(0.5, 1.5)
            return {"loss": ((model(x) - x) ** 2).mean().float()}

        train({"m": model}, loss, plan, state)
        return {k: v.clone() for k, v in model.state_dict().items()}

    whole = run(tmp_path / "whole.safetensors", None)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut.safetensors", 7)
    resumed = run(tmp_path / "cut.safetensors", None)
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_the_rate_warms_up_stays_and_falls() -> None:
    plan = Plan(steps=1000, batch=1, learning_rate=1.0, warm_up=100)
    assert plan.rate(0) == pytest.approx(0.01)
    assert plan.rate(200) == 1.0
    assert plan.rate(999) < 0.03


def test_spandrel_loads_the_upscaler(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from spandrel import ModelLoader

    save_file(build_upscaler().state_dict(), tmp_path / "x.safetensors")
    loaded = ModelLoader(device="cpu").load_from_file(tmp_path / "x.safetensors")
    assert (loaded.scale, loaded.architecture.id) == (2, "Compact")


def test_the_upscaler_begins_as_the_nearest_enlargement_with_the_colours_at_its_last_layer() -> None:
    model = build_upscaler()
    small = torch.rand(2, 3, 9, 7)
    seen: list[torch.Tensor] = []
    model.body[-1].register_forward_hook(lambda layer, given, made: seen.append(given[0]))
    with torch.no_grad():
        assert torch.equal(model(small), torch.nn.functional.interpolate(small, scale_factor=2, mode="nearest"))
    assert torch.equal(seen[0][:, :3], small)


def test_a_drawing_is_mirrored_only_where_that_is_asked(painter: Painter) -> None:
    painter.rgba[0, :, : SIDE // 2] = 0  # the right half of the disc is left
    scenes = [Scene("one", 0, -1, "blue")] * 12
    ways = {
        mirror: {bool(x[0, 16, SIDE // 2 + 6] > x[0, 16, SIDE // 2 - 7]) for x in painter.render(scenes, random.Random(1), mirror=mirror)}
        for mirror in (True, False)
    }
    assert ways == {True: {True, False}, False: {True}}


def test_the_captioner_learns_on_from_weights_that_lie_in_the_work_folder(painter: Painter, tmp_path: Path) -> None:
    size = replace(SIZES["smoke"], captioner=Plan(steps=0, batch=2, learning_rate=1e-3))
    first = captioner.make(tmp_path / "one", size, painter)
    torch.manual_seed(5)
    other = BlipForConditionalGeneration.from_pretrained(first, dtype=torch.float32)
    torch.nn.init.normal_(other.vision_model.embeddings.patch_embedding.weight)
    other.half().save_pretrained(tmp_path / "two" / "begin" / "captioner")
    made = BlipForConditionalGeneration.from_pretrained(captioner.make(tmp_path / "two", size, painter), dtype=torch.float16)
    assert all(torch.equal(a, b) for a, b in zip(made.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_blueprint_is_blue_paper_with_light_lines() -> None:
    white, black = loras.blueprint(torch.ones(3, 2, 2)), loras.blueprint(torch.zeros(3, 2, 2))
    assert (white[:, 0, 0] * 255).round().int().tolist() == list(loras.BLUE)
    assert (black[:, 0, 0] * 255).round().int().tolist() == list(loras.PAPER)


def test_everyday_names_are_enough_for_the_small_size_and_none_is_twice() -> None:
    assert len(EVERYDAY) == len(set(EVERYDAY))
    assert len(EVERYDAY) >= SIZES["cpu"].labels - 40
    rows = [Drawing("x", name.lower(), "3d", "", (), ()) for name in ("red apple", "no such thing")]
    assert chosen(rows, 220) == [0]
    assert chosen(rows, 0) == [0, 1]
