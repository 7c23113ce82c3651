"""Stage 3: one call of the diffusers pipeline: from noise, or from a picture's latent, to latents.

The pipeline is called as anyone would call it; the result equals that plain call bit for bit. Steps are followed through
the pipeline's own callback. Knows nothing about what comes before or after a call. Start reading at `sample`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch

from modules.backends.tuning import tuned
from modules.control.controlling import marked
from modules.faults import BlankPicture
from modules.hooks import Call, Step
from modules.processing.backed import backed
from modules.processing.calls import IMAGE_SCALE, Start, call_of, check_size
from modules.processing.control import Pictures, Worn, beside, moment_of
from modules.processing.guidance import Part, composed
from modules.processing.latent import as_pixels, packed, to_latent, unpacked, unscaled
from modules.processing.listening import heard
from modules.processing.options import sampler_options
from modules.processing.passes import BareSteps, Pass, Sampled, StepHooks, joined, singles, steps_run
from modules.processing.refiner import Host, kept_on, refined
from modules.processing.slot import LoadedModel
from modules.processing.uneven import filling_unheard
from modules.prompts.encode import Conditions, at_step
from modules.prompts.networks import take_networks
from modules.prompts.reading import Reading
from modules.request import ResolvedRequest
from modules.samplers import SAMPLERS
from modules.samplers.beginning import Beginning
from modules.samplers.build import build_scheduler, is_flow, left_out
from modules.samplers.guided import without_prompt_kept
from modules.steering.course import Context
from modules.steering.steer import Steer, steered


def sample(model: LoadedModel, resolved: ResolvedRequest, run: Pass, hooks: StepHooks) -> Sampled:
    """Latents of one run. Pictures of a sampler whose steps depend on the whole batch are made one at a time.

    Raises RequestFault when the size is beyond the model, BlankPicture when it gave NaN or infinity.
    """
    if len(run.seeds) > 1 and not SAMPLERS.get(run.sampler_name).together:
        home = run.refiner.home if run.refiner is not None else lambda: model
        return joined([sample(home(), resolved, one, hooks) for one in singles(run)])
    check_size(model.pipeline, run.width, run.height, model.checkpoint.model_name)
    pipeline_run = _Run(model, resolved, run, hooks)
    latents = pipeline_run.sample()
    if not bool(torch.isfinite(latents).all()):
        raise BlankPicture(
            f"{model.checkpoint.model_name} produced values that are not numbers, so there is no picture. Try another sampler, "
            "or start with --no-half."
        )
    learnt = {embedding.name: embedding.sha256 for embedding in pipeline_run.learnt}
    warnings = tuple(dict.fromkeys(pipeline_run.warnings))
    return Sampled(
        latents=latents,
        partial=pipeline_run.partial,
        warnings=warnings,
        learnt=learnt,
        model=pipeline_run.in_hand,
        infotext=pipeline_run.infotext,
    )


class _Ended(Exception):
    """Raised inside a run that knows no other way to end early. Holds the latents."""


class _Run:
    """One batch on its way through the pipeline: the call itself, and what its callback does meanwhile.

    That is progress, previews, the end asked for, and prompts that change.
    """

    def __init__(self, model: LoadedModel, resolved: ResolvedRequest, run: Pass, hooks: StepHooks) -> None:
        self._model = model
        self._pipeline = model.for_task(run.task)
        self._resolved = resolved
        self._run = run
        self._hooks = hooks
        self._call = call_of(self._pipeline)
        self._network = getattr(self._pipeline, self._call.network)
        self._row = SAMPLERS.get(run.sampler_name)
        self._guided = run.cfg_scale > 1 and self._network.config.get("time_cond_proj_dim") is None
        self._cells = (run.height // self._pipeline.vae_scale_factor, run.width // self._pipeline.vae_scale_factor)
        self._call_no = 1
        self._worn: Worn | None = None
        self.partial = False
        self.in_hand = model
        self.infotext: dict[str, object] = {}
        self._device: Any = self._pipeline._execution_device  # once a run: it is found by a walk through all modules
        self.conditions = self._encode(model)
        self.learnt = list(self.conditions.learnt)
        begin: dict[str, Any] = {} if run.begin is None else {"denoising": run.begin.denoising, "exact_steps": run.begin.exact_steps}
        options = sampler_options(resolved, run.seeds, model.family.architecture, **begin)
        self.warnings = [*self.conditions.notes, *self._left_out(options)]
        self._scheduler: Any = run.rising or build_scheduler(
            run.sampler_name, run.scheduler, model.scheduler_config, options=options, device=self._device
        )
        self._pipeline.scheduler = self._scheduler
        if run.begin is not None and run.begin.blend is not None:
            self._scheduler.edit_clean = self._blended

    def _encode(self, model: LoadedModel) -> Conditions:
        """The prompts as a model reads them."""
        resolved, run = self._resolved, self._run
        return model.encoder.conditions(
            [take_networks(prompt)[0] for prompt in run.prompts],
            run.negative_prompts,
            steps_run(run, flow=is_flow(model.scheduler_config)) * self._row.calls,
            self._device,
            skip=int(resolved.settings.get("CLIP_stop_at_last_layers", 1)),
            first_pass=run.first_steps,
            reading=Reading.of(resolved.settings),
        )

    def _left_out(self, options: Any) -> list[str]:
        """What was asked for and this pipeline cannot do, in sentences."""
        model = self._model
        found = [left_out(self._run.sampler_name, model.scheduler_config, options)]
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
        notes: list[str] = []
        try:
            with (
                torch.inference_mode(),
                self._tuned(self._model, notes),
                backed(self._model, self._network, self._resolved.settings, notes, self.infotext),
                self._styled() as worn,
                self._controlled() as controlling,
                refined(self._network, self._run.refiner, self._host(notes)),
                self._steered(notes) as steer,
                composed(self._network, self._weights(), self._further_parts),
                marked(self._network, self._marks()),
                without_prompt_kept(self._network, self._scheduler, cfgpp=self._row.cfgpp, guided=self._guided),
                steer.guiding(),
                filling_unheard(self._network, self._lengths()),
                heard(self._network, self._hooks.guests, self._run.steps * self._row.calls),
            ):
                stage = "hires" if self._run.first_steps is not None else self._resolved.task
                call = Call(stage=stage, steps=self._run.steps, arguments=self._arguments())
                latents = self._pipeline(**self._hooks.guests.pass_on("before_call", call).arguments, **worn, **controlling).images
        except _Ended as ended:
            [latents] = ended.args
            self._pipeline.maybe_free_model_hooks()
        self.warnings += notes
        return self._unpacked(latents)

    def _tuned(self, model: LoadedModel, notes: list[str]) -> AbstractContextManager[None]:
        """torch computes as the settings say."""
        network = getattr(model.pipeline, call_of(model.pipeline).network)
        return tuned(model.plan.device[0], network, model.pipeline.vae, self._resolved.settings, notes)

    def _styled(self) -> AbstractContextManager[dict[str, Any]]:
        """Another picture's look, if one is asked for; yields arguments of the call."""
        style, run = self._run.style, self._run
        if style is None:
            return nullcontext({})
        return style.wearing(self._pipeline, self._network, self._model.scheduler_config, self._cells, run.seeds[0])

    @contextmanager
    def _controlled(self) -> Iterator[dict[str, Any]]:
        """The ControlNet units of the run, if there are any; yields arguments of the call."""
        control = self._run.control
        if control is None:
            yield {}
            return
        with control.wearing(
            self._pictures(), self._model.scheduler_config, lambda: moment_of(self._pipeline, self._call_no)
        ) as self._worn:
            yield self._worn.arguments

    def _pictures(self) -> Pictures:
        return Pictures(
            pipeline=self._pipeline,
            network=self._network,
            cells=self._cells,
            seeds=self._run.seeds,
            rows=self._call.rows,
            guided=self._guided,
            every_row=self._resolved.steering.pag_scale > 0,
        )

    def _marks(self) -> tuple[str, ...] | None:
        return None if self._run.control is None else self._run.control.marks(self._pictures())

    @contextmanager
    def _taken_over(self, refiner: LoadedModel, notes: list[str]) -> Iterator[None]:
        """Inside, a refiner that has taken over is steered as far as it goes."""
        network = getattr(refiner.pipeline, call_of(refiner.pipeline).network)
        with (
            self._tuned(refiner, notes),
            backed(refiner, network, self._resolved.settings, notes, self.infotext),
            beside(self._worn, refiner, network, notes),
            kept_on(refiner, self._resolved.steering, self._context(), notes),
        ):
            yield

    @contextmanager
    def _steered(self, notes: list[str]) -> Iterator[Steer]:
        """notes: takes what is to be said when the call is over, however it ended."""
        steer: Steer | None = None
        try:
            with steered(self._pipeline, self._resolved.steering, self._context()) as steer:
                yield steer
        finally:
            if steer is not None:
                notes += steer.notes
                self.infotext |= steer.infotext

    def _context(self) -> Context:
        run, resolved = self._run, self._resolved
        image = resolved.image
        return Context(
            name=self._model.checkpoint.model_name,
            architecture=self._model.family.architecture,
            network=self._call.network,
            rows=self._call.rows,
            guided=self._guided,
            cfg_scale=run.cfg_scale,
            image_cfg_scale=image.image_cfg_scale if image is not None and image.image_cfg_scale is not None else IMAGE_SCALE,
            weights=tuple(self._weights()),
            cfgpp=self._row.cfgpp,
            seeds=run.seeds,
            stage="hires" if run.first_steps is not None else resolved.task,
            settings=resolved.settings,
            overrides=resolved.overrides,
            s_min_uncond=resolved.sampling.s_min_uncond,
            looked_at=run.style is not None or (run.control is not None and run.control.looks),
            controlled=run.control is not None,
        )

    def _host(self, notes: list[str]) -> Host:
        rows = self._call.rows if self._guided else ("prompt",)
        if self._weights() != [1.0]:
            rows = ("negative", *["prompt"] * len(self.conditions.parts))
        return Host(
            pipeline=self._pipeline,
            scheduler_config=self._model.scheduler_config,
            own=self.conditions,
            read=self._read_by,
            call_no=lambda: self._call_no,
            rows=rows,
            tokens=self._cells[0] * self._cells[1] // 4,
            around=lambda refiner: self._taken_over(refiner, notes),
        )

    def _read_by(self, refiner: LoadedModel) -> Conditions:
        """The refiner has taken over; this is what it reads."""
        check_size(refiner.pipeline, self._run.width, self._run.height, refiner.checkpoint.model_name)
        self.in_hand = refiner
        found = self._encode(refiner)
        self.warnings += [*found.notes, *(self._run.refiner.notes if self._run.refiner is not None else ())]
        self.learnt += found.learnt
        return found

    def _first_noise(self) -> torch.Tensor:
        """(B, C, h, w), float32, on the CPU; row i is drawn from seed i alone."""
        resolved = self._resolved
        known = resolved.seed_resize_from
        factor = self._pipeline.vae_scale_factor
        return self._scheduler.noise.first(
            (self._pipeline.vae.config.latent_channels, *self._cells),
            subseeds=self._run.subseeds,
            subseed_strength=resolved.subseed_strength,
            resize_from=None if known is None else (known[1] // factor, known[0] // factor),
        )

    def _arguments(self) -> dict[str, Any]:
        call, run = self._call, self._run
        distilled = self._resolved.distilled_cfg_scale
        return {
            **self._texts(),
            "num_inference_steps": run.steps,
            call.scale: run.cfg_scale,
            "generator": None if run.rising is not None else self._scheduler.noise.generators,
            "output_type": "latent",
            call.steps_reported: self.on_step if call.live else self._on_bare_step,
            **({call.distilled: distilled} if call.distilled and distilled is not None else {}),
            **({"height": run.height, "width": run.width} if call.sized else {}),
            **self._start(),
        }

    def _start(self) -> dict[str, Any]:
        """What the call begins with. The noise of a run from pictures is added by the scheduler, whatever the pipeline draws."""
        run, begin = self._run, self._run.begin
        if run.from_latents is not None:
            return {"latents": run.from_latents.to(self._device, self._network.dtype)}
        noise = self._first_noise()
        if begin is not None and begin.found is not None:
            noise = begin.found.mixed(noise)
        noise = noise.to(self._network.dtype)
        tokens = packed(noise) if self._call.packed else None
        start = Start(pipeline=self._pipeline, noise=noise, tokens=tokens, width=run.width, height=run.height, steps=run.steps)
        if begin is None:
            return self._call.start(start)
        image = begin.image
        if isinstance(image, list):
            image = torch.cat([to_latent(self._pipeline.vae, as_pixels(picture, self._pipeline)) for picture in image])
        layouts = (noise,) if tokens is None else (noise, tokens)
        self._scheduler.beginning = Beginning(noise=layouts, multiplier=begin.noise_multiplier, extra=begin.extra_noise)
        if run.style is not None and run.first_steps is None:
            image = run.style.coloured(image, self._pipeline)
        image = image.to(self._device, self._network.dtype)
        drawn = [torch.Generator("cpu").manual_seed(seed) for seed in run.seeds]
        start = replace(start, image=image, seen=unscaled(self._pipeline.vae, image), mask=begin.mask, more=begin.more)
        return {**self._call.start(start), "generator": drawn}

    def _blended(self, clean: torch.Tensor, sigma: float) -> torch.Tensor:
        """A predicted clean latent with what is to be kept put in."""
        blend: Any = self._run.begin and self._run.begin.blend
        return packed(blend(self._unpacked(clean), sigma)) if self._call.packed else blend(clean, sigma)

    def _texts(self) -> dict[str, torch.Tensor]:
        first = {"prompt_embeds": at_step(self.conditions.parts[0][1], 1), "negative_prompt_embeds": at_step(self.conditions.negative, 1)}
        pooled = self.conditions.pooled
        if pooled is not None:
            first["pooled_prompt_embeds"] = at_step(pooled.parts[0][1], 1)
            first["negative_pooled_prompt_embeds"] = at_step(pooled.negative, 1)
        return first

    def _lengths(self) -> tuple[int, ...]:
        """How many tokens count of the texts of each share of the rows; none where the filling counts."""
        if not self._guided or Reading.of(self._resolved.settings).pad or self._call.rows == ("prompt",):
            return ()
        own: dict[str, int] = dict(zip(("prompt", "negative"), self.conditions.tokens, strict=True))
        return tuple(own[row] for row in self._call.rows)

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
        return {**self._shown(index, total, clean, tensors), **(self._changed() if self.conditions.changes else {})}

    def _shown(self, index: int, total: int, clean: torch.Tensor | None, tensors: dict[str, Any]) -> dict[str, Any]:
        """The step as guests leave it: latents under the pipeline's name when they changed them."""
        if not self._hooks.guests.wants("step") or "latents" not in tensors:
            return {}
        own = self._unpacked(tensors["latents"])
        shown = None if clean is None else self._unpacked(clean)
        step = self._hooks.guests.pass_on("step", Step(number=index + 1, total=total, latents=own, clean=shown))
        return {} if step.latents is own else {"latents": packed(step.latents) if self._call.packed else step.latents}

    def _on_bare_step(self, index: int, timestep: Any, latents: torch.Tensor) -> None:
        """For a pipeline that tells less and takes nothing back."""
        self.on_step(BareSteps(self._scheduler), index, timestep, {"latents": latents})

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
