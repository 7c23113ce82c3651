"""Where models look: maps of every kind against their configuration and transformers' own attention; fits, files and overlays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.caption.attention import attend, reason_against, words_of
from modules.caption.loading import Captioner
from modules.caption.overlay import Kept, drawn, keep, read, sheet
from modules.caption.seeing import fitted, input_size, numbers, seen
from modules.caption.writing import write
from modules.faults import RequestFault
from tests.caption.test_writing import GREEDY
from tests.caption.tiny import SIDE_PX, TEXT, VISION

TEXTS = {
    "blip": "a photo of the cat", "blip-vqa": "what is it", "blip-itm": "a red dog", "blip-2": "a cat", "vit-gpt2": "a cat",
    "git": "the cat is",
}  # fmt: skip
LAYERS = dict.fromkeys(TEXTS, TEXT["num_hidden_layers"]) | {"blip-2": 1}  # the Q-Former looks in every second of its two layers
GRID = VISION["image_size"] // VISION["patch_size"]


@pytest.mark.parametrize("kind", TEXTS)
def test_maps_are_as_the_configuration_says_and_sum_to_one(kind: str, captioner_of: Any, pictures: list[Image.Image]):
    captioner: Captioner = captioner_of(kind)
    before = captioner.model.config._attn_implementation
    heat = attend(captioner, pictures[0], TEXTS[kind])
    assert "".join(heat.words) == TEXTS[kind].replace(" ", "")
    assert heat.maps.shape == (LAYERS[kind], TEXT["num_attention_heads"], len(heat.words), GRID, GRID)
    torch.testing.assert_close(heat.maps.sum((-1, -2)), torch.ones(heat.maps.shape[:3]))
    assert (heat.share > 0).all()
    assert (heat.share <= 1 + 1e-6).all()
    assert captioner.model.config._attn_implementation == before
    other = attend(captioner, pictures[1], TEXTS[kind])
    assert not torch.allclose(heat.maps, other.maps, atol=1e-4), "the picture does not matter"
    assert not torch.allclose(heat.maps[:, :, 0], heat.maps[:, :, -1], atol=1e-4), "the word does not matter"


def test_blips_maps_are_transformers_cross_attention_before_each_word(captioner_of: Any, pictures: list[Image.Image]):
    captioner: Captioner = captioner_of("blip")
    model, tokenizer = captioner.model, captioner.tokenizer
    heat = attend(captioner, pictures[0], "a photo of the cat")
    with torch.inference_mode():
        pixels = captioner.processor.image_processor(images=[pictures[0]], return_tensors="pt").pixel_values
        states = model.vision_model(pixel_values=pixels).last_hidden_state
        ids = tokenizer(["a photo of the cat"], return_tensors="pt").input_ids[:, :-1]
        ids[:, 0] = model.config.text_config.bos_token_id
        made = model.text_decoder(ids, encoder_hidden_states=states, output_attentions=True).cross_attentions
    for layer, rows in enumerate(made):
        wanted = rows[0, :, :-1, 1:]
        wanted = wanted / wanted.sum(-1, keepdim=True)
        torch.testing.assert_close(heat.maps[layer].flatten(-2), wanted)


@pytest.mark.parametrize("kind", ["blip", "git"])
def test_what_was_written_is_followed_by_its_own_tokens(kind: str, captioner_of: Any, pictures: list[Image.Image]):
    captioner: Captioner = captioner_of(kind)
    (candidate,) = write(captioner, pictures[:1], "", GREEDY)[0]
    heat = attend(captioner, pictures[0], candidate.text, tokens=candidate.tokens)
    assert "".join(heat.words) == candidate.text.replace(" ", "")


def test_words_are_put_together_from_pieces(captioner_of: Any):
    bert, gpt = captioner_of("blip").tokenizer, captioner_of("vit-gpt2").tokenizer
    ids = bert("cats on a bluebird", add_special_tokens=False).input_ids
    assert [bert.decode([ids[n] for n in group]) for group in words_of(bert, [*ids, bert.sep_token_id])] == ["cats", "on", "a", "bluebird"]
    ids = gpt("a cat, toes").input_ids
    assert gpt.decode([ids[n] for n in words_of(gpt, ids)[0]]) == "a"


def test_a_kind_whose_words_see_no_places_says_why(captioner_of: Any, pictures: list[Image.Image]):
    assert "never look at places" in reason_against(captioner_of("clip"))
    assert not reason_against(captioner_of("blip"))
    with pytest.raises(RequestFault, match="apart from each other"):
        attend(captioner_of("clip"), pictures[0], "a cat")
    with pytest.raises(RequestFault, match="no words"):
        attend(captioner_of("blip"), pictures[0], " ")
    with pytest.raises(RequestFault, match="Shorten it"):
        attend(captioner_of("blip"), pictures[0], "a cat " * 40)


def test_fits_change_the_picture_before_the_models_own_processor(captioner_of: Any):
    picture = Image.new("RGB", (80, 40), (200, 30, 30))
    picture.paste((30, 30, 200), (0, 0, 20, 40))  # a stripe at the left, cut away by a crop
    captioner: Captioner = captioner_of("blip")
    assert input_size(captioner) == (SIDE_PX, SIDE_PX)
    crop, bars, stretch = (fitted(captioner, picture, fit, "#00ff00") for fit in ("crop", "letterbox", "stretch"))
    assert {fit.image.size for fit in (crop, bars, stretch)} == {(SIDE_PX, SIDE_PX)}
    assert crop.region == pytest.approx((0.25, 0, 0.75, 1))
    assert bars.region == pytest.approx((0, -0.5, 1, 1.5))
    assert (crop.image.getpixel((2, 16)), bars.image.getpixel((16, 2)), stretch.image.getpixel((2, 16))) == (
        (200, 30, 30), (0, 255, 0), (30, 30, 200),
    )  # fmt: skip
    own = fitted(captioner, picture, "model")
    assert (own.image, own.region) == (picture, (0, 0, 1, 1))
    assert fitted(captioner_of("git"), picture, "model").region == pytest.approx((0.25, 0, 0.75, 1)), "CLIP's processor cuts"


@pytest.mark.parametrize("kind", ["blip", "vit-gpt2", "git"])
def test_what_the_model_sees_is_what_its_processor_gives(kind: str, captioner_of: Any, pictures: list[Image.Image]):
    captioner: Captioner = captioner_of(kind)
    said = numbers(captioner)
    picture = np.asarray(seen(captioner, pictures[0]), dtype=np.float32) / 255
    pixels = captioner.processor.image_processor(images=[pictures[0]], return_tensors="pt").pixel_values[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose((picture - np.array(said["mean"])) / np.array(said["deviation"]), pixels, atol=0.02)
    assert (said["width"], said["height"]) == (SIDE_PX, SIDE_PX)


def test_maps_are_kept_and_laid_over_what_the_model_saw(tmp_path: Path):
    maps = np.zeros((2, 2, 3, 4, 4), dtype=np.float32)
    maps[0, :, 0, 0, 0] = 1
    maps[1, :, 0, 3, 3] = 1
    maps[:, :, 1:] = 1 / 16
    keep(tmp_path / "one.npz", Kept(("a", "red", "cat"), maps, maps.sum((-1, -2)), (0.25, 0.0, 0.75, 1.0)))
    found = read(tmp_path / "one.npz")
    assert found is not None
    assert found.words == ("a", "red", "cat")
    assert found.map_of([0]).sum() == pytest.approx(1)
    assert found.map_of([0], layer=0)[0, 0] == 1
    assert sheet(found.map_of([0], layer=1)).getpixel((3, 3)) == 255
    plain = Image.new("RGB", (80, 40), (90, 90, 90))
    image = drawn(plain, found.map_of([0], layer=0), found.region)
    assert image.getpixel((5, 20)) == (90, 90, 90), "not seen, so not coloured"
    assert sum(image.getpixel((23, 3))) > sum(image.getpixel((56, 36))) + 100  # pyright: ignore[reportArgumentType]
    for asked in ({"layer": 2}, {"head": -2}, {"words": [3]}, {"words": []}):
        with pytest.raises(RequestFault):
            found.map_of(**{"words": [0], **asked})
    (tmp_path / "one.npz").write_bytes(b"PK nothing")
    assert read(tmp_path / "one.npz") is None
    assert read(tmp_path / "gone.npz") is None
