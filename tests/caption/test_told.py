"""Kinds that are told what to do: tasks and conversations, places, beginnings of a reply, and where they look."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modules.caption.attention import attend
from modules.caption.installed import describe
from modules.caption.kind import REPLY
from modules.caption.loading import Captioner, load
from modules.caption.seeing import fitted, numbers, seen
from modules.caption.writing import Candidate, Watch, write
from modules.faults import ModelFault
from modules.processing.caption_places import placed
from modules.request.caption import TASKS
from tests.caption.test_writing import GREEDY
from tests.caption.tiny import SIDE_PX, TEXT

SAID = {
    "od": "cat<loc_100><loc_200><loc_500><loc_600><loc_0><loc_0><loc_999><loc_999>a dog<loc_10><loc_20><loc_30><loc_40>",
    "dense_region_caption": "a cat<loc_100><loc_200><loc_500><loc_600>",
    "region_proposal": "<loc_100><loc_200><loc_500><loc_600><loc_1><loc_2><loc_3><loc_4>",
    "caption_to_phrase_grounding": "a cat<loc_100><loc_200><loc_500><loc_600>",
    "open_vocabulary_detection": "a cat<loc_100><loc_200><loc_500><loc_600>",
    "ocr_with_region": "cat<loc_1><loc_2><loc_900><loc_3><loc_901><loc_400><loc_2><loc_401>",
    "referring_expression_segmentation": "<loc_1><loc_2><loc_900><loc_3><loc_901><loc_400>",
    "region_to_segmentation": "<loc_1><loc_2><loc_900><loc_3><loc_901><loc_400>",
}


def of(captioner: Captioner, text: str) -> list[int]:
    return captioner.tokenizer(f"<s>{text}</s>", add_special_tokens=False).input_ids


@pytest.mark.parametrize("name", [name for name in TASKS if name in SAID])
def test_places_are_those_of_the_processor_in_the_pictures_pixels(name: str, captioner_of: Any):
    captioner: Captioner = captioner_of("florence-2")
    task, picture = captioner.kind.tasks[name], Image.new("RGB", (640, 400))
    assert task.places
    asked = task.text.replace("{}", "a cat")
    sign = f"<{name.upper()}>"
    tokens = of(captioner, SAID[name])
    made = captioner.processor.post_process_generation(sequence=tokens, task=sign, image_size=picture.size)[sign]
    wanted = [
        [float(value) for value in flat]
        for flat in [*made.get("bboxes", ()), *made.get("quad_boxes", ()), *(line for lines in made.get("polygons", ()) for line in lines)]
    ]
    assert wanted
    told = placed(captioner, fitted(captioner, picture, "model"), picture.size, Candidate("", 0, tuple(tokens)), asked)
    assert [[value for point in place["points"] for value in point] for place in told["places"]] == wanted
    assert (told["size"], bool(told["caption"])) == ([640, 400], True)
    if name == "od":
        assert told["caption"] == "cat, a dog"
        assert [place["label"] for place in told["places"]] == ["cat", "cat", "a dog"]


def test_places_of_a_picture_with_bars_lie_where_the_picture_is(captioner_of: Any):
    captioner: Captioner = captioner_of("florence-2")
    picture = Image.new("RGB", (800, 400))  # shown as 32 x 16, with 8 pixels of bars above and below
    tokens = tuple(of(captioner, "cat<loc_0><loc_0><loc_999><loc_999>"))
    told = placed(captioner, fitted(captioner, picture, "letterbox"), picture.size, Candidate("", 0, tokens), "<OD>")
    (place,) = told["places"]
    assert place["points"][0] == [0, 0]
    assert place["points"][1][0] == pytest.approx(800, abs=800 / SIDE_PX)
    assert place["points"][1][1] == 400


@pytest.mark.parametrize("name", ["caption", "detailed_caption", "more_detailed_caption", "od", "ocr"])
def test_a_task_is_written_as_transformers_does(name: str, captioner_of: Any, pictures: list[Image.Image]):
    captioner: Captioner = captioner_of("florence-2")
    sign = captioner.kind.tasks[name].text
    inputs = captioner.processor(images=pictures, text=[sign] * len(pictures), return_tensors="pt")
    made = captioner.model.generate(**inputs, max_new_tokens=12, num_beams=1, do_sample=False)
    found = write(captioner, pictures, sign, GREEDY)
    assert [" ".join(text.split()) for text in captioner.tokenizer.batch_decode(made, skip_special_tokens=True)] == [
        r[0].text for r in found
    ]
    assert [list(row[0].tokens) for row in found] == [row[1 : 1 + len(r[0].tokens)] for row, r in zip(made.tolist(), found, strict=True)]


def test_a_reply_goes_on_from_its_beginning(captioner_of: Any, pictures: list[Image.Image]):
    captioner: Captioner = captioner_of("idefics3")
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a photo of"}]},
    ]
    prompt = captioner.processor.apply_chat_template(turns, continue_final_message=True)
    assert prompt.endswith("Assistant: a photo of")
    inputs = captioner.processor(images=[pictures[:1]], text=[prompt], return_tensors="pt")
    made = captioner.model.generate(**inputs, max_new_tokens=12, num_beams=1, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    told: list[str] = []
    (candidate,) = write(captioner, pictures[:1], f"What is it?{REPLY}a photo of", GREEDY, watch=Watch(words=told.append))[0]
    assert list(candidate.tokens) == made.tolist()[: len(candidate.tokens)]
    assert candidate.text == " ".join(("a photo of" + captioner.tokenizer.decode(made, skip_special_tokens=True)).split())
    assert told


def test_a_conversation_without_a_template_is_refused(tmp_path: Path, model_of: Callable[[str], Path]):
    folder = tmp_path / "bare"
    shutil.copytree(model_of("idefics3"), folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelFault, match="chat template"):
        load(describe(folder), device="cpu", dtype="float32")


@pytest.mark.parametrize(("kind", "grids"), [("florence-2", [(4, 4)] * 4), ("idefics3", [(4, 4), (4, 4), (2, 4), (4, 4)])])
def test_maps_lie_on_the_grid_of_each_picture_and_sum_to_one(kind: str, grids: list[Any], captioner_of: Any, pictures: list[Image.Image]):
    captioner: Captioner = captioner_of(kind)
    heats = [attend(captioner, picture, "a cat") for picture in pictures]
    for heat, grid in zip(heats, grids, strict=True):
        assert heat.words == ("a", "cat")
        assert heat.maps.shape == (TEXT["num_hidden_layers"], TEXT["num_attention_heads"], 2, *grid)
        torch.testing.assert_close(heat.maps.sum((-1, -2)), torch.ones(heat.maps.shape[:3]))
        assert (heat.share > 0).all()
        assert (heat.share <= 1 + 1e-6).all()
    assert not torch.allclose(heats[0].maps, heats[3].maps, atol=1e-4), "the picture does not matter"
    other = attend(captioner, pictures[0], "a cat", before="<OD>" if kind == "florence-2" else "List tags.")
    assert not torch.allclose(heats[0].maps, other.maps, atol=1e-5), "what is asked does not matter"


def test_tiles_are_laid_out_as_they_lie_in_the_picture(captioner_of: Any, pictures: list[Image.Image]):
    """Against the model's own attention to each sign that stands for a piece of the picture."""
    captioner: Captioner = captioner_of("idefics3")
    model, picture = captioner.model, pictures[2]  # one line of two tiles
    inputs = captioner.placed(captioner.kind.inputs(captioner.processor, [picture], ""))
    ids = captioner.tokenizer("a cat", add_special_tokens=False, return_tensors="pt").input_ids
    read = torch.cat([inputs["input_ids"], ids], 1)
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    pixels = {name: inputs[name] for name in ("pixel_values", "pixel_attention_mask")}
    with torch.inference_mode():
        made = model(**pixels, input_ids=read, attention_mask=torch.ones_like(read), output_attentions=True).attentions
    model.set_attn_implementation(before)
    places = (inputs["input_ids"][0] == model.config.image_token_id).nonzero()[:, 0]
    heat = attend(captioner, picture, "a cat")
    for layer, rows in enumerate(made):
        left, right, whole = rows[0, :, len(inputs["input_ids"][0]) - 1 : -1][..., places].unflatten(-1, (3, 2, 2)).unbind(-3)
        wanted = torch.cat([left, right], -1) + whole.repeat_interleave(2, -1) / 2
        share = wanted.sum((-1, -2))
        maps = wanted / share[..., None, None]
        maps = torch.stack([maps[:, :1].mean(1), maps[:, 1:].mean(1)], 1)
        torch.testing.assert_close(heat.maps[layer], maps, atol=1e-5, rtol=1e-4)


def test_what_the_model_sees_of_tiles_is_the_picture_as_a_whole(captioner_of: Any):
    captioner: Captioner = captioner_of("idefics3")
    picture = Image.new("RGB", (80, 40), (200, 30, 30))
    assert numbers(captioner)["mean"] == [0.5, 0.5, 0.5]
    image = seen(captioner, picture)
    assert image.size == (SIDE_PX, SIDE_PX)
    assert image.getpixel((16, 16)) == (200, 30, 30)


def test_a_snapshot_that_brings_its_own_code_is_refused(tmp_path: Path, model_of: Callable[[str], Path]):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "Florence-2-base"
    shutil.copytree(model_of("florence-2"), folder)
    weights = load_file(folder / "model.safetensors")
    save_file({name.removeprefix("model."): value for name, value in weights.items()}, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": "configuration_florence2.Florence2Config"}}))
    with pytest.raises(ModelFault, match="florence-community"):
        describe(folder)
