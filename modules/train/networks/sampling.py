"""A picture on the way of a training, by the model as it is now. Start reading at `picture`."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image

from modules.train.networks.denoising import Denoising
from modules.train.trainee import SampleAsked


@torch.no_grad()
def picture(denoising: Denoising, asked: SampleAsked) -> Image.Image:
    """The picture. Modes, scheduler, devices and torch's own random numbers are afterwards what they were."""
    pipeline = denoising.pipeline
    modules = denoising.modules()
    before = {name: (module.training, next(module.parameters()).device) for name, module in modules.items()}
    scheduler = pipeline.scheduler
    pipeline.scheduler = type(scheduler).from_config(scheduler.config)
    try:
        for module in modules.values():
            module.eval()
            module.to(denoising.device)
        with torch.random.fork_rng(devices=[]), denoising.summing():
            return pipeline(**_arguments(denoising, asked)).images[0]
    finally:
        pipeline.scheduler = scheduler
        for name, (training, device) in before.items():
            modules[name].train(training)
            modules[name].to(device)


def _arguments(denoising: Denoising, asked: SampleAsked) -> dict[str, Any]:
    defaults = denoising.family.defaults_of(denoising.variant)
    scale = asked.cfg_scale if asked.cfg_scale is not None else defaults.get(denoising.recipe.default_scale, defaults["cfg_scale"])
    size = {name: value for name, value in (("width", asked.width), ("height", asked.height)) if value is not None}
    denoising.pipeline.set_progress_bar_config(disable=True)
    return {
        "prompt": asked.prompt,
        "num_inference_steps": asked.steps,
        "guidance_scale": scale,
        "generator": torch.Generator().manual_seed(asked.seed),
        **({"negative_prompt": asked.negative_prompt} if asked.negative_prompt else {}),
        **size,
    }
