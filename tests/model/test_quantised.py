"""Quantised models as the program uses them: loaded by settings, loaded again when these change, with LoRAs, and made by a job on files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.faults import ModelFault, RequestFault, UnknownName
from modules.infotext import parse, to_request
from modules.infotext.keys import SETTING_KEYS
from modules.library.describe import describe
from modules.library.rows import Found
from modules.processing.networks import Networks
from modules.processing.quantising import chosen_quantisers, quantisers_of
from modules.processing.slot import Slot, refuse_layerwise
from modules.processing.train_plan import check_model
from modules.settings import Settings
from modules.upkeep.quantise import quantise
from modules.upkeep.report import Report
from modules.weights.held import held_bytes
from modules.weights.lora import write as writing
from modules.weights.quantisers import row
from modules.weights.quantisers.component import MARK, is_quantised
from tests.model.test_networks import a_lora, answers, names_for, noise, on, same
from tests.model.test_slot import checkpoint, quiet
from tests.model.tiny import BUILDERS
from tests.upkeep.conftest import Control
from tests.upkeep.shelf import Shelf

QUICK = ["fp8", "nf4", "bnb-int8"]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def folder(shelf: Shelf) -> Path:
    return shelf.folder("small", BUILDERS["sd15"])


def slot(device: tuple[str, str] = ("cpu", "cpu")) -> Slot:
    return Slot(lambda _p: None, lambda _p: None, "float32", lambda: 2**50, device=device)


def test_a_change_of_the_setting_loads_the_model_again_and_none_does_not(folder: Path):
    bench, model = slot(), checkpoint(folder)
    whole = bench.take(model, quiet)
    settings = Settings(quantise_unet="nf4", quantise_text_encoder="fp8")
    wanted = quantisers_of(model, settings.to_data())
    assert wanted == {"unet": "nf4", "text_encoder": "fp8"}
    small = bench.take(model, quiet, quantise=wanted)
    assert small is not whole
    assert is_quantised(small.pipeline.unet)
    assert is_quantised(small.pipeline.text_encoder)
    assert not is_quantised(small.pipeline.vae)
    assert held_bytes(small.pipeline.unet) < 0.8 * held_bytes(whole.pipeline.unet)
    assert bench.take(model, quiet, quantise=wanted) is small
    assert not is_quantised(bench.take(model, quiet).pipeline.unet)


def test_a_quantiser_that_cannot_run_on_the_device_is_refused_and_the_model_stays(folder: Path):
    bench, model = slot(("directml", "privateuseone:0")), checkpoint(folder)
    kept = bench.take(model, quiet)
    with pytest.raises(ModelFault, match="no kernels for DirectML"):
        bench.take(model, quiet, quantise={"unet": "nf4"})
    assert bench.present is kept


def test_what_is_wrong_is_said_before_the_job_is_queued(folder: Path, monkeypatch: pytest.MonkeyPatch):
    model = checkpoint(folder)
    assert chosen_quantisers(model, Settings()) == []
    with pytest.raises(UnknownName):
        chosen_quantisers(model, Settings(quantise_unet="int9"))

    def no_package(name: str) -> str:
        raise row.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(row.metadata, "version", no_package)
    with pytest.raises(RequestFault, match="pip install 'bitsandbytes") as found:
        chosen_quantisers(model, Settings(quantise_text_encoder="nf4"))
    assert found.value.field == "quantise_text_encoder"


def test_the_parameters_text_tells_it_and_asks_for_it_again():
    assert SETTING_KEYS["quantise_unet"] == "UNet quantisation"
    text = "an apple\nSteps: 4, Sampler: Euler, Seed: 1, Size: 64x64, UNet quantisation: nf4, Text encoder quantisation: fp8"
    asked = to_request(parse(text))["override_settings"]
    assert asked == {"quantise_unet": "nf4", "quantise_text_encoder": "fp8"} | {k: v for k, v in asked.items() if k == "randn_source"}


@pytest.mark.parametrize("name", QUICK)
def test_a_lora_does_the_same_to_quantised_weights_and_leaves_no_trace(name: str, folder: Path, tmp_path: Path):
    bench, model = slot(), checkpoint(folder)
    whole = bench.take(model, quiet).pipeline
    names, path = names_for(whole, "sd15"), tmp_path / "made.safetensors"
    writing.write(path, a_lora(names), names, dialect="kohya", dtype=torch.float32)
    plain = answers(whole)
    Networks(whole, "sd1").set([on(path)])
    wanted = [with_lora - without for with_lora, without in zip(answers(whole), plain, strict=True)]
    small = bench.take(model, quiet, quantise={"unet": name, "text_encoder": name}).pipeline
    before = answers(small)
    networks = Networks(small, "sd1")
    [report] = networks.set([on(path)]).reports
    assert report.matched == report.total
    for change, after, own in zip(wanted, answers(small), before, strict=True):
        assert torch.nn.functional.cosine_similarity((after - own).flatten(), change.flatten(), dim=0) > 0.9
    networks.clear()
    assert same(answers(small), before)


@pytest.mark.parametrize("name", QUICK)
def test_a_change_of_a_whole_weight_is_added_beside_the_layer(name: str, folder: Path, tmp_path: Path):
    from safetensors.torch import save_file

    small = slot().take(checkpoint(folder), quiet, quantise={"unet": name}).pipeline
    at = next(p for p, layer in small.unet.named_modules() if hasattr(layer, MARK) and p.endswith("attn1.to_q") and "down_blocks.2" in p)
    layer = small.unet.get_submodule(at)
    save_file({f"lora_unet_{at.replace('.', '_')}.diff": noise(layer.out_features, layer.in_features)}, tmp_path / "full.safetensors")
    before, networks = answers(small), Networks(small, "sd1")
    networks.set([on(tmp_path / "full.safetensors")])
    assert not same(answers(small), before)
    networks.clear()
    assert same(answers(small), before)


@pytest.mark.parametrize(("family", "unet", "text"), [("sd15", "nf4", "fp8"), ("sd3", "fp8", "None"), ("sd15", "bnb-int8", "None")])
def test_a_job_makes_a_folder_that_is_found_listed_and_loaded(shelf: Shelf, family: str, unet: str, text: str):
    source = shelf.folder(f"whole-{family}", BUILDERS[family])
    report = Report(Control())
    work = shelf.plan("quantise", source=source.name, unet=unet, text_encoder=text, dtype="float32", name=f"{family}-{unet}")
    quantise(work, report)
    [made] = report.files
    assert report.notes["bytes"] < report.notes["bytes_before"]
    facts = describe(Found(path=made, base=shelf.base, place="Stable-diffusion", format="folder", size_bytes=0, stamp="", changed_s=0))
    assert (facts.kind, facts.precision, facts.refusal) == ("checkpoint", unet, "")
    model = checkpoint(made)
    loaded: Any = slot().take(model, quiet)
    core = getattr(loaded.pipeline, loaded.family.denoiser)
    assert is_quantised(core)
    assert is_quantised(loaded.pipeline.text_encoder) is (text != "None")
    wanted = quantisers_of(checkpoint(source), {"quantise_unet": unet, "quantise_text_encoder": text})
    again = slot().take(checkpoint(source), quiet, quantise=wanted)
    assert same(answers(loaded.pipeline), answers(again.pipeline))
    with pytest.raises(ModelFault, match="cannot be trained"):
        check_model(model)
    with pytest.raises(ModelFault, match="--medvram"):
        refuse_layerwise(loaded.pipeline, "lowvram")
    refuse_layerwise(loaded.pipeline, "medvram")
    refuse_layerwise(loaded.pipeline, "medvram", ("vae",))
    if text != "None":
        with pytest.raises(ModelFault, match="cannot work on the CPU"):
            refuse_layerwise(loaded.pipeline, "medvram", ("text_encoder",))
    shelf.add(made)
    with pytest.raises(ModelFault, match="Take the model it was made of"):
        shelf.plan("convert", source=made.name)
    [said] = chosen_quantisers(model, Settings(quantise_unet="fp8-e5m2"))
    assert f"has its {loaded.family.denoiser} as {unet} on the disk" in said
    assert not [p for p in shelf.base.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"unet": "None"}, "a quantisation"), ({"unet": "torchao-int4"}, "for NVIDIA cards"), ({"unet": "int9"}, "int9")],
)
def test_a_job_that_cannot_be_done_is_refused_when_it_is_asked_for(shelf: Shelf, folder: Path, asked: dict[str, str], words: str):
    with pytest.raises((RequestFault, UnknownName), match=words):
        shelf.plan("quantise", source=folder.name, **asked)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"fp8_storage": "Enable"}, {"unet": "fp8", "text_encoder": "fp8"}),
        ({"fp8_storage": "Enable", "quantise_unet": "nf4"}, {"unet": "nf4", "text_encoder": "fp8"}),
        ({"fp8_storage": "Enable for SDXL"}, {}),
        ({"fp8_storage": "Disable"}, {}),
    ],
)
def test_a1111s_setting_for_float8(folder: Path, settings: dict[str, str], wanted: dict[str, str]):
    assert quantisers_of(checkpoint(folder), settings) == wanted


def test_a1111s_text_about_float8(folder: Path):
    text = "an apple\nSteps: 4, Sampler: Euler, Seed: 1, Size: 64x64, FP8 weight: Enable for SDXL, Cache FP16 weight for LoRA: True"
    asked = to_request(parse(text))["override_settings"]
    assert (asked["fp8_storage"], asked["cache_fp16_weight"]) == ("Enable for SDXL", True)
    sdxl = dataclasses.replace(checkpoint(folder), family="sdxl", format="file")
    assert quantisers_of(sdxl, asked) == {"unet": "fp8", "text_encoder": "fp8", "text_encoder_2": "fp8"}
