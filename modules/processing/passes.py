"""The records of one pipeline call: what it begins with, what it is asked for, and what comes out.

Knows nothing about pipelines. Start reading at `Pass`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL import Image

from modules.hooks import NOBODY, Hooks
from modules.processing.blending import Blend
from modules.processing.control import Controls
from modules.processing.refiner import Refiner
from modules.processing.slot import LoadedModel
from modules.processing.style import Style
from modules.request import ResolvedRequest
from modules.samplers import SAMPLERS
from modules.samplers.rising import FoundNoise, RisingScheduler
from modules.samplers.sigmas import image_steps


@dataclass(frozen=True, kw_only=True)
class StepHooks:
    """How a run reports and is stopped. stop(): end at this step; step(done, total); preview(clean latents) or None.

    guests: who takes part in it.
    """

    stop: Callable[[], bool]
    step: Callable[[int, int], None]
    preview: Callable[[torch.Tensor], None] | None = None
    guests: Hooks = NOBODY


@dataclass(frozen=True, kw_only=True)
class Begin:
    """What a run begins with instead of noise alone.

    image: latents (B, C, h, w) in the network's scale, or one RGB picture of the run's size for each of the batch. denoising: 0 to 1;
    exact_steps: as many steps run as asked for, with a longer schedule. mask: "L", white is painted, one a picture; None for img2img.
    noise_multiplier: on the first noise; extra_noise: more of it there. blend: keeps parts of the picture on the way.
    more: arguments for classes that take a mask, or look at the picture. found: the picture's own noise, instead of the seed's.
    """

    image: torch.Tensor | list[Image.Image]
    denoising: float
    exact_steps: bool = False
    mask: list[Image.Image] | None = None
    noise_multiplier: float = 1.0
    extra_noise: float = 0.0
    blend: Blend | None = None
    more: dict[str, Any] = field(default_factory=dict[str, Any])
    found: FoundNoise | None = None

    def row(self, i: int) -> Begin:
        """For one picture alone."""
        only = slice(i, i + 1)
        more = {name: value[only] if isinstance(value, torch.Tensor) else value for name, value in self.more.items()}
        return replace(self, image=self.image[only], mask=self.mask and self.mask[only], blend=self.blend and self.blend.row(i), more=more,
                       found=self.found and self.found.row(i))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One run of a batch. task: which of the model's pipelines; seeds, subseeds, prompts, negative_prompts: one a picture.

    width, height: pixels. first_steps: network calls of the first pass, for prompts that change between steps; None in the first.
    refiner: who takes over on the way. style: the picture whose look is taken over. control: the ControlNet units that count.
    rising: walks from from_latents (B, C, h, w), clean
    ones in the network's scale, up to noise, in place of the sampler.
    """

    seeds: tuple[int, ...]
    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    width: int
    height: int
    steps: int
    sampler_name: str
    scheduler: str
    cfg_scale: float
    subseeds: tuple[int, ...] = ()
    task: str = "txt2img"
    first_steps: int | None = None
    begin: Begin | None = None
    refiner: Refiner | None = None
    style: Style | None = None
    control: Controls | None = None
    rising: RisingScheduler | None = None
    from_latents: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """latents: (B, C, h, w) in the network's scale, finite. partial: stopped before the last step. warnings: what did not go as asked.

    learnt: name -> sha256 of the embeddings that took part. model: the one on the device at the end, which is the refiner's after its
    turn. infotext: keys for the parameters text that only the run knows.
    """

    latents: torch.Tensor
    partial: bool
    warnings: tuple[str, ...]
    learnt: dict[str, str]
    model: LoadedModel
    infotext: dict[str, object] = field(default_factory=dict[str, object])


def first_pass(resolved: ResolvedRequest, batch_no: int) -> Pass:
    """The first run of a batch, from noise."""
    picked = slice(batch_no * resolved.batch_size, (batch_no + 1) * resolved.batch_size)
    return Pass(
        seeds=resolved.all_seeds[picked],
        subseeds=resolved.all_subseeds[picked],
        prompts=resolved.all_prompts[picked],
        negative_prompts=resolved.all_negative_prompts[picked],
        width=resolved.width,
        height=resolved.height,
        steps=resolved.steps,
        sampler_name=resolved.sampler_name,
        scheduler=resolved.scheduler,
        cfg_scale=resolved.cfg_scale,
    )


def steps_run(run: Pass, *, flow: bool = False) -> int:
    """How many steps a run takes: those of its schedule that are left when it begins with a picture. Source: A1111's rule.

    flow: of a flow matching model, for which no sampler is of the timed kind.
    """
    if run.begin is None:
        return run.steps
    _, t_enc = image_steps(run.steps, run.begin.denoising, exact=run.begin.exact_steps)
    return max(t_enc + (flow or not SAMPLERS.get(run.sampler_name).timed), 1)


def singles(run: Pass) -> list[Pass]:
    """The same run for each picture alone."""
    found: list[Pass] = []
    for i in range(len(run.seeds)):
        row = slice(i, i + 1)
        begin = run.begin and run.begin.row(i)
        texts = {"prompts": run.prompts[row], "negative_prompts": run.negative_prompts[row]}
        control = run.control and run.control.row(i)
        found.append(replace(run, seeds=run.seeds[row], subseeds=run.subseeds[row], begin=begin, control=control, **texts))
    return found


def joined(parts: list[Sampled]) -> Sampled:
    """The runs of single pictures as one of a batch."""
    return Sampled(
        latents=torch.cat([part.latents for part in parts]),
        partial=any(part.partial for part in parts),
        warnings=tuple(dict.fromkeys(text for part in parts for text in part.warnings)),
        learnt={name: digest for part in parts for name, digest in part.learnt.items()},
        model=parts[-1].model,
        infotext=parts[-1].infotext,
    )


@dataclass(frozen=True)
class BareSteps:
    """What a run looks at after a step, of a pipeline that does not offer it."""

    scheduler: Any

    @property
    def num_timesteps(self) -> int:
        return len(self.scheduler.timesteps)
