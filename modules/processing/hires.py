"""The hires pass: what the first pass made is enlarged, as a latent or as a picture, and painted over at the larger size.

Knows the order of things; enlarging lies in `modules.upscale`, the run in `modules.processing.sampling`. Start reading at `second`.
Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from modules.faults import Cancelled
from modules.processing.control import Controls
from modules.processing.control import prepared as prepared_control
from modules.processing.latent import as_pixels, to_latent
from modules.processing.passes import Begin, Sampled, StepHooks, first_pass
from modules.processing.refiner import refiner_of
from modules.processing.sampling import sample
from modules.processing.slot import LoadedModel
from modules.processing.style import prepared
from modules.processing.tools import Tools, Wanted
from modules.request import HiresPass, ResolvedRequest
from modules.samplers import SAMPLERS
from modules.upscale.enlarge import Upscaling, enlarge_to
from modules.upscale.latent import resize_latent
from modules.upscale.network import Watch
from modules.upscale.table import LATENT_MODES

SUFFIX = "-before-highres-fix"


@dataclass(frozen=True, kw_only=True)
class First:
    """What the hires pass begins with: latents (B, C, h, w) in the network's scale with the model that made them, or pictures."""

    sampled: Sampled | None = None
    images: Sequence[Image.Image] = ()


def in_two(hooks: StepHooks, resolved: ResolvedRequest) -> tuple[StepHooks, StepHooks]:
    """Hooks for the first and the second pass, whose steps count as those of one run. The first is left out when a picture replaces it."""
    hires = resolved.hires
    if hires is None:
        return hooks, hooks
    first = 0 if hires.first_picture else calls(resolved.sampler_name, resolved.steps)
    second = calls(hires.sampler_name, hires.steps)
    return (
        dataclasses.replace(hooks, step=lambda done, total: hooks.step(round(done / total * first), first + second)),
        dataclasses.replace(hooks, step=lambda done, total: hooks.step(first + round(done / total * second), first + second)),
    )


def calls(sampler_name: str, steps: int) -> int:
    """Network calls of a run of so many steps."""
    return steps * SAMPLERS.get(sampler_name).calls


def view(resolved: ResolvedRequest, hires: HiresPass) -> ResolvedRequest:
    """The request as the second pass sees it: its own checkpoint, size, sampler and prompts in place of the first one's."""
    return dataclasses.replace(
        resolved,
        checkpoint=hires.checkpoint or resolved.checkpoint,
        vae=hires.vae,
        parts=hires.parts,
        networks=hires.networks,
        distilled_cfg_scale=hires.distilled_cfg_scale,
        sampling=hires.sampling,
        width=hires.width,
        height=hires.height,
        steps=hires.steps,
        sampler_name=hires.sampler_name,
        scheduler=hires.scheduler,
        cfg_scale=hires.cfg_scale,
        all_prompts=hires.all_prompts,
        all_negative_prompts=hires.all_negative_prompts,
    )


def given(resolved: ResolvedRequest, hires: HiresPass, tools: Tools) -> list[Image.Image]:
    """The input picture that takes the first pass's place, once for each of a batch, at the first pass's size. Raises RequestFault."""
    picture = tools.open(hires.first_picture or "").convert("RGB")
    size = (resolved.width, resolved.height)
    return [picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)] * resolved.batch_size


@dataclass(kw_only=True)
class Found:
    """What the second pass was made with, for those who finish its pictures."""

    control: Controls | None = None


def second(
    resolved: ResolvedRequest, batch_no: int, first: First, hooks: StepHooks, tools: Tools, found: Found | None = None
) -> Sampled | None:
    """Latents of the second pass, and the model that made them; None when it was ended while the pictures were enlarged.

    first: with images for an image upscaler, with latents for a latent mode, unless a picture takes the first pass's place.
    found: takes what it was made with.
    Raises RequestFault, ModelFault, BlankPicture.
    """
    hires, notes = resolved.hires, list[str]()
    if hires is None:
        raise ValueError("there is no hires pass")
    seen = view(resolved, hires)
    if hires.upscaler in LATENT_MODES:
        model = tools.take(Wanted.first(seen))
        latents = _latents(model, first.images) if first.sampled is None else first.sampled.latents
        begin = _larger_latents(latents, hires, model)
    else:
        try:
            images = _larger_images(first.images, hires, dataclasses.replace(tools.upscaling(), watch=Watch(stopped=hooks.stop)), notes)
        except Cancelled:
            return None
        model = tools.take(Wanted.first(seen))
        begin = _latents(model, images)
    if hires.denoising_strength == 0:
        return Sampled(latents=begin, partial=False, warnings=tuple(notes), learnt={}, model=model)
    units = prepared_control(seen, model, (hires.width, hires.height), tools, second=True)
    if found is not None:
        found.control = units
    run = dataclasses.replace(
        first_pass(seen, batch_no),
        control=units,
        task="img2img",
        first_steps=calls(resolved.sampler_name, resolved.steps),
        begin=Begin(image=begin, denoising=hires.denoising_strength, exact_steps=True),
        refiner=refiner_of(seen, "second pass", tools),
        style=prepared(seen, tools.open, model.family.architecture),
    )
    sampled = sample(model, seen, run, hooks)
    return dataclasses.replace(sampled, warnings=(*notes, *sampled.warnings))


def _larger_latents(latents: torch.Tensor, hires: HiresPass, model: LoadedModel) -> torch.Tensor:
    """Enlarged to cover, then cut around the middle; all in whole cells."""
    cell = model.pipeline.vae_scale_factor
    larger = resize_latent(latents, (hires.to_px[0] // cell, hires.to_px[1] // cell), hires.upscaler)
    width, height = hires.width // cell, hires.height // cell
    left, top = (larger.shape[-1] - width) // 2, (larger.shape[-2] - height) // 2
    return larger[..., top : top + height, left : left + width].contiguous()


def _larger_images(images: Sequence[Image.Image], hires: HiresPass, upscaling: Upscaling, notes: list[str]) -> list[Image.Image]:
    """The same for pictures, in pixels. notes: takes what a person should know. Raises Cancelled."""
    left, top = (hires.to_px[0] - hires.width) // 2, (hires.to_px[1] - hires.height) // 2
    box = (left, top, left + hires.width, top + hires.height)
    larger = [enlarge_to(image, hires.to_px, hires.upscaler, upscaling) for image in images]
    notes += dict.fromkeys(note for one in larger for note in one.notes)
    return [one.image.crop(box) for one in larger]


def _latents(model: LoadedModel, images: Sequence[Image.Image]) -> torch.Tensor:
    """(B, C, h, w) in the network's scale, encoded one by one."""
    return torch.cat([to_latent(model.pipeline.vae, as_pixels(image, model.pipeline)) for image in images])
