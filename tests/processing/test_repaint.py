"""What is kept and what is painted, in numbers: blending, soft inpainting, noise of a beginning; and what `resolve` says of pictures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modules.faults import RequestFault, UnknownName
from modules.folders import Folders
from modules.inputs import Inputs
from modules.library import Library
from modules.processing.blending import Blend, Soft, covered, mixed
from modules.processing.resolve import resolve
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, Repaint, ResolvedRequest
from modules.samplers.beginning import NEVER, Beginning, flow_sigma
from modules.samplers.build import build_scheduler
from modules.samplers.options import SamplerOptions
from modules.settings import Settings

CONFIG = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
FLOW = {"num_train_timesteps": 1000, "shift": 3.0}


def latents(seed: int) -> torch.Tensor:
    return torch.randn((1, 4, 6, 6), generator=torch.Generator("cpu").manual_seed(seed))


def ramp() -> torch.Tensor:
    """A mask that grows from 0 on the left to 1 on the right."""
    return torch.linspace(0, 1, 6).view(1, 1, 1, 6).expand(1, 1, 6, 6)


def test_a_plain_blend_is_a_mixture_and_exact_at_both_ends() -> None:
    kept, new = latents(1), latents(2)
    made = Blend(kept=kept, mask=ramp())(new, 5.0)
    assert torch.equal(made[..., 0], kept[..., 0])
    assert torch.equal(made[..., 5], new[..., 5])
    assert torch.allclose(made, kept * (1 - ramp()) + new * ramp())


def test_a_soft_blend_lets_go_as_the_noise_falls() -> None:
    kept, new = latents(1), latents(2)
    blend = Blend(kept=kept, mask=ramp(), soft=Soft())
    shares = [float((blend(new, sigma) - kept).norm() / (new - kept).norm()) for sigma in (14.6, 4.0, 1.0, 0.1)]
    assert shares == sorted(shares)
    for sigma in (14.6, 0.1):
        made = blend(new, sigma)
        assert torch.equal(made[..., 0], kept[..., 0])
        assert torch.equal(made[..., 5], new[..., 5])
    held = Blend(kept=kept, mask=ramp(), soft=Soft(preservation=4.0))(new, 1.0)
    assert (held - kept).norm() < (blend(new, 1.0) - kept).norm()


def test_a_mixture_is_as_strong_as_what_it_is_made_of() -> None:
    kept, new = latents(1), -latents(1).roll(1, 1)
    half = torch.full((1, 1, 6, 6), 0.5)
    plain, strong = kept * 0.5 + new * 0.5, mixed(kept, new, half, 4.0)
    around = ((kept.norm(dim=1) ** 4 + new.norm(dim=1) ** 4) / 2) ** 0.25
    assert torch.allclose(strong.norm(dim=1), around, rtol=1e-4)
    assert (plain.norm(dim=1) < strong.norm(dim=1)).float().mean() > 0.9
    nothing = torch.zeros_like(kept)
    assert bool(torch.isfinite(mixed(nothing, nothing, half, 4.0)).all())


def test_the_original_covers_what_did_not_change() -> None:
    before, after = latents(1), latents(1)
    after[..., 3:] += 5
    share = covered(before, after, torch.ones(1, 1, 6, 6), Soft())
    assert float(share[..., :2].max()) == 0
    assert float(share[..., 4:].min()) > 0.95
    late = covered(before, after, torch.ones(1, 1, 6, 6), Soft(threshold=8.0))
    assert float(late[..., 4:].min()) < float(share[..., 4:].min())
    by_mask = covered(before, before + 1, ramp(), Soft(influence=0.8))[0, 3]
    assert by_mask.tolist() == sorted(by_mask.tolist())
    assert float(by_mask[0]) < 0.5 < float(by_mask[5])


def test_one_row_of_a_blend() -> None:
    blend = Blend(kept=torch.cat([latents(1), latents(2)]), mask=torch.cat([ramp(), 1 - ramp()]))
    assert torch.equal(blend.row(1)(latents(3), 1.0), Blend(kept=latents(2), mask=1 - ramp())(latents(3), 1.0))


@pytest.mark.parametrize("sampler", ["Euler", "DDIM", "UniPC", "Restart"])
def test_a_scheduler_adds_its_own_noise_and_more_of_it_at_first(sampler: str) -> None:
    scheduler = build_scheduler(sampler, "Automatic", CONFIG, options=SamplerOptions(denoising=0.6))
    scheduler.set_timesteps(20)
    clean, drawn, own = latents(1), latents(2), latents(3)
    first, later = scheduler.timesteps[:1], scheduler.timesteps[3:4]
    plain = [scheduler.add_noise(clean, own, at) for at in (first, later)]
    scheduler.beginning = Beginning(noise=(own,))
    assert torch.equal(scheduler.add_noise(clean, drawn, first), plain[0])
    assert torch.equal(scheduler.add_noise(clean, drawn, later), plain[1])
    scheduler.beginning = Beginning(noise=(own,), multiplier=0.5)
    nothing = torch.zeros_like(clean)
    assert torch.allclose(scheduler.add_noise(clean, drawn, first) - plain[0], (scheduler.add_noise(nothing, drawn, first)) * -1)
    assert torch.equal(scheduler.add_noise(clean, drawn, later), plain[1])


def test_extra_noise_counts_in_the_scale_of_the_clean_sample() -> None:
    scheduler = build_scheduler("Euler", "Automatic", CONFIG, options=SamplerOptions(denoising=0.6))
    scheduler.set_timesteps(20)
    first, own = scheduler.timesteps[:1], latents(3)
    sigma = float(scheduler.sigmas[0])
    scheduler.beginning = Beginning(noise=(own,), multiplier=0.9, extra=0.3)
    assert torch.allclose(scheduler.add_noise(latents(1), own, first), latents(1) + own * 0.9 * (sigma + 0.3), atol=1e-5)


def test_noise_of_a_flow() -> None:
    scheduler = build_scheduler("Euler", "Automatic", FLOW, options=SamplerOptions(denoising=0.5))
    scheduler.set_timesteps(10)
    assert len(scheduler.timesteps) == 6
    share = float(scheduler.sigmas[0])
    assert 0.5 < share < 1
    scheduler.beginning = Beginning(noise=(latents(3), latents(3).view(1, -1, 2)))
    made = scheduler.scale_noise(latents(1), scheduler.timesteps[:1], latents(2))
    assert torch.allclose(made, (1 - share) * latents(1) + share * latents(3))
    tokens = scheduler.scale_noise(latents(1).view(1, -1, 2), scheduler.timesteps[:1], latents(2).view(1, -1, 2))
    assert torch.allclose(tokens.view_as(made), made)
    assert flow_sigma(0.5) == 1
    assert flow_sigma(1.0) == NEVER


@pytest.mark.parametrize(("sampler", "config"), [("Euler", CONFIG), ("UniPC", CONFIG), ("Euler", FLOW), ("Heun", FLOW), ("DPM++ 2M", FLOW)])
def test_every_scheduler_lets_the_clean_sample_be_changed(sampler: str, config: dict[str, Any]) -> None:
    """Whatever the model says, it ends at what was put in its place."""
    scheduler = build_scheduler(sampler, "Automatic", config, options=SamplerOptions(denoising=0.7))
    wanted = latents(1)
    scheduler.edit_clean = lambda clean, sigma: wanted
    scheduler.set_timesteps(12)
    adds = scheduler.scale_noise if "shift" in config else lambda clean, at, noise: scheduler.add_noise(clean, noise, at)
    x = adds(latents(4), scheduler.timesteps[:1], latents(2))
    for at in scheduler.timesteps:
        x = scheduler.step(latents(5), at, x, return_dict=False)[0]
    assert torch.allclose(x, wanted, atol=0.15 if sampler == "UniPC" and "shift" not in config else 1e-4)  # it ends at the lowest level


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(Folders.at(tmp_path_factory.mktemp("library")))


class Door:
    """Resolves requests over a store with three pictures."""

    def __init__(self, folders: Folders, library: Library) -> None:
        self.inputs, self._library, self._styles = Inputs(folders), library, Styles(folders.styles_file)
        self.small = self.inputs.put_picture(Image.new("RGB", (100, 60), "red"))
        self.other = self.inputs.put_picture(Image.new("RGB", (64, 64), "blue"))
        self.mask = self.inputs.put_picture(Image.new("L", (100, 60), 255))
        self.blank = self.inputs.put_picture(Image.new("L", (50, 50)))

    def ask(self, settings: Settings | None = None, **asked: Any) -> ResolvedRequest:
        request = GenerationRequest.from_data({"width": 128, "height": 128, **asked})
        return resolve(request, settings or Settings(), self._library, self._styles, self.inputs)

    def image(self, **asked: Any) -> Repaint:
        found = self.ask(init_images=[self.small], **asked).image
        assert found is not None
        return found


@pytest.fixture
def door(folders: Folders, library: Library) -> Door:
    return Door(folders, library)


def test_without_a_picture_it_is_txt2img(door: Door) -> None:
    resolved = door.ask(resize_mode=2, soft_inpainting=True)
    assert (resolved.image, resolved.denoising_strength, resolved.task) == (None, None, "txt2img")
    with pytest.raises(RequestFault, match="needs a picture") as caught:
        door.ask(mask=door.mask)
    assert caught.value.field == "mask"


def test_what_was_left_open_is_closed(door: Door) -> None:
    resolved = door.ask(init_images=[door.small])
    assert (resolved.task, resolved.denoising_strength, resolved.hires) == ("img2img", 0.75, None)
    assert door.ask(init_images=[door.small], denoising_strength=0.2).denoising_strength == 0.2
    assert door.image().initial_noise_multiplier is None
    assert door.image(image_cfg_scale=2.0).image_cfg_scale is None  # the model does not look at pictures
    assert door.ask(Settings(initial_noise_multiplier=0.8), init_images=[door.small]).image == dataclasses.replace(
        door.image(), initial_noise_multiplier=0.8
    )
    assert not door.image(soft_inpainting=True).soft_inpainting
    assert door.image(soft_inpainting=True, mask=door.mask).soft_inpainting


def test_a_job_row_brings_it_back(door: Door) -> None:
    resolved = door.ask(init_images=[door.small], mask=door.mask, inpaint_full_res=True)
    assert ResolvedRequest.from_data(resolved.to_data()) == resolved


@pytest.mark.parametrize(("scale", "size"), [(1.0, (96, 56)), (1.5, (144, 88)), (2.0, (200, 120))])
def test_the_size_as_a_factor_of_the_pictures(door: Door, scale: float, size: tuple[int, int]) -> None:
    resolved = door.ask(init_images=[door.small], scale_by=scale)
    assert (resolved.width, resolved.height) == size
    assert resolved.image is not None
    assert resolved.image.scale_by is None
    rounded = any("rounded down" in warning for warning in resolved.warnings)
    assert rounded == (size != (100 * scale, 60 * scale))


def test_how_many_pictures(door: Door) -> None:
    two = [door.small, door.other]
    assert door.ask(init_images=two, batch_size=3).batch_size == 2
    assert door.ask(init_images=two[:1], batch_size=3).batch_size == 3
    with pytest.raises(RequestFault, match="holds 2 pictures for a batch of 1"):
        door.ask(init_images=two)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"init_images": ["input:" + "0" * 64]}, "init_images"),
        ({"init_images": ["../secret.png"]}, "init_images"),
        ({"mask": "input:" + "0" * 64}, "mask"),
        ({"override_settings": {"img2img_background_color": "nothing"}}, "img2img_background_color"),
        ({"scale_by": 0.01}, "width"),
    ],
    ids=str,
)
def test_what_cannot_be_is_found_before_it_is_queued(door: Door, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestFault) as caught:
        door.ask(**{"init_images": [door.small], **asked})
    assert caught.value.field == field
    with pytest.raises(UnknownName):
        door.ask(init_images=[door.small], override_settings={"upscaler_for_img2img": "no such thing"})


def test_what_looks_wrong_is_said(door: Door) -> None:
    assert not door.ask(init_images=[door.small], mask=door.mask).warnings
    said = door.ask(init_images=[door.small], mask=door.blank).warnings
    assert any("another size" in text for text in said)
    assert any("nothing was painted" in text for text in said)
    assert any("whole picture" in text for text in door.ask(init_images=[door.small], mask=door.blank, inpaint_full_res=True).warnings)
    turned = door.ask(init_images=[door.small], mask=door.mask, inpainting_mask_invert=1).warnings
    assert any("blank" in text for text in turned)


def test_a_picture_that_went_meanwhile_is_asked_for_again(door: Door) -> None:
    Path(door.inputs.path(door.small)).unlink()
    with pytest.raises(RequestFault, match="send it again"):
        door.ask(init_images=[door.small])
