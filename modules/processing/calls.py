"""How each diffusers pipeline class is asked for a picture: the facts in which they differ, as one table.

Knows the arguments of pipeline classes; knows nothing about families and imports no torch until a call is made, so that what
a model can do is known before it is loaded. Start reading at `CALLS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from modules.faults import ModelFault, RequestFault
from modules.prompts.text_sets import ONE_CLIP, POOLED_CLIP_AND_T5, TWO_CLIPS, TWO_CLIPS_AND_T5, TextSet

_SUFFIX = "Pipeline"
IMAGE_SCALE = 1.5  # how closely editing models keep to the picture, unless asked otherwise


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a call begins with. noise: (B, C, h, w) latents, standard normal; width, height: pixels; steps: as asked.

    tokens: the noise in the layout of a network that reads tokens. image: latents (B, C, h, w) of the pictures to begin with, in the
    network's scale, None for a run from noise; seen: the same in the VAE's own scale. mask: "L", white is painted, one a picture.
    more: arguments that only a class with a mask or a picture to look at takes.
    """

    pipeline: Any
    noise: Any
    width: int
    height: int
    steps: int
    tokens: Any = None
    image: Any = None
    seen: Any = None
    mask: list[Image.Image] | None = None
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])


def _from_noise(start: Start) -> dict[str, Any]:
    return {"latents": start.noise}


@dataclass(frozen=True, kw_only=True)
class Call:
    """text: how its network listens. scale: the argument that takes the CFG scale; distilled: that for a scale the network
    itself takes, "" without one. packed: latents are tokens of 2x2 cells. sized: it takes width and height.

    rows: the order of prompt and negative prompt in a network call while it guides; a pipeline that asks in separate calls has
    one row. live: names under which its loop takes a new text (and pooled text) between steps. steps_reported: the argument
    for a function that follows the steps; "callback" cannot hand anything back. start: the arguments that say what it begins with.
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
    start: Callable[[Start], dict[str, Any]] = _from_noise

    @property
    def composes(self) -> bool:
        """Several prompts can be joined by AND."""
        return self.rows == ("negative", "prompt")


def _from_tokens(start: Start) -> dict[str, Any]:
    return {"latents": start.tokens}


def _from_picture(start: Start) -> dict[str, Any]:
    """The pipeline adds the noise; of the schedule the scheduler leaves only what is to run."""
    return {"image": start.image, "strength": 1.0}


def _all_masked(start: Start) -> dict[str, Any]:
    """A picture of which everything is to be painted: what an inpainting model sees in text to image. Source: A1111 1.10."""
    size, count = (start.width, start.height), len(start.noise)
    return {"image": [Image.new("RGB", size)] * count, "mask_image": [Image.new("L", size, 255)] * count, "strength": 1.0}


def _repainted(start: Start) -> dict[str, Any]:
    """A run of an inpainting class. At full strength they begin with noise alone, so the start is handed over ready-made."""
    if start.image is None:
        return {**_all_masked(start), "latents": start.noise}
    if start.mask is None:
        return {**_all_masked(start), "latents": _begun(start)}
    return {**_with_mask(start), "latents": _begun(start), "strength": 1.0}


def _repainted_flow(start: Start) -> dict[str, Any]:
    """The same for flow matching: these begin with picture and noise as long as the strength is below 1, and count steps upwards."""
    return {**_with_mask(start), "strength": 1 - 1e-6}


def _with_mask(start: Start) -> dict[str, Any]:
    """masked_image_latents: what is seen around the mask by a network that looks there; others need some latents in its place."""
    return {"image": start.image, "mask_image": start.mask, "masked_image_latents": start.image, **start.more}


def _edited(start: Start) -> dict[str, Any]:
    """Editing models look at a picture while they begin with noise. Without one they see empty latents, as in training when it was
    left out. Source: arXiv:2211.09800, section 3.2.1."""
    if start.image is None:
        import torch

        return {"image": torch.zeros_like(start.noise), "image_guidance_scale": IMAGE_SCALE, "latents": start.noise}
    return {"image_guidance_scale": IMAGE_SCALE, "image": start.seen, "latents": _begun(start), **start.more}


def _refined(start: Start) -> dict[str, Any]:
    """An image-to-image pipeline, also when it begins at pure noise."""
    if start.image is not None:
        return _from_picture(start)
    begin = _planned(start) * start.pipeline.scheduler.init_noise_sigma
    return {"image": begin, "latents": begin, "strength": 1.0}


def _planned(start: Start) -> Any:
    """The noise where the pipeline works, after the scheduler was told the steps."""
    start.pipeline.scheduler.set_timesteps(start.steps, device=start.pipeline._execution_device)
    return start.noise.to(start.pipeline._execution_device)


def _begun(start: Start) -> Any:
    """The pictures' latents with the noise of the first step."""
    noise, scheduler = _planned(start), start.pipeline.scheduler
    return scheduler.add_noise(start.image, noise, scheduler.timesteps[:1].repeat(len(noise)))


_XL_LIVE = ("prompt_embeds", "add_text_embeds")
_SD3_LIVE = ("prompt_embeds", "pooled_prompt_embeds")
_EDIT_ROWS = ("prompt", "negative", "negative")
_FLUX: dict[str, Any] = {
    "text": POOLED_CLIP_AND_T5, "network": "transformer", "scale": "true_cfg_scale", "distilled": "guidance_scale", "packed": True,
    "rows": ("prompt",),
}  # fmt: skip

CALLS: Mapping[str, Call] = {
    "StableDiffusion": Call(text=ONE_CLIP),
    "StableDiffusionImg2Img": Call(text=ONE_CLIP, sized=False, start=_from_picture),
    "StableDiffusionInpaint": Call(text=ONE_CLIP, start=_repainted),
    "StableDiffusionInstructPix2Pix": Call(text=ONE_CLIP, sized=False, rows=_EDIT_ROWS, start=_edited),
    "StableDiffusionXL": Call(text=TWO_CLIPS, live=_XL_LIVE),
    "StableDiffusionXLImg2Img": Call(text=TWO_CLIPS, sized=False, live=_XL_LIVE, start=_refined),
    "StableDiffusionXLInpaint": Call(text=TWO_CLIPS, live=_XL_LIVE, start=_repainted),
    "StableDiffusionXLInstructPix2Pix": Call(text=TWO_CLIPS, rows=_EDIT_ROWS, live=(), steps_reported="callback", start=_edited),
    "StableDiffusion3": Call(text=TWO_CLIPS_AND_T5, network="transformer", live=_SD3_LIVE),
    "StableDiffusion3Img2Img": Call(text=TWO_CLIPS_AND_T5, network="transformer", live=_SD3_LIVE, start=_from_picture),
    "StableDiffusion3Inpaint": Call(text=TWO_CLIPS_AND_T5, network="transformer", live=_SD3_LIVE, start=_repainted_flow),
    "Flux": Call(**_FLUX, start=_from_tokens),
    "FluxImg2Img": Call(**_FLUX, start=_from_picture),
    "FluxInpaint": Call(**_FLUX, start=_repainted_flow),
}


def call_named(pipeline_class: str) -> Call:
    """The row of a pipeline class, by its name. Raises ModelFault for a class that makes no pictures from text alone."""
    found = CALLS.get(pipeline_class.removesuffix(_SUFFIX))
    if found is None:
        raise ModelFault(f"A {pipeline_class} makes no pictures from text alone. Choose another model for this task.")
    return found


def call_of(pipeline: Any) -> Call:
    """The row of a loaded pipeline."""
    return call_named(type(pipeline).__name__)


def check_size(pipeline: Any, width: int, height: int, name: str) -> None:
    """Some transformers have places for so many patches and no more. name: of the model. Raises RequestFault."""
    network: Any = getattr(pipeline, call_of(pipeline).network)
    most = network.config.get("pos_embed_max_size")
    if most is None:
        return
    limit = most * network.config.patch_size * pipeline.vae_scale_factor
    for side_name, side in (("width", width), ("height", height)):
        if side > limit:
            raise RequestFault(side_name, f"can be at most {limit} for {name}", got=side, allowed=limit)
