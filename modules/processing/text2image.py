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

from modules.faults import BlankPicture, RequestFault
from modules.processing.calls import Start, call_of
from modules.processing.guidance import Part, composed
from modules.processing.latent import packed, tiny_pixels, to_pixels, unpacked
from modules.processing.slot import LoadedModel
from modules.prompts.encode import Conditions, at_step
from modules.prompts.networks import take_networks
from modules.request import ResolvedRequest
from modules.samplers import SAMPLERS
from modules.samplers.build import build_scheduler, first_noise, is_flow, left_out, seeded
from modules.samplers.guided import without_prompt_kept


@dataclass(frozen=True, kw_only=True)
class StepHooks:
    """How a batch reports and is stopped. stop(): end at this step; step(done, total); preview(clean latents) or None."""

    stop: Callable[[], bool]
    step: Callable[[int, int], None]
    preview: Callable[[torch.Tensor], None] | None = None


@dataclass(kw_only=True)
class Batch:
    """The pictures of a batch. partial: stopped before its last step. seconds: time in the sampler and in the decoder.

    warnings: what did not go as asked; learnt: name -> sha256 of the embeddings that took part.
    """

    images: list[Image.Image]
    partial: bool = False
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    warnings: list[str] = field(default_factory=list[str])
    learnt: dict[str, str] = field(default_factory=dict[str, str])


def make_batch(model: LoadedModel, resolved: ResolvedRequest, batch_no: int, hooks: StepHooks) -> Batch:
    """Pictures batch_no * batch_size ... of the request.

    Raises RequestFault when the size is beyond the model, BlankPicture when it gave NaN or infinity.
    """
    began = time.perf_counter()
    _check_size(model, resolved)
    run = _Run(model, resolved, batch_no, hooks)
    latents = run.sample()
    sampled = time.perf_counter()
    if not bool(torch.isfinite(latents).all()):
        raise BlankPicture(
            f"{model.checkpoint.model_name} produced values that are not numbers, so there is no picture. Try another sampler, "
            "or start with --no-half."
        )
    images, retried = decode(model, latents, model.tiny(resolved.tiny))
    if retried:
        run.warnings.append("The VAE produced values that are not numbers; the picture was decoded again in float32.")
    return Batch(
        images=images,
        partial=run.partial,
        seconds={"sample": sampled - began, "decode": time.perf_counter() - sampled},
        warnings=run.warnings,
        learnt={embedding.name: embedding.sha256 for embedding in run.conditions.learnt},
    )


def _check_size(model: LoadedModel, resolved: ResolvedRequest) -> None:
    """Some transformers have places for so many patches and no more."""
    network: Any = getattr(model.pipeline, call_of(model.pipeline).network)
    most = network.config.get("pos_embed_max_size")
    if most is None:
        return
    limit = most * network.config.patch_size * model.pipeline.vae_scale_factor
    for name, side in (("width", resolved.width), ("height", resolved.height)):
        if side > limit:
            raise RequestFault(name, f"can be at most {limit} for {model.checkpoint.model_name}", got=side, allowed=limit)


class _Ended(Exception):
    """Raised inside a run that knows no other way to end early. Holds the latents."""


class _Run:
    """One batch on its way through the pipeline: the call itself, and what its callback does meanwhile.

    That is progress, previews, the end asked for, and prompts that change.
    """

    def __init__(self, model: LoadedModel, resolved: ResolvedRequest, batch_no: int, hooks: StepHooks) -> None:
        self._pipeline = model.pipeline
        self._resolved = resolved
        self._hooks = hooks
        self._call = call_of(model.pipeline)
        self._network = getattr(model.pipeline, self._call.network)
        self._row = SAMPLERS.get(resolved.sampler_name)
        self._guided = resolved.cfg_scale > 1 and self._network.config.get("time_cond_proj_dim") is None
        self._generators = seeded(resolved.all_seeds[batch_no * resolved.batch_size : (batch_no + 1) * resolved.batch_size])
        self._cells = (resolved.height // model.pipeline.vae_scale_factor, resolved.width // model.pipeline.vae_scale_factor)
        self._call_no = 1
        self.partial = False
        self.conditions = self._encode(model, batch_no)
        self.warnings = [*self.conditions.notes, *self._left_out(model)]
        model.pipeline.scheduler = build_scheduler(resolved.sampler_name, resolved.scheduler, model.scheduler_config)
        if is_flow(model.scheduler_config):  # their pipelines do not hand generators on
            model.pipeline.scheduler.generators = self._generators

    def _encode(self, model: LoadedModel, batch_no: int) -> Conditions:
        resolved, size = self._resolved, self._resolved.batch_size
        picked = slice(batch_no * size, (batch_no + 1) * size)
        return model.encoder.conditions(
            [take_networks(prompt)[0] for prompt in resolved.all_prompts[picked]],
            resolved.all_negative_prompts[picked],
            resolved.steps * self._row.calls,
            self._pipeline._execution_device,
            skip=int(resolved.settings.get("CLIP_stop_at_last_layers", 1)),
        )

    def _left_out(self, model: LoadedModel) -> list[str]:
        """What was asked for and this pipeline cannot do, in sentences."""
        found = [left_out(self._resolved.sampler_name, model.scheduler_config)]
        name = model.checkpoint.model_name
        if len(self.conditions.parts) > 1 and not self._call.composes:
            found.append(f"{name} cannot join prompts with AND; only the first part counted.")
        if model.encoder.lacks_long:
            found.append(model.family.optional_note)
        if self.conditions.changes and not self._call.live:
            found.append(f"{name} cannot change its prompt between steps; the first form was kept.")
        elif len(self.conditions.negative) > 1 and "negative" not in self._call.rows:
            found.append(f"{name} cannot change its negative prompt between steps; the first form was kept.")
        if self._resolved.settings.get("CLIP_stop_at_last_layers", 1) > 1 and not self._call.text.skips:
            found.append(f"Clip skip has no effect on {name}.")
        return [text for text in found if text]

    def sample(self) -> torch.Tensor:
        """Latents (B, C, h, w) in the network's scale."""
        try:
            with (
                torch.inference_mode(),
                composed(self._network, self._weights(), self._further_parts),
                without_prompt_kept(self._network, self._pipeline.scheduler, cfgpp=self._row.cfgpp, guided=self._guided),
            ):
                latents = self._pipeline(**self._arguments()).images
        except _Ended as ended:
            [latents] = ended.args
            self._pipeline.maybe_free_model_hooks()
        return self._unpacked(latents)

    def _arguments(self) -> dict[str, Any]:
        call, resolved = self._call, self._resolved
        channels = self._pipeline.vae.config.latent_channels
        noise = first_noise(self._generators, (channels, *self._cells)).to(self._network.dtype)
        further = call.further(
            Start(pipeline=self._pipeline, noise=noise, width=resolved.width, height=resolved.height, steps=resolved.steps)
        )
        return {
            **self._texts(),
            "num_inference_steps": resolved.steps,
            call.scale: resolved.cfg_scale,
            "latents": packed(noise) if call.packed else noise,
            "generator": self._generators,
            "output_type": "latent",
            call.steps_reported: self.on_step if call.live else self._on_bare_step,
            **({call.distilled: resolved.distilled_cfg_scale} if call.distilled and resolved.distilled_cfg_scale is not None else {}),
            **({"height": resolved.height, "width": resolved.width} if call.sized else {}),
            **further,
        }

    def _texts(self) -> dict[str, torch.Tensor]:
        first = {"prompt_embeds": at_step(self.conditions.parts[0][1], 1), "negative_prompt_embeds": at_step(self.conditions.negative, 1)}
        pooled = self.conditions.pooled
        if pooled is not None:
            first["pooled_prompt_embeds"] = at_step(pooled.parts[0][1], 1)
            first["negative_pooled_prompt_embeds"] = at_step(pooled.negative, 1)
        return first

    def _weights(self) -> list[float]:
        """Of the AND parts that the network is asked about; without guidance there is nothing to add them to."""
        return [weight for weight, _ in self.conditions.parts] if self._guided and self._call.composes else [1.0]

    def _further_parts(self) -> list[Part]:
        """The second and later AND parts at the present step."""
        words = [at_step(stretches, self._call_no) for _, stretches in self.conditions.parts[1:]]
        pooled = self.conditions.pooled
        if pooled is None:
            return [(text, None) for text in words]
        return list(zip(words, [at_step(stretches, self._call_no) for _, stretches in pooled.parts[1:]], strict=True))

    def on_step(self, pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        total = pipe.num_timesteps
        open_end = getattr(pipe.scheduler, "open_end", False)
        self._hooks.step(round(pipe.scheduler.fraction_done * total) if open_end else index + 1, total)
        clean = pipe.scheduler.clean
        latents = clean if clean is not None else tensors["latents"]
        if index + 1 < total and self._hooks.stop():
            self.partial = True
            if not hasattr(pipe, "interrupt"):
                raise _Ended(latents)
            pipe._interrupt = True  # diffusers' own way to end a run: the remaining steps are passed over
            return {"latents": latents}
        if self._hooks.preview is not None:
            self._hooks.preview(self._unpacked(latents))
        self._call_no = index + 2
        return self._changed() if self.conditions.changes else {}

    def _on_bare_step(self, index: int, timestep: Any, latents: torch.Tensor) -> None:
        """For a pipeline that tells less and takes nothing back."""
        self.on_step(_Told(self._pipeline.scheduler), index, timestep, {"latents": latents})

    def _changed(self) -> dict[str, Any]:
        """The texts of the next step, under the names and in the order of the pipeline's loop."""
        found: dict[str, Any] = {}
        for name, conditions in zip(self._call.live, (self.conditions, self.conditions.pooled), strict=False):
            if conditions is not None:
                halves = {"prompt": at_step(conditions.parts[0][1], self._call_no), "negative": at_step(conditions.negative, self._call_no)}
                found[name] = torch.cat([halves[row] for row in (self._call.rows if self._guided else ("prompt",))])
        return found

    def _unpacked(self, latents: torch.Tensor) -> torch.Tensor:
        return unpacked(latents, *self._cells) if self._call.packed else latents


@dataclass(frozen=True)
class _Told:
    """What `_Run.on_step` looks at, of a pipeline that does not offer it."""

    scheduler: Any

    @property
    def num_timesteps(self) -> int:
        return len(self.scheduler.timesteps)


def decode(model: LoadedModel, latents: torch.Tensor, tiny: Any = None) -> tuple[list[Image.Image], bool]:
    """(RGB pictures from latents (B, C, h, w), they took a second try in float32). tiny: decodes instead of the VAE.

    Raises BlankPicture on NaN or infinity.
    """
    pixels, retried = to_pixels(model.pipeline.vae, latents) if tiny is None else (tiny_pixels(tiny, latents), False)
    if not bool(torch.isfinite(pixels).all()):
        raise BlankPicture(f"The VAE of {model.checkpoint.model_name} produced values that are not numbers. Start with --no-half-vae.")
    return model.pipeline.image_processor.postprocess(pixels, output_type="pil"), retried
