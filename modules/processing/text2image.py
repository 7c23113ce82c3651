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
from modules.processing.guidance import composed
from modules.processing.slot import LoadedModel
from modules.prompts.encode import Conditions, at_step
from modules.request import ResolvedRequest
from modules.samplers import SAMPLERS
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
    conditions = model.encoder.conditions(
        resolved.all_prompts[picked],
        resolved.all_negative_prompts[picked],
        resolved.steps * SAMPLERS.get(resolved.sampler_name).calls,
        pipeline._execution_device,
    )
    watch = _Watch(conditions, hooks, guided=resolved.cfg_scale > 1)
    with torch.inference_mode(), composed(pipeline.unet, watch.weights, watch.further_parts):
        output = pipeline(
            prompt_embeds=at_step(conditions.parts[0][1], 1),
            negative_prompt_embeds=at_step(conditions.negative, 1),
            height=resolved.height,
            width=resolved.width,
            num_inference_steps=resolved.steps,
            guidance_scale=resolved.cfg_scale,
            latents=first_noise(generators, shape).to(pipeline.unet.dtype),
            generator=generators,
            output_type="latent",
            callback_on_step_end=watch.on_step,
        )
    return output.images, watch.partial


class _Watch:
    """Follows a run through the pipeline's callback: progress, previews, the end asked for, and prompts that change."""

    def __init__(self, conditions: Conditions, hooks: StepHooks, *, guided: bool) -> None:
        self._conditions = conditions
        self._hooks = hooks
        self._guided = guided
        self._call = 1
        self.partial = False
        # without guidance the pipeline asks about the prompt alone, and there is nothing to add AND parts to
        self.weights = [weight for weight, _ in conditions.parts] if guided else [1.0]

    def further_parts(self) -> list[torch.Tensor]:
        """The second and later AND parts at the present step."""
        return [at_step(stretches, self._call) for _, stretches in self._conditions.parts[1:]]

    def on_step(self, pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        total = pipe.num_timesteps
        self._hooks.step(index + 1, total)
        clean = pipe.scheduler.clean
        latents = clean if clean is not None else tensors["latents"]
        if index + 1 < total and self._hooks.stop():
            pipe._interrupt = True  # diffusers' own way to end a run: the remaining steps are passed over
            self.partial = True
            return {"latents": latents}
        if self._hooks.preview is not None:
            self._hooks.preview(latents)
        self._call = index + 2
        return {"prompt_embeds": self._embeds()} if self._conditions.changes else {}

    def _embeds(self) -> torch.Tensor:
        """What the pipeline's loop calls prompt_embeds: the negative half first when it guides."""
        prompt = at_step(self._conditions.parts[0][1], self._call)
        return torch.cat([at_step(self._conditions.negative, self._call), prompt]) if self._guided else prompt


def decode(model: LoadedModel, latents: torch.Tensor) -> list[Image.Image]:
    """RGB pictures from latents (B, C, h, w), through the model's VAE. Raises BlankPicture on NaN or infinity."""
    vae = model.pipeline.vae
    with torch.inference_mode():
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
    if not bool(torch.isfinite(pixels).all()):
        raise BlankPicture(f"The VAE of {model.checkpoint.model_name} produced values that are not numbers. Start with --no-half-vae.")
    return model.pipeline.image_processor.postprocess(pixels, output_type="pil")
