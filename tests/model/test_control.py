"""ControlNet units: the same as the plain diffusers pipelines for every family, and what their fields do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.hooks import HookRegistry
from PIL import Image
from torchvision.transforms.functional import to_tensor

from modules.control.controlling import Course, Unit, controlled
from modules.faults import ModelFault
from modules.request import HiresPass, RefinerPass, Steering
from modules.steering.tiles import Tiles, waning
from tests.model.control_nets import MAP, PIPELINES, Steered, plain
from tests.model.painting import difference, gradient, opened, rectangle
from tests.model.two_models import NEGATIVE, PROMPT, SIDE

MODES = ("My prompt is more important", "ControlNet is more important")
FEW: dict[str, Any] = {"steps": 2}


@pytest.fixture(scope="module")
def easel(tmp_path_factory: pytest.TempPathFactory) -> Steered:
    return Steered(tmp_path_factory.mktemp("control"))


TOLD = {"sdxl union": {"union_control_type": "Hard Edge"}, "flux union": {"union_control_type": "Depth"}}
CALLS = {"sdxl union": {"control_mode": 3}, "flux union": {"control_mode": 2}}
PICTURES = {MAP: gradient(), "other": gradient().rotate(90), "half": rectangle((0, 0, SIDE // 2, SIDE))}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_picture_equals_the_plain_pipeline(easel: Steered, name: str) -> None:
    weight = {"adapter_conditioning_scale": 0.8} if "t2i" in name else {"controlnet_conditioning_scale": 0.8}
    unit = easel.unit(name, weight=0.8, **TOLD.get(name, {}))
    [ours] = easel.steered(name, unit, pictures=PICTURES, **FEW).images
    # From PIL diffusers makes a T2I-Adapter's tensor with its colours last in memory; some processors take other kernels for that.
    picture = to_tensor(gradient())[None] if "t2i" in name else gradient()
    assert difference(ours, plain(easel, name, picture, **weight, **CALLS.get(name, {}))) == 0


def test_several_units_with_their_steps_equal_the_plain_pipeline(easel: Steered) -> None:
    units = [
        easel.unit("sd15", weight=0.7, guidance_end=0.5),
        easel.unit("sd15 second", picture="other", weight=1.2, guidance_start=0.3),
    ]
    [ours] = easel.steered("sd15", *units, pictures=PICTURES, steps=4, sampler="Euler").images
    told: dict[str, Any] = {"control_guidance_start": [0.0, 0.3], "control_guidance_end": [0.5, 1.0]}
    told |= {"controlnet_conditioning_scale": [0.7, 1.2], "num_inference_steps": 4}
    nets = ["sd15", "sd15 second"]
    assert difference(ours, plain(easel, "sd15", [PICTURES[MAP], PICTURES["other"]], sampler="Euler", nets=nets, **told)) == 0


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
def test_runs_from_pictures_equal_the_plain_pipelines(easel: Steered, task: str) -> None:
    """Also without a picture of the unit's own, which then sees what the run begins with."""
    mask = rectangle((16, 16, 48, 48)) if task == "inpaint" else None
    asked = easel.asked("sd15", gradient(), mask, sampler="Euler")
    asked = dataclasses.replace(asked, settings={**asked.settings, "overlay_inpaint": False})  # as the pipeline leaves it
    easel.given |= PICTURES
    theirs = easel.plain_painted("sd15", task, PICTURES["other"], mask)
    [ours] = easel.batch(dataclasses.replace(asked, control=(easel.unit("sd15", picture="other"),))).images
    assert difference(ours, theirs) == 0
    own = easel.batch(dataclasses.replace(asked, control=(easel.unit("sd15", picture="input:0"),))).images
    missing = easel.unit("sd15", picture="input:0")
    missing = dataclasses.replace(missing, unit=dataclasses.replace(missing.unit, image=None))
    assert difference(easel.batch(dataclasses.replace(asked, control=(missing,))).images[0], own[0]) == 0


def made(easel: Steered, *units: Any, **changes: Any) -> list[Image.Image]:
    return easel.steered("sd15", *units, pictures=PICTURES, **{**FEW, "sampler": "Euler", **changes}).images


def test_what_the_fields_do(easel: Steered) -> None:
    [without], [usual] = made(easel), made(easel, easel.unit("sd15"))
    for idle in ({"weight": 0.0}, {"guidance_start": 0.9}, {"guidance_end": 0.1}, {"advanced_weighting": [0.0] * 13}):
        assert difference(made(easel, easel.unit("sd15", **idle))[0], without) == 0, idle
    assert difference(made(easel, easel.unit("sd15", low_vram=True))[0], usual) == 0
    assert difference(made(easel, easel.unit("sd15", advanced_weighting=[1.0] * 13))[0], usual) == 0
    modes = [
        made(easel, easel.unit("sd15", control_mode=mode))[0] for mode in ("My prompt is more important", "ControlNet is more important")
    ]
    assert len({image.tobytes() for image in (without, usual, *modes)}) == 4


def test_control_that_counts_for_the_prompt_alone_leaves_the_negative_rows(easel: Steered) -> None:
    """Without guidance there are none, and both modes are the same."""
    alone = [made(easel, easel.unit("sd15", control_mode=mode), cfg_scale=1.0)[0] for mode in MODES]
    assert difference(*alone) == 0


def test_a_region_leaves_the_rest_as_it_would_be(easel: Steered) -> None:
    """One step: nothing but the network's own reach carries the change over."""
    unit = easel.unit("sd15", effective_region_mask="half")
    [without], [whole], [part] = (made(easel, *units, steps=1) for units in ([], [easel.unit("sd15")], [unit]))
    apart = np.abs(np.asarray(part, float) - np.asarray(without, float)).mean(axis=(0, 2))
    assert difference(part, without) > 3
    assert difference(part, whole) > 3
    assert apart[: SIDE // 2].mean() > apart[SIDE // 2 :].mean()


def test_pictures_of_a_batch_are_those_of_single_runs(easel: Steered) -> None:
    both = made(easel, easel.unit("sd15"), batch_size=2)
    for n, image in enumerate(both):
        assert difference(image, made(easel, easel.unit("sd15"), seed=5 + n)[0]) <= 1


def test_parts_joined_by_and_and_other_guidance_go_on_working(easel: Steered) -> None:
    """Hooks that add rows to a network's call, or leave rows out, come before the control."""
    unit = easel.unit("sd15", control_mode="ControlNet is more important")
    [usual] = made(easel, unit)
    [joined] = made(easel, unit, prompt=f"{PROMPT} AND a blue square")
    assert difference(joined, usual) > 0


def hires(**changes: Any) -> HiresPass:
    size = {"width": 128, "height": 128, "to_px": (128, 128), "upscaler": "Latent", "steps": 2, "denoising_strength": 0.7}
    texts = {"all_prompts": (PROMPT,), "all_negative_prompts": (NEGATIVE,)}
    return HiresPass(**{**size, **texts, "sampler_name": "Euler", "scheduler": "Automatic", "cfg_scale": 4.0, **changes})  # pyright: ignore[reportArgumentType]


def test_the_hires_option_says_in_which_pass_a_unit_counts(easel: Steered) -> None:
    found: dict[str, Image.Image] = {}
    for option in ("Both", "Low res only", "High res only", ""):
        units = [easel.unit("sd15", hr_option=option)] if option else []
        batch = easel.steered("sd15", *units, pictures=PICTURES, sampler="Euler", hires=hires(), **FEW)
        found[option] = batch.images[0]
        assert [image.size for image in batch.maps] == [(SIDE, SIDE) if option != "High res only" else (128, 128)] * len(units)
    assert len({image.tobytes() for image in found.values()}) == 4


def test_a_refiner_of_the_same_build_is_steered_too(easel: Steered) -> None:
    other = easel.checkpoint("sd15 v")
    refiner = RefinerPass(checkpoint=other, switch_at=0.5)
    steered = [made(easel, easel.unit("sd15", **fields), refiner=refiner)[0] for fields in ({}, {"guidance_end": 0.5}, {"weight": 0.0})]
    assert len({image.tobytes() for image in steered}) == 3


def test_a_wrong_pair_is_refused_before_a_step_is_taken(easel: Steered) -> None:
    unit = easel.unit("sd2")
    with pytest.raises(ModelFault, match=r"sd2-control.* does not fit sd15"):
        made(easel, unit)


@pytest.mark.parametrize("name", ["sd15", "sd15 t2i"])
def test_in_tiles_each_tile_sees_its_own_part_of_the_map(easel: Steered, name: str) -> None:
    """Asked by hand tile for tile, with the map cut by hand, and joined by the same weights."""
    net, unet = easel.net(name), opened(Path(easel.checkpoint("sd15").path)).unet
    source = torch.Generator().manual_seed(3)
    sample, text = torch.randn((1, 4, 8, 16), generator=source), torch.randn((1, 7, 64), generator=source)
    shown = torch.rand((1, 1, 3, 64, 128), generator=source)
    unit = Unit(name=name, net=net, shown=shown, weight=0.5)
    registry, time = HookRegistry.check_if_exists_or_initialize(unet), torch.tensor(500)
    with torch.inference_mode(), controlled(unet, [unit], Course(moment=lambda: (0.0, 1.0), pictures=1, cells=(8, 16))):
        registry.register_hook(Tiles(64, 32, told=True), "tiles")
        ours = unet(sample, time, encoder_hidden_states=text, return_dict=False)[0]
        registry.remove_hook("tiles")
    total, weights = torch.zeros_like(sample), torch.zeros(16)
    with torch.inference_mode():
        for left in (0, 4, 8):
            cut, part = sample[..., left : left + 8].contiguous(), shown[0, :, :, :, 8 * left : 8 * left + 64]
            if "t2i" in name:
                told = {"down_intrablock_additional_residuals": [0.5 * tensor for tensor in net(part)]}
            else:
                down, mid = net(cut, time, encoder_hidden_states=text, controlnet_cond=part, conditioning_scale=0.5, return_dict=False)
                told = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
            share = waning((left, left + 8), 16)
            total[..., left : left + 8] += unet(cut, time, encoder_hidden_states=text, return_dict=False, **told)[0] * share
            weights[left : left + 8] += share
    assert torch.equal(ours, total / weights)


def test_a_run_in_tiles_is_steered(easel: Steered) -> None:
    """A map that says the same everywhere steers each tile; without the unit the picture is another."""
    told: dict[str, Any] = {"width": 128, "steering": Steering(tile_px=64, tile_overlap=32)}
    with_unit = easel.steered("sd15", easel.unit("sd15", effective_region_mask="half"), pictures=PICTURES, **FEW, **told)
    without = easel.steered("sd15", **FEW, **told)
    assert difference(with_unit.images[0], without.images[0]) > 1
    assert not [text for text in with_unit.warnings if "Tiled" in text]
