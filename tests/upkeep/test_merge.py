"""Merges and LoRAs as jobs do them, on tiny models: the sums, the recipe, what is kept, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.faults import ModelFault, RequestFault
from modules.upkeep.loras import extract_lora, merge_lora
from modules.upkeep.merge import merge
from modules.upkeep.report import Report
from modules.weights import header
from tests.model import tiny
from tests.upkeep.shelf import Shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    made = Shelf(tmp_path_factory.mktemp("shelf"))
    for seed, name in enumerate(("one", "two", "three")):
        made.file(name, seed=seed)
    return made


def tensors(shelf: Shelf, name: str) -> dict[str, torch.Tensor]:
    return load_file(shelf.base / f"{name}.safetensors")


def made(shelf: Shelf, report: Report, **data: object) -> dict[str, torch.Tensor]:
    merge(shelf.plan("merge", dtype="keep", **data), report)
    return load_file(report.files[-1])


def test_a_weighted_sum_is_the_sum_in_float32_and_its_recipe_is_told(shelf: Shelf, report: Report):
    mixed = made(shelf, report, model_a="one", model_b="two", multiplier=0.3, name="sum")
    one, two = tensors(shelf, "one"), tensors(shelf, "two")
    assert mixed.keys() == one.keys()
    for name, tensor in mixed.items():
        wanted = one[name] * 0.7 + two[name] * 0.3 if tensor.is_floating_point() else one[name]
        assert torch.allclose(tensor, wanted, atol=1e-6), name
        assert tensor.dtype == one[name].dtype
    metadata = header.read(report.files[-1]).metadata
    recipe, models = json.loads(metadata["sd_merge_recipe"]), json.loads(metadata["sd_merge_models"])
    assert (recipe["interp_method"], recipe["multiplier"], recipe["type"]) == ("Weighted sum", 0.3, "webui")
    assert recipe["primary_model_hash"] == shelf.rows["one"].sha256
    assert [m["name"] for m in models.values()] == ["one", "two"]


def test_three_models_and_a_difference(shelf: Shelf, report: Report):
    one, two, three = (tensors(shelf, n) for n in ("one", "two", "three"))
    models = {"model_a": "one", "model_b": "two", "model_c": "three", "check": False}
    triple = made(shelf, report, **models, multiplier=0.25, multiplier_c=0.5, name="triple")
    difference = made(shelf, report, **models, method="Add difference", multiplier=1, name="difference")
    name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    assert torch.allclose(triple[name], one[name] * 0.25 + two[name] * 0.25 + three[name] * 0.5, atol=1e-6)
    assert torch.allclose(difference[name], one[name] + two[name] - three[name], atol=1e-6)


def test_adding_the_difference_to_its_own_base_gives_the_tuned_model(shelf: Shelf, report: Report):
    back = made(shelf, report, model_a="one", model_b="two", model_c="one", method="Add difference", multiplier=1, name="back", check=False)
    two = tensors(shelf, "two")
    assert max(float((back[n].double() - t.double()).abs().max()) for n, t in two.items()) < 1e-6


def test_a_folder_and_a_file_mix_and_the_names_are_a1111s(shelf: Shelf, report: Report):
    shelf.folder("as-folder", seed=1)
    mixed = made(shelf, report, model_a="as-folder", model_b="one", multiplier=1.0, name="from-folder", check=False)
    one = tensors(shelf, "one")
    assert mixed.keys() == one.keys()
    assert all(torch.allclose(mixed[n], t) for n, t in one.items())
    assert not [p for p in shelf.base.iterdir() if p.name.startswith(".")]


def test_an_inpainting_model_keeps_its_extra_inputs(shelf: Shelf, report: Report):
    shelf.file("inpaint", variant="inpainting", seed=3)
    models = {"model_a": "inpaint", "model_b": "two", "model_c": "one", "check": False}
    mixed = made(shelf, report, **models, method="Add difference", multiplier=1, name="in-mixed")
    name = "model.diffusion_model.input_blocks.0.0.weight"
    own, two, one = (tensors(shelf, n)[name] for n in ("inpaint", "two", "one"))
    assert torch.allclose(mixed[name][:, :4], own[:, :4] + two - one, atol=1e-6)
    assert torch.equal(mixed[name][:, 4:], own[:, 4:])
    with pytest.raises(RequestFault, match="make it model A"):
        shelf.plan("merge", model_a="one", model_b="inpaint")


def test_weights_can_be_left_out_by_name(shelf: Shelf, report: Report):
    mixed = made(shelf, report, model_a="one", method="No interpolation", discard=r"^first_stage_model\.", name="no-vae", check=False)
    assert mixed.keys() == {n for n in tensors(shelf, "one") if not n.startswith("first_stage_model.")}
    with pytest.raises(RequestFault, match="is not a regular expression"):
        shelf.plan("merge", model_a="one", method="No interpolation", discard="(")


def test_models_of_different_kinds_are_refused_with_both_names(shelf: Shelf, report: Report):
    shelf.file("large", tiny.sdxl, "sdxl")
    with pytest.raises(RequestFault, match="large is a sdxl model and one a sd15 model"):
        shelf.plan("merge", model_a="one", model_b="large")
    cut = {n: t for n, t in tensors(shelf, "two").items() if "middle_block" not in n}
    save_file(cut, shelf.base / "cut.safetensors", header.read(shelf.base / "two.safetensors").metadata)
    shelf.add(shelf.base / "cut.safetensors")
    with pytest.raises(ModelFault, match="cut is built otherwise than one"):
        merge(shelf.plan("merge", model_a="one", model_b="cut", name="refused"), report)
    assert not [p for p in shelf.base.iterdir() if "refused" in p.name]


def test_methods_say_what_they_need(shelf: Shelf):
    with pytest.raises(RequestFault, match="model_b: is needed for the method Weighted sum"):
        shelf.plan("merge", model_a="one")
    with pytest.raises(RequestFault, match="model_c: is needed for the method Add difference"):
        shelf.plan("merge", model_a="one", model_b="two", method="Add difference")
    with pytest.raises(RequestFault, match="model_b"):
        shelf.plan("merge", model_a="one", model_b="nobody")


def test_a_full_rank_lora_extracted_and_merged_again_gives_the_tuned_model(shelf: Shelf, report: Report):
    one, two = tensors(shelf, "one"), tensors(shelf, "two")
    layer = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    tuned = {**one, layer: two[layer]}
    save_file(tuned, shelf.base / "tuned.safetensors", header.read(shelf.base / "one.safetensors").metadata)
    shelf.add(shelf.base / "tuned.safetensors")
    extract_lora(shelf.plan("extract_lora", tuned="tuned", base="one", rank=1024, clamp=1.0, dtype="float32", name="lora"), report)
    [lora] = report.files
    assert lora == shelf.folders.models / "Lora" / "lora.safetensors"
    assert report.notes["layers"] == 1
    merge_lora(shelf.plan("merge_lora", model="one", loras=["lora:1"], name="again", check=False), report)
    again = load_file(report.files[-1])
    assert torch.allclose(again[layer], two[layer], atol=1e-5)
    assert all(torch.equal(again[n], t) for n, t in one.items() if n != layer)
    assert report.notes["coverage"] == {"lora": "3/3 keys"}
    with pytest.raises(ModelFault, match="does not differ"):
        extract_lora(shelf.plan("extract_lora", tuned="one", base="one", name="none"), report)


@pytest.mark.parametrize(("text", "te", "unet"), [("lora", 1, 1), ("lora:0.5", 0.5, 0.5), ("lora:0.5:-1", 0.5, -1)])
def test_how_a_lora_is_written(shelf: Shelf, text: str, te: float, unet: float):
    path = shelf.folders.models / "Lora" / "lora.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    [use] = shelf.plan("merge_lora", model="one", loras=[text], name="x")["uses"]
    assert (use["name"], use["te"], use["unet"]) == ("lora", te, unet)
    with pytest.raises(RequestFault, match="there is no loras of that name"):
        shelf.plan("merge_lora", model="one", loras=["nobody"], name="x")


def test_a_file_from_elsewhere_is_never_a_model(shelf: Shelf, tmp_path: Path):
    (tmp_path / "x.safetensors").touch()
    with pytest.raises(RequestFault):
        shelf.plan("merge_lora", model="one", loras=[str(tmp_path / "x.safetensors")], name="x")


def test_what_lies_in_hidden_folders_is_not_found(shelf: Shelf):
    path = shelf.folders.models / "Lora" / ".bin" / "thrown-away.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with pytest.raises(RequestFault, match="there is no loras of that name"):
        shelf.plan("merge_lora", model="one", loras=["thrown-away"], name="x")
