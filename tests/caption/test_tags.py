"""Taggers: lists of tags, how tags become a text, and a network of the true signature, made here, against numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modules.caption.installed import captioners, describe, find
from modules.caption.loading import load
from modules.caption.seeing import fitted, numbers, seen
from modules.caption.tagger import folder_name, old_forms
from modules.caption.tagging import squared, tag
from modules.caption.tags import Tag, chosen, is_face, read_tags, written
from modules.faults import ModelFault
from modules.folders import Folders
from modules.request.tagging import BY_NAME, Tagging
from tests.caption.tiny_tagger import ROWS, SIDE_PX, deepdanbooru, wd

TAGS = [Tag("general", "rating"), Tag("explicit", "rating"), Tag("1girl", "general"), Tag("o_o", "general"), Tag("blue_(sky)", "general"),
        Tag("a_hero", "character")]  # fmt: skip
CHANCES = [0.7, 0.9, 0.8, 0.4, 0.36, 0.84]


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (Tagging(), "1girl, o_o, blue (sky)"),
        (Tagging(character=0.8), "a hero, 1girl, o_o, blue (sky)"),
        (Tagging(threshold=0.5), "1girl"),
        (Tagging(escape=True, threshold=0), r"1girl, o_o, blue \(sky\)"),
        (Tagging(spaces=False, character=0.5, order=BY_NAME), "1girl, a_hero, blue_(sky), o_o"),
        (Tagging(most=1, ratings=True), "explicit, 1girl"),
        (Tagging(chances=True, most=2), "(1girl:0.800), (o_o:0.400)"),
        (Tagging(skip=("1Girl", r"blue \(sky\)"), threshold=0), "o_o"),
    ],
)
def test_tags_as_text(how: Tagging, text: str):
    assert chosen(TAGS, CHANCES, how).text == text


def test_groups_hold_the_list_s_own_names_and_every_rating():
    found = chosen(TAGS, CHANCES, Tagging(threshold=0.36, character=0.8, escape=True))
    assert found.groups == {
        "general": [("1girl", 0.8), ("o_o", 0.4), ("blue_(sky)", 0.36)],
        "character": [("a_hero", 0.84)],
        "rating": [("explicit", 0.9), ("general", 0.7)],
    }


@pytest.mark.parametrize("name", ["0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o", "@_@",
                                  "^_^", "o_o", "u_u", "x_x", "|_|", "||_||"])  # fmt: skip
def test_faces_keep_their_underscore(name: str):
    assert is_face(name)
    assert written(name, Tagging()) == name


@pytest.mark.parametrize("name", ["long_hair", "1girl", "a_cat", "blue_eyes_(x)", "no_humans"])
def test_words_are_no_faces(name: str):
    assert not is_face(name)


def test_a_wd_tagger_gives_the_chances_of_its_network(tmp_path: Path):
    """The picture as the published code puts it: a white square, bicubic, blue first, 0 to 255; here the network is one matrix."""
    weights = wd(tmp_path / "wd-vit-tagger-v3")
    found = describe(tmp_path / "wd-vit-tagger-v3")
    assert (found.kind, found.does, found.licence) == ("tagger", ("caption", "tags"), "Apache-2.0")
    captioner = load(found, device="cpu", dtype="float16")
    pictures = [Image.new("RGB", (40, 20), (250, 10, 20)), Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 50, 3), np.uint8))]
    told = tag(captioner.model, "tiny", captioner.processor(pictures)["pixel_values"], Tagging(threshold=0, character=0))
    for picture, row in zip(pictures, told, strict=True):
        side = max(picture.size)
        square = Image.new("RGB", (side, side), "white")
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        pixels = np.asarray(square.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC), np.float32)[:, :, ::-1]
        expected = 1 / (1 + np.exp(-(pixels.mean((0, 1)) / 64) @ weights))
        got = {name: chance for group in row.groups.values() for name, chance in group}
        assert got == pytest.approx({name: float(chance) for (name, _), chance in zip(ROWS, expected, strict=True)}, abs=1e-3)
    assert numbers(captioner)["width"] == SIDE_PX
    assert fitted(captioner, pictures[0], "model").region == (0.0, -0.5, 1.0, 1.5)
    assert seen(captioner, pictures[0]).getpixel((0, 0)) == (255, 255, 255)
    assert captioner.form == "float32 by ONNX Runtime"


def test_a_network_without_its_last_step_and_for_one_picture_at_a_time(tmp_path: Path):
    one = load(describe(_made(tmp_path / "one", batch=1)), device="cpu", dtype="float32")
    plain = load(describe(_made(tmp_path / "plain", last_step=False)), device="cpu", dtype="float32")
    usual = load(describe(_made(tmp_path / "usual")), device="cpu", dtype="float32")
    pixels = usual.processor([Image.new("RGB", (8, 8), colour) for colour in ("red", "white", "blue")])["pixel_values"]
    assert np.allclose(one.model.chances(pixels), usual.model.chances(pixels), atol=1e-6)
    assert np.allclose(plain.model.chances(pixels), usual.model.chances(pixels), atol=1e-6)


def test_deepdanbooru_as_onnx_reads_red_first_from_0_to_1_with_its_border_drawn_out(tmp_path: Path):
    weights = deepdanbooru(tmp_path / "deep")
    captioner = load(describe(tmp_path / "deep"), device="cpu", dtype="float32")
    picture = Image.new("RGB", (30, 10), (255, 0, 51))
    expected = 1 / (1 + np.exp(-np.array([1.0, 0.0, 0.2]) @ weights))
    got = captioner.model.chances(captioner.processor([picture])["pixel_values"])[0]
    assert got == pytest.approx(expected, abs=1e-4)
    assert {tag.group for tag in read_tags(tmp_path / "deep")} == {"general", "character", "rating"}
    assert squared(picture, drawn_out=True).getpixel((0, 0)) == (255, 0, 51)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path):
    folder = _made(tmp_path / "short")
    lines = (folder / "selected_tags.csv").read_text().splitlines()
    (folder / "selected_tags.csv").write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(ModelFault, match="do not belong together"):
        load(describe(folder), device="cpu", dtype="float32")
    (folder / "selected_tags.csv").write_text("what,else\n1,2\n")
    with pytest.raises(ModelFault, match="no columns name and category"):
        describe(folder)
    (folder / "model.onnx").write_bytes(b"no network")
    (folder / "selected_tags.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ModelFault, match="cannot be read by ONNX Runtime"):
        load(describe(folder), device="cpu", dtype="float32")


def test_taggers_are_found_by_their_names_and_by_those_of_other_programs(tmp_path: Path):
    folders = Folders.at(tmp_path)
    base = folders.model_folders("taggers")[0]
    wd(base / "wd-v1-4-vit-tagger-v2")
    rows, refused = captioners(folders)
    assert not refused
    for name in ("wd-v1-4-vit-tagger-v2", "SmilingWolf/wd-v1-4-vit-tagger-v2", "wd14-vit-v2", "wd14-vit-v2-git", "wd-v1-4-vit-tagger.v2"):
        assert find(rows, refused, name).name == "wd-v1-4-vit-tagger-v2"
    with pytest.raises(ModelFault, match="models download SmilingWolf/wd-swinv2-tagger-v3 --kind taggers"):
        find(rows, refused, "wd-swinv2-v3")
    assert folder_name("wd14-moat-v2") == "wd-v1-4-moat-tagger-v2"


def test_what_cannot_be_read_of_deepdanbooru_is_named(tmp_path: Path):
    assert old_forms([tmp_path, tmp_path / "none"]) == ""
    (tmp_path / "model-resnet_custom_v3.pt").write_bytes(b"x")
    assert "model-resnet_custom_v3.pt is a pickle" in old_forms([tmp_path])


def _made(folder: Path, batch: int | str = "batch_size", *, last_step: bool = True) -> Path:
    wd(folder, batch=batch, last_step=last_step)
    return folder


def test_torch_takes_no_part_in_a_tagger(tmp_path: Path):
    captioner = load(describe(_made(tmp_path / "wd")), device="cpu", dtype="float32")
    assert not isinstance(captioner.model, torch.nn.Module)
