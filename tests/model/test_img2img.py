"""img2img: the same as a plain diffusers call for every family, A1111's steps for every sampler, noise by picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from modules.processing.passes import Begin, Pass, steps_run
from modules.samplers import SAMPLERS
from tests.model.painting import MODELS, Easel, counted, difference, gradient, plain
from tests.model.two_models import NEGATIVE, PROMPT, SIDE

PLAIN = [name for name in MODELS if "pix2pix" not in name and "inpainting" not in name]


@pytest.fixture(scope="module")
def easel(tmp_path_factory: pytest.TempPathFactory) -> Easel:
    return Easel(tmp_path_factory.mktemp("img2img"))


@pytest.fixture(scope="module")
def untouched(easel: Easel) -> Image.Image:
    """The picture as the VAE of "sd15" gives it back, but for a last small step."""
    return easel.ours("sd15", gradient(), sampler="Euler", steps=60, denoising_strength=0.0, cfg_scale=1.0).images[0]


@pytest.mark.parametrize("name", PLAIN)
def test_a_picture_equals_the_plain_call(easel: Easel, name: str) -> None:
    [ours] = easel.ours(name, gradient()).images
    theirs = plain(easel.checkpoint(name), MODELS[name][1], "img2img", gradient())
    assert difference(theirs, gradient()) > 10
    assert difference(ours, theirs) == 0


@pytest.mark.parametrize("sampler", ["Heun", "UniPC", "LCM"])
@pytest.mark.parametrize("name", ["sd3", "flux dev"])
def test_samplers_of_flow_models_equal_the_plain_call(easel: Easel, name: str, sampler: str) -> None:
    [ours] = easel.ours(name, gradient(), sampler=sampler).images
    assert difference(ours, plain(easel.checkpoint(name), sampler, "img2img", gradient())) == 0


@pytest.mark.parametrize("sampler", ["Euler a", "Heun", "DPM++ SDE", "LMS", "SA Solver", "DEIS"])
def test_other_samplers_equal_the_plain_call(easel: Easel, sampler: str) -> None:
    [ours] = easel.ours("sd15", gradient(), sampler=sampler).images
    tolerance = 1 if sampler in ("DEIS", "SA Solver") else 0  # their schedule ends elsewhere by rounding of one float
    assert difference(ours, plain(easel.checkpoint("sd15"), sampler, "img2img", gradient())) <= tolerance


def a_pass(sampler: str, steps: int, denoising: float, *, exact: bool = False) -> Pass:
    begin = Begin(image=torch.zeros(1, 4, 8, 8), denoising=denoising, exact_steps=exact)
    texts: dict[str, Any] = {"prompts": (PROMPT,), "negative_prompts": (NEGATIVE,)}
    size = {"width": SIDE, "height": SIDE}
    return Pass(seeds=(5,), steps=steps, sampler_name=sampler, scheduler="Automatic", cfg_scale=1, begin=begin, **texts, **size)


@pytest.mark.parametrize(("steps", "denoising", "run"), [(20, 0.75, 16), (20, 0.3, 7), (20, 0.0, 1), (20, 1.0, 20), (1, 0.5, 1)])
def test_as_many_steps_run_as_a1111_runs(easel: Easel, steps: int, denoising: float, run: int) -> None:
    told, hooks = counted()
    easel.ours("sd15", gradient(), hooks=hooks, sampler="Euler", steps=steps, denoising_strength=denoising, cfg_scale=1.0)
    assert told[-1] == (run, run)
    assert steps_run(a_pass("Euler", steps, denoising)) == run
    told, hooks = counted()
    easel.ours("sd15", gradient(), hooks=hooks, sampler="DDIM", steps=steps, denoising_strength=denoising, cfg_scale=1.0)
    assert told[-1][1] == max(run - 1, 1) == steps_run(a_pass("DDIM", steps, denoising))


def test_exactly_so_many_steps_run_on_request(easel: Easel) -> None:
    told, hooks = counted()
    settings = {"img2img_fix_steps": True}
    easel.ours("sd15", gradient(), hooks=hooks, sampler="Euler", steps=8, denoising_strength=0.3, cfg_scale=1.0, settings=settings)
    assert told[-1] == (8, 8)
    assert steps_run(a_pass("Euler", 8, 0.3, exact=True)) == 8
    told, hooks = counted()
    easel.ours("sd3", gradient(), hooks=hooks, steps=6, denoising_strength=0.5, settings=settings)
    assert told[-1] == (6, 6)


@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_every_sampler_begins_with_a_picture(easel: Easel, untouched: Image.Image, sampler: str) -> None:
    """And the less it may change, the nearer it stays."""
    far, near = (
        easel.ours("sd15", gradient(), sampler=sampler, steps=6, denoising_strength=d, cfg_scale=1.0).images[0] for d in (0.95, 0.0)
    )
    distances = [np.abs(np.asarray(one, float) - np.asarray(untouched, float)).mean() for one in (near, far)]
    assert distances[0] < distances[1], distances


@pytest.mark.parametrize(
    ("name", "sampler", "changes"),
    [
        ("sd15", "Euler a", {}),
        ("sd15", "DPM++ SDE", {}),
        ("sd15", "DPM adaptive", {"denoising_strength": 0.1, "cfg_scale": 1.0}),
        ("sd15", "Euler a", {"settings": {"randn_source": "NV"}}),
        ("sd15", "Euler", {"all_subseeds": (70, 71), "subseed_strength": 0.4}),
        ("sdxl", "DPM++ 2M SDE", {}),
        ("sd3", "LCM", {}),
        ("flux dev", "Euler", {}),
        ("sd15 instruct-pix2pix", "Euler", {}),
    ],
    ids=str,
)
def test_a_batch_equals_its_singles(easel: Easel, name: str, sampler: str, changes: dict[str, Any]) -> None:
    batch = easel.ours(name, gradient(), sampler=sampler, batch_size=2, **changes).images
    for i, together in enumerate(batch):
        alone = {k: v[i : i + 1] if isinstance(v, tuple) else v for k, v in changes.items()}
        assert difference(easel.ours(name, gradient(), sampler=sampler, seed=5 + i, **alone).images[0], together) <= 2
    assert difference(*batch) > 2


def test_several_pictures_are_a_batch(easel: Easel) -> None:
    upside_down = gradient().rotate(180)
    batch = easel.ours("sd15", [gradient(), upside_down], batch_size=2).images
    assert difference(easel.ours("sd15", gradient()).images[0], batch[0]) <= 2
    assert difference(easel.ours("sd15", upside_down, seed=6).images[0], batch[1]) <= 2


def test_pictures_of_other_sizes_are_brought_to_the_size(easel: Easel) -> None:
    wide = gradient((150, 70))
    made = {mode: easel.ours("sd15", wide, resize_mode=mode, width=96).images[0] for mode in range(4)}
    assert {image.size for image in made.values()} == {(96, 64)}
    assert min(difference(made[a], made[b]) for a in made for b in made if a < b) > 0


def test_noise_can_be_weaker_stronger_or_more(easel: Easel) -> None:
    usual, one, weak, more = (
        easel.ours("sd15", gradient(), sampler="Euler", **changes).images[0]
        for changes in (
            {},
            {"initial_noise_multiplier": 1.0},
            {"initial_noise_multiplier": 0.6},
            {"settings": {"img2img_extra_noise": 0.2}},
        )
    )
    assert difference(usual, one) == 0
    assert difference(usual, weak) > 0
    assert difference(usual, more) > 0
    assert difference(weak, more) > 0


def test_colours_are_brought_back_on_request(easel: Easel) -> None:
    red = Image.new("RGB", (SIDE, SIDE), (200, 40, 40))
    wild = easel.ours("sd15", red).images[0]
    easel.kept.clear()
    settings = {"img2img_color_correction": True, "save_images_before_color_correction": True}
    tame = easel.ours("sd15", red, settings=settings).images[0]
    distance = [np.abs(np.asarray(one, float).mean((0, 1)) - (200, 40, 40)).sum() for one in (wild, tame)]
    assert distance[1] < distance[0] / 2
    [(kept, index, suffix)] = easel.kept
    assert (difference(kept, wild), index, suffix) == (0, 0, "-before-color-correction")


@pytest.mark.parametrize("name", ["sd15", "sdxl instruct-pix2pix", "sd3", "flux dev"])
def test_an_interrupt_gives_the_picture_as_it_is_believed_then(easel: Easel, name: str) -> None:
    told, hooks = counted(stop_after=2)
    batch = easel.ours(name, gradient(), hooks=hooks)
    assert (batch.partial, len(told), batch.images[0].size) == (True, 2, (SIDE, SIDE))
    assert not easel.ours(name, gradient()).partial


@pytest.mark.parametrize("name", ["sd15 instruct-pix2pix", "sdxl instruct-pix2pix"])
def test_editing_models_look_at_the_picture(easel: Easel, name: str) -> None:
    """At full strength nothing but what they see tells the pictures apart."""
    settings = {"denoising_strength": 1.0, "initial_noise_multiplier": 1.0, "steps": 3}
    one, other = (easel.ours(name, image, **settings).images[0] for image in (gradient(), gradient().rotate(90)))
    weak, strong = (easel.ours(name, gradient(), image_cfg_scale=scale, **settings).images[0] for scale in (1.0, 3.0))
    assert difference(one, other) > 0
    assert difference(weak, strong) > 0
    usual = easel.ours(name, gradient(), image_cfg_scale=1.5, **settings).images[0]
    assert difference(one, usual) == 0


def test_what_a_prompt_becomes_on_the_way_goes_by_the_steps_that_run(easel: Easel) -> None:
    """10 steps at 0.45 are 5: half of the way is after the second or third of them, not after the fifth."""
    late = easel.ours("sd15", gradient(), sampler="Euler", steps=10, denoising_strength=0.45, prompt="[a cat:zzzzzz 99:0.5]").images[0]
    never = easel.ours("sd15", gradient(), sampler="Euler", steps=10, denoising_strength=0.45, prompt="a cat").images[0]
    assert difference(late, never) > 0
