"""Stage 3: one batch through the diffusers pipeline, and from latents to pictures.

The pipeline is called as anyone would call it; the result equals that plain call bit for bit. Steps are followed through
the pipeline's own callback. Start reading at `make_batch`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image

from modules.faults import BlankPicture
from modules.processing.slot import LoadedModel
from modules.request import ResolvedRequest
from modules.samplers.build import build_scheduler, first_noise, seeded


@dataclass(frozen=True, kw_only=True)
class StepHooks:
    """How a batch reports and is stopped. stop(): end at this step; step(done, total); preview(clean latents) or None."""

    stop: Callable[[], bool]
    step: Callable[[int, int], None]
    preview: Callable[[torch.Tensor], None] | None = None


@dataclass(kw_only=True)
class Batch:
    """The pictures of a batch. partial: stopped before its last step. seconds: time in the sampler and in the decoder."""

    images: list[Image.Image]
    partial: bool = False
    seconds: dict[str, float] = field(default_factory=dict[str, float])


def make_batch(model: LoadedModel, resolved: ResolvedRequest, batch_no: int, hooks: StepHooks) -> Batch:
    """Pictures batch_no * batch_size ... of the request. Raises BlankPicture when the model gave NaN or infinity."""
    began = time.perf_counter()
    latents, partial = _sample(model, resolved, batch_no, hooks)
    sampled = time.perf_counter()
    if not bool(torch.isfinite(latents).all()):
        raise BlankPicture(
            f"{model.checkpoint.model_name} produced values that are not numbers, so there is no picture. Try another sampler, "
            "or start with --no-half."
        )
    images = decode(model, latents)
    return Batch(images=images, partial=partial, seconds={"sample": sampled - began, "decode": time.perf_counter() - sampled})


def _sample(model: LoadedModel, resolved: ResolvedRequest, batch_no: int, hooks: StepHooks) -> tuple[torch.Tensor, bool]:
    """(latents (B, C, h, w), they are of an interrupted run)."""
    pipeline, size = model.pipeline, resolved.batch_size
    picked = slice(batch_no * size, (batch_no + 1) * size)
    pipeline.scheduler = build_scheduler(resolved.sampler_name, resolved.scheduler, model.scheduler_config)
    generators = seeded(resolved.all_seeds[picked])
    cell = model.family.cell_px
    shape = (pipeline.unet.config.in_channels, resolved.height // cell, resolved.width // cell)
    partial = False

    def on_step(pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal partial
        total = pipe.num_timesteps
        hooks.step(index + 1, total)
        clean = pipe.scheduler.clean
        if index + 1 < total and hooks.stop():
            pipe._interrupt = True  # the documented way to end a diffusers run: the remaining steps are passed over
            partial = True
            return {"latents": clean if clean is not None else tensors["latents"]}
        if hooks.preview is not None:
            hooks.preview(clean if clean is not None else tensors["latents"])
        return {}

    with torch.inference_mode():
        output = pipeline(
            prompt=list(resolved.all_prompts[picked]),
            negative_prompt=list(resolved.all_negative_prompts[picked]),
            height=resolved.height,
            width=resolved.width,
            num_inference_steps=resolved.steps,
            guidance_scale=resolved.cfg_scale,
            latents=first_noise(generators, shape).to(pipeline.unet.dtype),
            generator=generators,
            output_type="latent",
            callback_on_step_end=on_step,
        )
    return output.images, partial


def decode(model: LoadedModel, latents: torch.Tensor) -> list[Image.Image]:
    """RGB pictures from latents (B, C, h, w), through the model's VAE. Raises BlankPicture on NaN or infinity."""
    vae = model.pipeline.vae
    with torch.inference_mode():
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
    if not bool(torch.isfinite(pixels).all()):
        raise BlankPicture(f"The VAE of {model.checkpoint.model_name} produced values that are not numbers. Start with --no-half-vae.")
    return model.pipeline.image_processor.postprocess(pixels, output_type="pil")
