"""From a picture file to the request that makes it again, and the verdict on the second making."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from modules.faults import ModelFault, RequestFault
from modules.folders import Folders
from modules.inputs import Inputs
from modules.library import Library
from modules.pixels.metadata import encode
from modules.processing import reproduce
from modules.processing.verdict import changed, difference, judge
from modules.settings import Settings

OWN = (
    "a (red:1.2) apple # not a comment\nNegative prompt: blurry\nSteps: 7, Sampler: Euler a, Schedule type: Karras, CFG scale: 5.5, "
    "Seed: 12, Size: 64x48, Model hash: {hash}, Model: darkroom-starter, RNG: CPU, Version: Darkroom-0.1.0"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    made = Library(Folders.at(tmp_path_factory.mktemp("library")))
    made.with_hash(made.find_checkpoint("darkroom-starter"))
    yield made
    made.close()


@pytest.fixture
def own(library: Library) -> str:
    return OWN.format(hash=library.find_checkpoint("darkroom-starter").short_hash)


@pytest.fixture
def inputs(folders: Folders) -> Inputs:
    return Inputs(folders)


def picture(folder: Path, text: str, *, name: str = "1.png", size: tuple[int, int] = (64, 48), **options: Any) -> Path:
    path = folder / name
    path.write_bytes(encode(Image.effect_noise(size, 60).convert("RGB"), path.suffix[1:], infotext=text, **options))
    return path


def planned(path: Path, library: Library, inputs: Inputs, **settings: Any) -> reproduce.Plan:
    return reproduce.plan(reproduce.read(path), library, inputs, Settings(**settings))


def test_the_request_of_a_file(tmp_path: Path, library: Library, inputs: Inputs, own: str):
    plan = planned(picture(tmp_path, own), library, inputs)
    ((request, place),) = plan.ways
    assert (request.prompt, request.negative_prompt) == ("a (red:1.2) apple # not a comment", "blurry")
    assert (request.steps, request.sampler_name, request.scheduler, request.cfg_scale) == (7, "Euler a", "Karras", 5.5)
    assert (request.seed, request.width, request.height, place) == (12, 64, 48, 0)
    assert (request.n_iter, request.batch_size, request.save_images) == (1, 1, False)
    assert request.override_settings["sd_model_checkpoint"] == library.find_checkpoint("darkroom-starter").title
    assert request.override_settings["enable_prompt_comments"] is False
    assert plan.notes == []


def test_the_settings_here_do_not_change_it(tmp_path: Path, library: Library, inputs: Inputs, own: str):
    path = picture(tmp_path, own.replace("RNG: CPU", "RNG: NV, Clip skip: 2"))
    overrides = (
        planned(path, library, inputs, eta_ancestral=0.5, tiling=True, randn_source="GPU", sd_vae="mine", samples_format="jpg")
        .ways[0][0]
        .override_settings
    )
    assert (overrides["eta_ancestral"], overrides["tiling"]) == (1.0, False)
    assert (overrides["randn_source"], overrides["CLIP_stop_at_last_layers"]) == ("NV", 2)
    assert (overrides["sd_vae"], overrides["samples_format"]) == ("None", "png")
    assert not any(name.startswith("outdir_") for name in overrides)


def test_a_picture_of_a_batch_is_tried_alone_and_then_in_its_batch(tmp_path: Path, library: Library, inputs: Inputs, own: str):
    path = picture(tmp_path, own.replace("Model hash", "Batch size: 4, Batch pos: 3, Model hash"))
    ways = planned(path, library, inputs).ways
    assert [(r.seed, r.batch_size, place) for r, place in ways] == [(12, 1, 0), (9, 4, 3)]
    varied = own.replace("Model hash", "Batch size: 4, Batch pos: 3, Variation seed: 33, Variation seed strength: 0.2, Model hash")
    ways = planned(picture(tmp_path, varied), library, inputs).ways
    assert [(r.seed, r.subseed, r.batch_size) for r, _ in ways] == [(12, 33, 1), (12, 30, 4)]
    absurd = own.replace("Model hash", "Batch size: 4, Batch pos: 30, Model hash")
    assert len(planned(picture(tmp_path, absurd), library, inputs).ways) == 1


def test_a_model_with_another_content_is_found_by_its_name(tmp_path: Path, library: Library, inputs: Inputs, own: str):
    plan = planned(picture(tmp_path, OWN.format(hash="0123456789")), library, inputs)
    assert plan.ways[0][0].override_settings["sd_model_checkpoint"].startswith("darkroom-starter")
    with pytest.raises(ModelFault, match=r"The model away \[0123456789\]"):
        planned(picture(tmp_path, OWN.format(hash="0123456789").replace("darkroom-starter", "away")), library, inputs)


def test_a_picture_of_another_program(tmp_path: Path, library: Library, inputs: Inputs, own: str):
    plan = planned(picture(tmp_path, own.replace("RNG: CPU, Version: Darkroom-0.1.0", "Version: v1.10.1")), library, inputs)
    assert plan.ways[0][0].override_settings["randn_source"] == "GPU"  # what A1111 leaves out
    assert "another program (v1.10.1)" in plan.notes[0]


@pytest.mark.parametrize(
    ("text", "size", "words"),
    [
        ("", (64, 48), "carries no parameters"),
        ("just a prompt", (64, 48), "carries no parameters"),
        (OWN, (128, 96), "a grid of several pictures, or enlarged"),
        ("x\nPostprocess upscale by: 4, Postprocess upscaler: Lanczos, Postprocess x: 1", (64, 48), "came out of the Extras tab"),
        (OWN.replace("RNG", "Denoising strength: 0.5, RNG"), (64, 48), "does not say what it began from"),
        (OWN.replace("RNG", f"Denoising strength: 0.5, Init image: {'ab' * 32}, RNG"), (64, 48), "not kept here any more"),
    ],
)
def test_what_cannot_be_made_again(tmp_path: Path, library: Library, inputs: Inputs, text: str, size: tuple[int, int], words: str):
    with pytest.raises(RequestFault, match=words):
        planned(picture(tmp_path, text.replace("{hash}", "0123456789"), size=size), library, inputs)


def test_files_that_are_no_pictures(tmp_path: Path):
    (tmp_path / "x.png").write_text("no picture")
    for name in ("x.png", "nothing.png"):
        with pytest.raises(RequestFault):
            reproduce.read(tmp_path / name)


def test_what_it_began_from_is_taken_from_the_store_or_given(tmp_path: Path, library: Library, inputs: Inputs, own: str):
    begun = inputs.put_picture(Image.new("RGB", (64, 48), "teal"))
    path = picture(tmp_path, own.replace("RNG", f"Denoising strength: 0.5, Init image: {begun.removeprefix('input:')}, RNG"))
    request = planned(path, library, inputs).ways[0][0]
    assert (request.init_images, request.denoising_strength) == ([begun], 0.5)
    foreign = reproduce.read(picture(tmp_path, own.replace("RNG", "Denoising strength: 0.5, RNG")))
    assert reproduce.plan(foreign, library, inputs, Settings(), [begun]).ways[0][0].init_images == [begun]


# ---- the verdict ----------------------------------------------------------------------------------------------------


def test_differences_of_pixels():
    grey = Image.new("RGB", (10, 10), (100, 100, 100))
    one = grey.copy()
    one.putpixel((3, 3), (100, 104, 98))
    assert difference(grey, grey) == (0, 0, 0)
    assert difference(grey, one) == (4, pytest.approx(6 / 300), pytest.approx(0.01))


def test_lossless_files_are_compared_to_the_bit(tmp_path: Path, own: str):
    path = picture(tmp_path, own)
    original = reproduce.read(path)
    assert judge(original, path, own).line == "equal: every pixel is the same"
    image = original.image.copy()
    image.paste(ImageChops.invert(image.crop((0, 0, 1, 1))), (0, 0))
    image.save(tmp_path / "off.png")
    verdict = judge(original, tmp_path / "off.png", own, device={"name": "a device", "dtype": "float16"})
    assert (verdict.equal, verdict.share) == (False, pytest.approx(1 / (64 * 48)))
    assert verdict.changes[0].endswith("Here it is a device, float16.")
    assert judge(original, tmp_path / "off.png", own, tolerance=verdict.largest).equal
    assert not judge(original, tmp_path / "off.png", own, tolerance=verdict.largest - 1).equal
    assert judge(original, path, own, tolerance=0).equal


@pytest.mark.parametrize(("name", "options"), [("1.jpg", {"quality": 60}), ("1.webp", {"quality": 80}), ("1.webp", {"lossless": True})])
def test_lossy_files_are_compared_after_the_same_loss(tmp_path: Path, own: str, name: str, options: dict[str, Any]):
    smooth = Image.effect_noise((64, 48), 40).convert("RGB")
    smooth.save(tmp_path / "again.png")
    path = tmp_path / name
    path.write_bytes(encode(smooth, path.suffix[1:], infotext=own, **options))
    verdict = judge(reproduce.read(path), tmp_path / "again.png", own, quality=80)
    assert (verdict.equal, verdict.largest) == (True, 0)
    assert ("loss" in verdict.compared) == ("lossless" not in options)
    Image.effect_noise((64, 48), 40).convert("RGB").save(tmp_path / "other.png")
    assert not judge(reproduce.read(path), tmp_path / "other.png", own, quality=80).equal


def test_sizes_that_differ(tmp_path: Path, own: str):
    Image.new("RGB", (32, 32)).save(tmp_path / "small.png")
    verdict = judge(reproduce.read(picture(tmp_path, own)), tmp_path / "small.png", own)
    assert not verdict.equal
    assert verdict.changes[0] == "The sizes differ: 64x48 and 32x32."


def test_what_has_changed_is_named():
    before = (
        "a\nSteps: 1, Sampler: Euler, Seed: 1, Model hash: aaaaaaaaaa, Model: m, VAE hash: bbbbbbbbbb, VAE: v.pt, "
        'Lora hashes: "ink: 111111111111, gone: 222222222222", TI hashes: "easy: 333333333333", ADetailer model: face, Batch size: 2, '
        "Batch pos: 1, Template: x, RNG: CPU, Version: Darkroom-0.1.0"
    )
    now = (
        'a\nSteps: 1, Sampler: Heun, Seed: 1, Model hash: cccccccccc, Model: m, Lora hashes: "ink: 444444444444, new: 5", '
        "RNG: CPU, Version: Darkroom-0.2.0"
    )
    assert changed(before, before) == []
    assert changed(before, now) == [
        "Sampler: Euler then, Heun now.",
        "The model has another content: hash aaaaaaaaaa then, cccccccccc now.",
        "The VAE has another content: hash bbbbbbbbbb then, none now.",
        "The VAE: v.pt then, the model’s own now.",
        "The LoRA gone is not here or was not used.",
        "The LoRA ink has another content: hash 111111111111 then, 444444444444 now.",
        "The LoRA new was not used then.",
        "The embedding easy is not here or was not used.",
        "ADetailer model: face then; this program does not know it or did not use it.",
        "The program: Darkroom-0.1.0 then, Darkroom-0.2.0 now.",
    ]


def test_a_jpeg_without_our_tables_is_read_all_the_same(tmp_path: Path, own: str):
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 40).convert("L").save(buffer, "JPEG")
    path = picture(tmp_path, own, name="1.jpg")
    exif = Image.open(path).getexif().tobytes()
    Image.open(buffer).save(path, "JPEG", exif=exif)
    Image.open(buffer).convert("RGB").save(tmp_path / "again.png")
    assert judge(reproduce.read(path), tmp_path / "again.png", own).equal
