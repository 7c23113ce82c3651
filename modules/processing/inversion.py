"""Stage 2b: the noise that a picture would have come from: a run of its own from the picture up to noise, before the run that paints.

That run is a plain one of the pipeline with `modules.samplers.rising` as its scheduler: LoRAs take part; steering, ControlNet, another
picture's look and guests do not. Start reading at `with_found_noise`. Source: the behaviour of A1111 1.10's "img2img alternative test".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from modules.faults import Cancelled
from modules.processing.options import sampler_options
from modules.processing.passes import Begin, Pass, Sampled, StepHooks, steps_run
from modules.processing.slot import LoadedModel
from modules.request import Inversion, ResolvedRequest, Steering
from modules.samplers import SAMPLERS
from modules.samplers.build import build_scheduler
from modules.samplers.rising import FoundNoise, RisingScheduler

Sampling = Callable[[LoadedModel, ResolvedRequest, Pass, StepHooks], Sampled]


def with_found_noise(
    model: LoadedModel, resolved: ResolvedRequest, run: Pass, hooks: StepHooks, sample: Sampling
) -> tuple[Pass, StepHooks, tuple[str, ...]]:
    """(the run beginning with its pictures' noise, its hooks, warnings) where that was asked for. sample: `modules.processing.sampling`'s.

    Raises Cancelled when it was stopped meanwhile, BlankPicture when the way ended in NaN.
    """
    asked, begin = resolved.inversion, run.begin
    if asked is None or begin is None or not isinstance(begin.image, torch.Tensor):
        return run, hooks, ()
    way = RisingScheduler(
        facts=dict(model.scheduler_config),
        levels=rising_levels(model, resolved, run, begin, asked),
        rounds=asked.invert_rounds,
        departing=asked.invert_sigma_adjustment,
    )
    first, after = _in_two(hooks, way.calls, steps_run(run) * SAMPLERS.get(run.sampler_name).calls)
    count, text = len(run.seeds), asked.invert_prompt if asked.invert_cfg_scale > 0 else asked.invert_negative_prompt
    back = Pass(
        seeds=run.seeds, prompts=(text,) * count, negative_prompts=(asked.invert_negative_prompt,) * count, width=run.width,
        height=run.height, steps=way.calls, sampler_name="Euler", scheduler="Automatic", cfg_scale=asked.invert_cfg_scale,
        rising=way, from_latents=begin.image,
    )  # fmt: skip
    plain = dataclasses.replace(resolved, steering=Steering(), control=(), styling=None)
    sampled = sample(model, plain, back, first)
    if sampled.partial:
        raise Cancelled
    level = way.levels[-1]
    reached = sampled.latents.float().cpu()
    scale = torch.full((count, 1, 1, 1), level) if asked.invert_sigma_adjustment else reached.std((1, 2, 3), keepdim=True)
    found = FoundNoise(clean=begin.image.float().cpu(), start=reached / scale, level=level, randomness=asked.invert_randomness)
    return dataclasses.replace(run, begin=dataclasses.replace(begin, found=found)), after, sampled.warnings


def rising_levels(model: LoadedModel, resolved: ResolvedRequest, run: Pass, begin: Begin, asked: Inversion) -> list[float]:
    """From 0 to the noise level at which the run begins: those of Euler's method on the run's schedule, of as many steps as asked."""

    def falling(sampler_name: str, steps: int) -> list[float]:
        options = sampler_options(
            resolved, (), model.family.architecture, denoising=begin.denoising, exact_steps=begin.exact_steps
        )  # its own seeds would draw noise
        scheduler = build_scheduler(sampler_name, run.scheduler, model.scheduler_config, options=options)
        scheduler.set_timesteps(steps)
        return [float(level) for level in scheduler.sigmas]

    top = falling(run.sampler_name, run.steps)[0]
    between = sorted({level for level in falling("Euler", asked.invert_steps)[1:] if 0 < level < top * (1 - 1e-6)})
    return [0.0, *between, top]


def _in_two(hooks: StepHooks, first: int, second: int) -> tuple[StepHooks, StepHooks]:
    """Hooks of the way back and of the run, whose steps count as those of one. Guests and the preview see the run alone."""
    whole = first + second
    quiet = StepHooks(stop=hooks.stop, step=lambda done, _: hooks.step(min(done, first), whole), preview=None)
    return quiet, dataclasses.replace(hooks, step=lambda done, total: hooks.step(first + round(done / total * second), whole))
