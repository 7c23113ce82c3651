"""Conversions as jobs do them, on tiny models of the true classes: there and back, half precision, averaged weights, another VAE."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.faults import ModelFault, RequestFault
from modules.upkeep.convert import convert
from modules.upkeep.report import Report
from modules.weights import header
from modules.weights.layouts import read
from tests.model import tiny
from tests.upkeep.shelf import Shelf


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


def same(a: Path, b: Path, layout: str, component: str) -> bool:
    one, other = read(a, layout, component), read(b, layout, component)
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) and one[k].dtype == other[k].dtype for k in one)


@pytest.mark.parametrize("layout", ["sd1", "sd3"])
def test_a_folder_becomes_a_file_and_a_folder_again_with_the_same_picture(shelf: Shelf, report: Report, layout: str):
    build, parts = {"sd1": (tiny.sd15, ("unet", "vae")), "sd3": (tiny.sd3, ("transformer", "text_encoder_3"))}[layout]
    folder = shelf.folder(f"{layout}-folder", build)
    work = shelf.plan("convert", source=folder.name)
    assert work["title"] == f"Convert {folder.name} to {folder.name}.safetensors"
    convert(work, report)
    [file] = report.files
    assert report.notes["picture_difference"] < 1e-4
    assert header.read(file).metadata["modelspec.title"] == folder.name
    shelf.add(file)
    convert(shelf.plan("convert", source=file.stem, form="folder", name=f"{layout}-back"), report)
    assert report.notes["picture_difference"] < 1e-4
    assert all(same(folder, report.files[1], layout, part) for part in parts)
    assert not [p for p in shelf.base.iterdir() if p.name.startswith(".")]


def test_half_precision_halves_the_file_and_keeps_the_picture_nearly(shelf: Shelf, report: Report):
    file = shelf.file("whole")
    convert(shelf.plan("convert", source="whole", dtype="float16"), report)
    [half] = report.files
    assert half.name == "whole-float16.safetensors"
    assert half.stat().st_size < 0.6 * file.stat().st_size
    assert report.notes["picture_difference"] < 0.02


def test_averaged_weights_are_left_out_or_taken(shelf: Shelf, report: Report):
    plain = load_file(shelf.file("whole"))
    trained = shelf.base / "trained.safetensors"
    averaged = {n: t + 1 for n, t in plain.items() if n.startswith("model.") and t.is_floating_point()}
    copies = {f"model_ema.{n.removeprefix('model.').replace('.', '')}": t for n, t in averaged.items()}
    save_file({**plain, **copies, "model_ema.decay": torch.tensor(0.9999)}, trained, header.read(shelf.file("whole")).metadata)
    shelf.add(trained)
    convert(shelf.plan("convert", source="trained", name="pruned", check=False), report)
    convert(shelf.plan("convert", source="trained", name="averaged", ema=True, check=False), report)
    pruned, taken = (load_file(path) for path in report.files)
    assert pruned.keys() == taken.keys() == plain.keys()
    assert all(torch.equal(pruned[n], plain[n]) for n in plain)
    assert all(torch.equal(taken[n], averaged.get(n, plain[n])) for n in plain)


def test_asking_for_averages_that_are_not_there_is_refused_and_leaves_nothing(shelf: Shelf, report: Report):
    shelf.file("whole")
    with pytest.raises(ModelFault, match="has no averaged"):
        convert(shelf.plan("convert", source="whole", name="nothing", ema=True), report)
    assert not [p for p in shelf.base.iterdir() if "nothing" in p.name]


def test_another_vae_is_baked_in(shelf: Shelf, report: Report):
    shelf.file("whole")
    other = shelf.file("other", seed=7)
    vae = shelf.folders.models / "VAE" / "better.safetensors"
    vae.parent.mkdir()
    save_file({n.removeprefix("first_stage_model."): t for n, t in load_file(other).items() if n.startswith("first_stage_model.")}, vae)
    convert(shelf.plan("convert", source="whole", vae="better", name="baked", check=False), report)
    assert same(report.files[0], other, "sd1", "vae")
    assert same(report.files[0], shelf.base / "whole.safetensors", "sd1", "unet")


def test_what_cannot_be_is_refused_before_it_is_queued(shelf: Shelf):
    shelf.file("whole")
    with pytest.raises(RequestFault, match="already in"):
        shelf.plan("convert", source="whole", name="whole")
    with pytest.raises(RequestFault, match="there is no vae of that name"):
        shelf.plan("convert", source="whole", vae="unknown")
    with pytest.raises(RequestFault, match="is needed"):
        shelf.plan("convert")
    with pytest.raises(RequestFault, match="did you mean dtype"):
        shelf.plan("convert", source="whole", dtyp="float16")
    with pytest.raises(RequestFault, match="did you mean convert"):
        shelf.plan("konvert", source="whole")
    with pytest.raises(RequestFault, match="must be one of"):
        shelf.plan("convert", source="whole", dtype="int2")
