"""How each diffusers pipeline class is asked for a picture from text: the facts in which they differ, as one table.

Knows the arguments of pipeline classes; knows nothing about families and imports no torch until a call is made, so that what
a model can do is known before it is loaded. Start reading at `CALLS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from modules.faults import ModelFault
from modules.prompts.text_sets import ONE_CLIP, POOLED_CLIP_AND_T5, TWO_CLIPS, TWO_CLIPS_AND_T5, TextSet

_SUFFIX = "Pipeline"


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a call begins with. noise: (B, C, h, w) latents, standard normal; width, height: pixels; steps: as asked."""

    pipeline: Any
    noise: Any
    width: int
    height: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Call:
    """text: how its network listens. scale: the argument that takes the CFG scale; distilled: that for a scale the network
    itself takes, "" without one. packed: latents are tokens of 2x2 cells. sized: it takes width and height.

    rows: the order of prompt and negative prompt in a network call while it guides; a pipeline that asks in separate calls has
    one row. live: names under which its loop takes a new text (and pooled text) between steps. steps_reported: the argument
    for a function that follows the steps; "callback" cannot hand anything back. further: arguments that are the pipeline's own.
    """

    text: TextSet
    network: str = "unet"
    scale: str = "guidance_scale"
    distilled: str = ""
    packed: bool = False
    sized: bool = True
    rows: tuple[str, ...] = ("negative", "prompt")
    live: tuple[str, ...] = ("prompt_embeds",)
    steps_reported: str = "callback_on_step_end"
    further: Callable[[Start], dict[str, Any]] = lambda start: {}

    @property
    def composes(self) -> bool:
        """Several prompts can be joined by AND."""
        return self.rows == ("negative", "prompt")


def _all_masked(start: Start) -> dict[str, Any]:
    """A picture of which everything is to be painted: what an inpainting model sees in text to image. Source: A1111 1.10."""
    size, count = (start.width, start.height), len(start.noise)
    return {"image": [Image.new("RGB", size)] * count, "mask_image": [Image.new("L", size, 255)] * count, "strength": 1.0}


def _no_picture(start: Start) -> dict[str, Any]:
    """Empty latents: what an editing model saw in training when its picture was left out. Source: arXiv:2211.09800, section 3.2.1."""
    import torch

    return {"image": torch.zeros_like(start.noise), "image_guidance_scale": 1.5}


def _from_noise(start: Start) -> dict[str, Any]:
    """An image-to-image pipeline that begins at pure noise."""
    start.pipeline.scheduler.set_timesteps(start.steps, device=start.pipeline._execution_device)
    begin = start.noise.to(start.pipeline._execution_device) * start.pipeline.scheduler.init_noise_sigma
    return {"image": begin, "latents": begin, "strength": 1.0}


_XL_LIVE = ("prompt_embeds", "add_text_embeds")
_EDIT_ROWS = ("prompt", "negative", "negative")

CALLS: Mapping[str, Call] = {
    "StableDiffusion": Call(text=ONE_CLIP),
    "StableDiffusionInpaint": Call(text=ONE_CLIP, further=_all_masked),
    "StableDiffusionInstructPix2Pix": Call(text=ONE_CLIP, sized=False, rows=_EDIT_ROWS, further=_no_picture),
    "StableDiffusionXL": Call(text=TWO_CLIPS, live=_XL_LIVE),
    "StableDiffusionXLInpaint": Call(text=TWO_CLIPS, live=_XL_LIVE, further=_all_masked),
    "StableDiffusionXLImg2Img": Call(text=TWO_CLIPS, sized=False, live=_XL_LIVE, further=_from_noise),
    "StableDiffusionXLInstructPix2Pix": Call(
        text=TWO_CLIPS, rows=_EDIT_ROWS, live=(), steps_reported="callback", further=_no_picture
    ),
    "StableDiffusion3": Call(text=TWO_CLIPS_AND_T5, network="transformer", live=("prompt_embeds", "pooled_prompt_embeds")),
    "Flux": Call(
        text=POOLED_CLIP_AND_T5, network="transformer", scale="true_cfg_scale", distilled="guidance_scale", packed=True, rows=("prompt",)
    ),
}  # fmt: skip


def call_named(pipeline_class: str) -> Call:
    """The row of a pipeline class, by its name. Raises ModelFault for a class that makes no pictures from text alone."""
    found = CALLS.get(pipeline_class.removesuffix(_SUFFIX))
    if found is None:
        raise ModelFault(f"A {pipeline_class} makes no pictures from text alone. Choose another model for this task.")
    return found


def call_of(pipeline: Any) -> Call:
    """The row of a loaded pipeline."""
    return call_named(type(pipeline).__name__)
