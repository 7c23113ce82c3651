"""The detailer on the starter model: it finds by place and by word, paints that part alone, and understands ADetailer's units."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from modules.faults import RequestFault
from modules.request import GenerationRequest, Result
from tests.compat.conftest import Theatre, samples
from tests.house.tree import ROOT

SIDE = 192
STILL: dict[str, Any] = {"width": SIDE, "height": SIDE, "steps": 6, "denoising_strength": 0.0, "cfg_scale": 2.0, "prompt": "a thing"}


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, ModuleType]]:
    """The detailer's own modules, as its loader finds them."""
    base = ROOT / "extensions" / "detailer"
    sys.path.insert(0, str(base))
    try:
        yield {name: importlib.import_module(f"detailing.{name}") for name in ("units", "places", "finding", "asking")}
    finally:
        sys.path.remove(str(base))
        for name in [name for name in sys.modules if name == "detailing" or name.startswith("detailing.")]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def scene(theatre: Theatre) -> Image.Image:
    """A red apple in a corner of a white ground, a yellow star in another, as the starter model paints them."""
    whole = Image.new("RGB", (SIDE, SIDE), "white")
    for prompt, seed, place in (("a red apple", 3, (8, 8)), ("a yellow star", 5, (SIDE - 72, SIDE - 72))):
        made = theatre.make(prompt=prompt, seed=seed, width=128, height=128, steps=8, cfg_scale=4.0)
        with Image.open(samples(made)[0].path) as image:
            whole.paste(image.convert("RGB").resize((64, 64)), place)
    return whole


def run(theatre: Theatre, scene: Image.Image, title: str, args: Any) -> tuple[np.ndarray, np.ndarray, Result]:
    """(before, after, result) as arrays of 0 to 255."""
    start = theatre.inputs.put_picture(scene)
    found = theatre.make(**STILL, init_images=[start], alwayson_scripts={title: {"args": args}})
    plain = theatre.make(**STILL, init_images=[start])
    pictures = [np.asarray(Image.open(samples(one)[0].path).convert("RGB"), float) for one in (plain, found)]
    return pictures[0], pictures[1], found


def box_of(before: np.ndarray, after: np.ndarray) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of what differs."""
    return Image.fromarray((np.abs(before - after).max(-1) > 8).astype(np.uint8)).getbbox()


def test_a_place_is_painted_anew_and_the_rest_stays(theatre: Theatre, scene: Image.Image):
    args = {"enabled": True, "places": "0 0 40 40", "prompt": "a green apple, [PROMPT]", "denoising": 0.9, "grow": 0, "blur": 0}
    before, after, found = run(theatre, scene, "detailer", args)
    left, top, right, bottom = box_of(before, after) or (SIDE,) * 4
    assert (right, bottom) <= (0.4 * SIDE + 1, 0.4 * SIDE + 1)
    assert right - left > 20
    assert bottom - top > 20
    assert (after[80:] == before[80:]).all()
    red, green = after[20:60, 20:60].mean((0, 1))[:2] - before[20:60, 20:60].mean((0, 1))[:2]
    assert green > red + 20  # the red apple became a green one
    assert "Detailer: face 1, Detailer denoising strength: 0.9" in samples(found)[0].infotext
    assert len(found.pictures) == 1
    assert len([event for event in theatre.control.events if event[0] == "picture"]) == 1
    assert not [text for text in found.warnings if "failed" in text or "detailer took" in text]


def test_adetailers_units_find_a_described_thing(theatre: Theatre, scene: Image.Image):
    unit = {"ad_model": "star_yolov8n.pt", "ad_prompt": "a blue star", "ad_denoising_strength": 0.9, "ad_mask_k": 1, "ad_mask_blur": 0,
            "ad_dilate_erode": 0, "ad_controlnet_model": "control_v11p_sd15_inpaint", "ad_controlnet_weight": 1.0}  # fmt: skip
    before, after, found = run(theatre, scene, "ADetailer", [True, False, {"ad_model": "None"}, unit])
    left, top, *_ = box_of(before, after) or (0, 0, 0, 0)
    assert left > SIDE * 0.35
    assert top > SIDE * 0.35
    assert (after[:64, :64] == before[:64, :64]).all()
    said = [text for text in found.warnings if "ADetailer's" in text]
    assert said == ["ADetailer's ad_controlnet_model is not offered by the detailer; it was passed over."]
    off = theatre.scripts.visit(GenerationRequest(prompt="a", alwayson_scripts={"ADetailer": {"args": [False]}}))
    assert "detailer" not in {use.name for use in (off.uses if off is not None else ())}


def test_what_cannot_be_found_or_read_is_said(theatre: Theatre, scene: Image.Image):
    start = theatre.inputs.put_picture(scene)
    about = {**STILL, "init_images": [start], "steps": 1}
    with pytest.raises(RequestFault, match="detector: must be one of Automatic, CLIP: darkroom-starter-scorer"):
        theatre.make(**about, alwayson_scripts={"detailer": {"args": {"enabled": True, "detector": "YuNet"}}})
    bad = theatre.make(**about, alwayson_scripts={"detailer": {"args": {"enabled": True, "places": "50 10 20 90"}}})
    assert [text for text in bad.warnings if "left before right" in text]
    assert len(samples(bad)) == 1
    with pytest.raises(RequestFault, match=r"args of ADetailer are \[enable"):
        theatre.make(**about, alwayson_scripts={"adetailer": {"args": [True, False, "face"]}})
    with pytest.raises(RequestFault, match="must lie between"):
        theatre.make(**about, alwayson_scripts={"adetailer": {"args": [True, {"ad_model": "face", "ad_denoising_strength": 3}]}})


def test_words_of_detection_files(parts: dict[str, ModuleType]):
    names = {"face_yolov8n.pt": "face", "hand_yolov8s.pt": "hand", "person_yolov8n-seg.pt": "person", "mediapipe_face_mesh": "face",
             "deepfashion2_yolov8s-seg.pt": "deepfashion2", "yolov8x-worldv2.pt": "person"}  # fmt: skip
    assert {name: parts["units"].words_of(name) for name in names} == names


def test_finds_are_sorted_thinned_and_made_masks(parts: dict[str, ModuleType]):
    place, unit = parts["places"].Place, parts["units"].Unit
    boxes = [((0, 0, 40, 40), 0.9), ((2, 2, 42, 42), 0.8), ((60, 60, 100, 100), 0.5), ((50, 0, 54, 4), 0.7), ((0, 60, 9, 90), 0.1)]
    finds = [place(box, score) for box, score in boxes]
    counting, masks_of = parts["places"].counting, parts["places"].masks_of
    kept = counting(finds, unit(confidence=0.3, smallest=0.01), (100, 100))
    assert [one.score for one in kept] == [0.9, 0.5]
    assert [one.box[0] for one in counting(finds, unit(confidence=0.05, order="left to right"), (100, 100))] == [0, 0, 50, 60]
    assert len(counting(finds, unit(confidence=0.05, most=2), (100, 100))) == 2
    [one, _] = masks_of(kept, unit(grow=4, offset_x=10), (100, 100))
    assert one.getbbox() == (10, 0, 54, 44)
    [around] = masks_of(kept, unit(grow=0, around=True), (100, 100))
    assert np.asarray(around).mean() / 255 == pytest.approx(1 - 2 * 0.16)


@pytest.fixture
def detection(tmp_path: Path) -> Path:
    """Tiny random models of three kinds in a models folder."""
    from transformers import (
        CLIPImageProcessor,
        CLIPSegConfig,
        CLIPSegForImageSegmentation,
        CLIPSegProcessor,
        CLIPTokenizerFast,
        OwlViTConfig,
        OwlViTForObjectDetection,
        OwlViTImageProcessor,
        OwlViTProcessor,
        YolosConfig,
        YolosForObjectDetection,
        YolosImageProcessor,
    )

    torch.manual_seed(0)
    place = tmp_path / "detection"
    tokenizer = CLIPTokenizerFast.from_pretrained(ROOT / "models" / "Stable-diffusion" / "darkroom-starter" / "tokenizer")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "max_position_embeddings": 77, "vocab_size": len(tokenizer)}
    text |= {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    seen = {**small, "image_size": 32, "patch_size": 8}
    owl = OwlViTForObjectDetection(OwlViTConfig(text_config=text, vision_config=seen, projection_dim=16))
    owl.save_pretrained(place / "owl")
    OwlViTProcessor(OwlViTImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(place / "owl")
    decoder = {"reduce_dim": 16, "extract_layers": [0], "decoder_num_attention_heads": 2, "decoder_intermediate_size": 16}
    seg = CLIPSegForImageSegmentation(CLIPSegConfig(text_config=text, vision_config=seen, projection_dim=16, **decoder))
    seg.save_pretrained(place / "seg")
    CLIPSegProcessor(CLIPImageProcessor(size={"height": 32, "width": 32}), tokenizer).save_pretrained(place / "seg")
    taught = {"id2label": {0: "human face", 1: "hand"}, "label2id": {"human face": 0, "hand": 1}}
    yolos = YolosForObjectDetection(YolosConfig(**{**seen, "image_size": [32, 32]}, num_detection_tokens=5, **taught))
    yolos.save_pretrained(place / "yolos")
    YolosImageProcessor(size={"shortest_edge": 32, "longest_edge": 32}).save_pretrained(place / "yolos")
    (place / "broken").mkdir()
    (place / "broken" / "config.json").write_text("{")
    return tmp_path


def test_each_kind_of_detector_gives_places_inside_the_picture(parts: dict[str, ModuleType], detection: Path):
    shelf = parts["finding"].shelf([detection])
    assert [(one.title, one.kind) for one in shelf] == [("yolos", "taught"), ("owl", "open"), ("seg", "segments")]
    assert parts["finding"].chosen("Automatic", "face", shelf).title == "yolos"
    assert parts["finding"].chosen("Automatic", "red hat", shelf).title == "owl"
    assert parts["finding"].chosen("yolos", "red hat", shelf) is None
    picture = Image.new("RGB", (50, 40), "white")
    ImageDraw.Draw(picture).ellipse((10, 10, 30, 30), "red")
    finder = parts["finding"].Finder()
    for detector, word in zip(shelf, ("hand", "dot", "dot"), strict=True):
        places = finder.find(detector, picture, word, 0.0)
        assert places or detector.kind == "taught"  # of random answers none need be called a hand
        for one in places:
            left, top, right, bottom = one.box
            assert 0 <= left <= right <= 50
            assert 0 <= top <= bottom <= 40
            assert 0 <= one.score <= 1


def test_spots_of_a_map_are_places_with_outlines(parts: dict[str, ModuleType]):
    heat = np.zeros((40, 60), np.float32)
    heat[5:15, 10:30], heat[20:39, 40:50], heat[0, 0] = 0.8, 0.6, 0.9  # the last is dust
    found = parts["asking"].spots(heat, 0.5)
    assert {(one.box, round(one.score, 1)) for one in found} >= {((10, 5, 30, 15), 0.8), ((40, 20, 50, 39), 0.6)}
    assert np.asarray(found[-1].mask).sum() == 255 * 190


def test_finds_are_chosen_by_number_and_by_the_drawn_mask(parts: dict[str, ModuleType]):
    place, places = parts["places"].Place, parts["places"]
    row = [place((10.0 * n, 0, 10.0 * n + 8, 8)) for n in range(4)]
    lefts = {which: [one.box[0] / 10 for one in places.picked(row, which)] for which in ("", "1 3", "-2", "2, 3, -3", "9")}
    assert lefts == {"": [0, 1, 2, 3], "1 3": [0, 2], "-2": [0, 2, 3], "2, 3, -3": [1], "9": []}
    with pytest.raises(RequestFault, match="is numbers, such as 1 3"):
        places.picked(row, "first")
    drawn = Image.new("L", (40, 10))
    drawn.paste(255, (0, 0, 15, 10))  # the first whole, five of eight columns of the second
    assert [[one.box[0] / 10 for one in places.lying(row, drawn, inside=inside)] for inside in (True, False)] == [[0, 1], [2, 3]]


def test_a_mask_drawn_in_img2img_says_which_places_are_painted(theatre: Theatre, scene: Image.Image):
    start, mask = theatre.inputs.put_picture(scene), Image.new("L", scene.size)
    mask.paste(255, (0, 0, SIDE // 2, SIDE))
    about = {
        **STILL,
        "steps": 2,
        "init_images": [start],
        "mask": theatre.inputs.put_picture(mask),
        "inpainting_fill": 1,
        "mask_round": True,
    }
    args = {"enabled": True, "places": "0 0 30 30; 60 60 100 100", "prompt": "a green apple", "denoising": 0.9, "grow": 0, "blur": 0}
    plain, inside, outside = (
        np.asarray(Image.open(samples(theatre.make(**about, **more))[0].path).convert("RGB"), float)
        for more in (
            {},
            *({"alwayson_scripts": {"detailer": {"args": {**args, "where": f"{word} the drawn mask"}}}} for word in ("inside", "outside")),
        )
    )
    assert (box_of(plain, inside) or (SIDE,) * 4)[2] <= 0.3 * SIDE + 1
    assert (box_of(plain, outside) or (0,))[0] >= 0.6 * SIDE - 1
    told = theatre.make(**{**STILL, "steps": 1}, alwayson_scripts={"detailer": {"args": {**args, "where": "inside the drawn mask"}}})
    assert [text for text in told.warnings if "No mask was drawn" in text]
