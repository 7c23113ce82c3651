"""ControlNet units through the worker with the starter model: maps, pictures of every kind, and what a job gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from modules.folders import Folders
from modules.library import Library
from modules.processing.runner import PictureRunner
from modules.request import Result
from tests.model.conftest import Studio
from tests.model.control_nets import shaken
from tests.model.painting import difference, gradient, rectangle

SMALL: dict[str, Any] = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2, "seed": 3, "sampler_name": "Euler"}


def lay_adapter(folder: Path, unet: Any) -> None:
    """An IP-Adapter with true key names for that UNet, and the image encoder that it reads through."""
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "patch_size": 16,
        "image_size": 48,
    }
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes, projection_dim=24))
    (folder / "clip_vision").mkdir(parents=True)
    save_file({k: v.contiguous() for k, v in encoder.state_dict().items()}, folder / "clip_vision" / "eyes.safetensors")
    text, number = unet.config.cross_attention_dim, 1
    weights = {"image_proj.proj.weight": torch.randn(4 * text, 24), "image_proj.proj.bias": torch.zeros(4 * text)}
    weights |= {"image_proj.norm.weight": torch.ones(text), "image_proj.norm.bias": torch.zeros(text)}
    for name in unet.attn_processors:
        if "attn2" in name:
            shape = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape
            weights |= {f"ip_adapter.{number}.to_{x}_ip.weight": torch.randn(shape) * 0.2 for x in "kv"}
            number += 2
    save_file(weights, folder / "ControlNet" / "ip-adapter.safetensors")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, starter_path: Path) -> Any:
    folders = Folders.at(tmp_path_factory.mktemp("runs"))
    unet = diffusers.UNet2DConditionModel.from_pretrained(starter_path / "unet", local_files_only=True)
    there = folders.models / "ControlNet"
    there.mkdir(parents=True)
    net = shaken(diffusers.ControlNetModel.from_unet(unet))
    save_file({k: v.contiguous().clone() for k, v in net.state_dict().items()}, there / "random.safetensors")
    lay_adapter(folders.models, unet)
    library = Library(folders)
    yield Studio(folders, PictureRunner(folders, {}, 0), library)
    library.close()


@pytest.fixture(scope="module")
def scene(studio: Studio) -> str:
    image = Image.new("RGB", (80, 60), "white")
    image.paste((200, 30, 30), (20, 10, 60, 50))
    return studio.inputs.put_picture(image)


@pytest.fixture(scope="module")
def plain(studio: Studio) -> Image.Image:
    return made(studio)[0]


def run(studio: Studio, *units: dict[str, Any], **request: Any) -> Result:
    state, result = studio.make(**{**SMALL, **request, "control_units": [{"model": "random", **unit} for unit in units]})
    assert state == "done"
    return result


def made(studio: Studio, *units: dict[str, Any], kind: str = "sample", **request: Any) -> list[Image.Image]:
    found = run(studio, *units, **request).pictures
    return [Image.open(picture.path).convert("RGB") for picture in found if picture.kind == kind]


def test_the_map_stands_behind_the_pictures(studio: Studio, scene: str, plain: Image.Image) -> None:
    units = [{"module": "canny", "image": scene}, {"module": "none", "image": scene, "save_detected_map": False}]
    result = run(studio, *units, batch_size=2)
    assert [picture.kind for picture in result.pictures] == ["grid", *["sample"] * 2, "control"]
    assert not result.pictures[-1].saved
    with Image.open(result.pictures[-1].path) as image:
        lines = image.convert("L")
    assert lines.size == (64, 64)
    assert {value for _, value in lines.getcolors() or []} == {0, 255}
    with Image.open(result.pictures[1].path) as image:
        assert difference(image.convert("RGB"), plain) > 3


def test_maps_are_left_out_or_saved_as_the_settings_say(studio: Studio, scene: str) -> None:
    unit = {"module": "canny", "image": scene}
    assert not made(studio, unit, kind="control", override_settings={"control_net_no_detectmap": True})
    [kept] = [p for p in run(studio, unit, override_settings={"control_net_detectmap_autosaving": True}).pictures if p.kind == "control"]
    assert kept.saved
    assert Path(kept.path).is_relative_to(studio.folders.outputs)


def test_the_request_lies_in_the_row_and_gives_the_same_picture_again(studio: Studio, scene: str) -> None:
    assert difference(*(made(studio, {"image": scene, "weight": 0.7})[0] for _ in range(2))) == 0


def test_an_inpaint_unit_sees_its_picture_without_the_masked_part(studio: Studio, scene: str) -> None:
    """inpaint_only puts back what lies outside the mask."""
    mask = studio.inputs.put_picture(rectangle((40, 0, 80, 60), (80, 60)))
    unit = {"module": "inpaint_only", "image": scene, "mask": mask, "resize_mode": "Just Resize"}
    [image] = made(studio, unit)
    with Image.open(studio.inputs.path(scene)) as picture:
        kept = picture.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS)
    left = (0, 0, 28, 64)
    assert difference(image.crop(left), kept.crop(left)) <= 1
    [whole] = made(studio, {**unit, "module": "inpaint_global_harmonious"})
    other = studio.inputs.put_picture(rectangle((0, 0, 40, 60), (80, 60)))
    assert difference(whole, made(studio, {**unit, "module": "inpaint_global_harmonious", "mask": other})[0]) > 0


def test_an_inpaint_unit_takes_the_runs_own_mask_and_picture(studio: Studio, scene: str) -> None:
    mask = studio.inputs.put_picture(rectangle((20, 10, 60, 50), (80, 60)))
    begin = {"init_images": [scene], "mask": mask, "denoising_strength": 0.9}
    [without] = made(studio, **begin)
    [controlled] = made(studio, {"module": "inpaint_global_harmonious"}, **begin)
    [alone] = made(studio, {"module": "inpaint_global_harmonious"}, **begin, inpaint_full_res=True, inpaint_full_res_padding=4)
    assert without.size == controlled.size == (64, 64)
    assert alone.size == (80, 60)
    assert difference(without, controlled) > 3


def test_a_reference_is_seen_by_prompt_and_negative_prompt_as_its_fidelity_says(studio: Studio, scene: str, plain: Image.Image) -> None:
    unit = {"module": "reference_only", "image": scene, "model": "None"}
    found = [made(studio, {**unit, "threshold_a": fidelity})[0] for fidelity in (0.0, 1.0)]
    assert len({image.tobytes() for image in (plain, *found)}) == 3
    assert difference(made(studio, {**unit, "guidance_end": 0.1})[0], plain) == 0
    both = made(studio, {**unit, "threshold_a": 1.0}, {"image": scene, "weight": 0.3})[0]
    assert difference(both, found[1]) > 0


def test_an_ip_adapter_reads_the_picture_where_and_when_it_counts(studio: Studio, scene: str, plain: Image.Image) -> None:
    unit = {"module": "ip-adapter-auto", "model": "ip-adapter", "image": scene}
    [usual] = made(studio, unit)
    assert difference(usual, plain) > 0
    assert difference(made(studio, {**unit, "guidance_end": 0.1})[0], plain) <= 1
    nowhere = studio.inputs.put_picture(Image.new("L", (64, 64)))
    assert difference(made(studio, {**unit, "effective_region_mask": nowhere})[0], plain) <= 1
    assert difference(made(studio)[0], plain) == 0


def test_it_goes_with_samplers_that_ask_twice_a_step(studio: Studio, scene: str) -> None:
    assert difference(made(studio, {"image": scene}, sampler_name="Heun")[0], made(studio, sampler_name="Heun")[0]) > 3


def test_pixel_perfect_takes_the_resolution_of_the_run(studio: Studio) -> None:
    fine = studio.inputs.put_picture(gradient((256, 256)).point(lambda value: 255 * (value // 16 % 2)))
    maps = [made(studio, {"module": "canny", "image": fine, "pixel_perfect": exact}, kind="control")[0] for exact in (True, False)]
    assert difference(*maps) > 0
    assert np.asarray(maps[0]).max() == 255
