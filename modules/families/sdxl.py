"""Stable Diffusion XL: CLIP-L and OpenCLIP-G together, a UNet that is told the sizes of the picture, an 8-fold VAE with 4 channels.

The refiner has only OpenCLIP-G. Smaller relatives (SSD-1B, Vega) have fewer blocks and the same inputs.
"""

from __future__ import annotations

from typing import Any

from modules.families.family import Description, Family, LoadPlan, Match, Variant
from modules.families.opening import opened
from modules.families.parts import VAE, Told, parts_of, told
from modules.families.unets import examine, generation, variant_of
from modules.weights.model_folder import ModelFolder

_ANCHORS = {
    "vae": VAE,
    "text_encoder": ("conditioner.embedders.0.transformer.", "text_encoders.clip_l."),
    "text_encoder_2": ("conditioner.embedders.1.model.", "text_encoders.clip_g."),
}
_REFINER_ANCHORS = {"vae": VAE, "text_encoder_2": ("conditioner.embedders.0.model.", "text_encoders.clip_g.")}
_FEW_STEP_WORDS = ("turbo", "lightning", "hyper-sd", "lcm", "dmd2")
_PLAIN = {
    "txt2img": "StableDiffusionXLPipeline",
    "img2img": "StableDiffusionXLImg2ImgPipeline",
    "inpaint": "StableDiffusionXLInpaintPipeline",
}
_INPAINT = "StableDiffusionXLInpaintPipeline"
_EDIT = "StableDiffusionXLInstructPix2PixPipeline"
_REFINER = "StableDiffusionXLImg2ImgPipeline"


def detect(description: Description) -> Match:
    """Yes for a UNet with a size input: six numbers and the text of two encoders, or five and the text of one (refiner)."""
    unet = examine(description, "StableDiffusionXL")
    if isinstance(unet, str):
        return Match(fits=False, why=unet)
    kind = generation(unet)
    if kind not in ("sdxl", "sdxl-refiner"):
        return Match(fits=False, why=f"its UNet reads text of width {unet.context}; here it is 2048, or 1280 in the refiner, with sizes")
    said = told(description)
    refiner = kind == "sdxl-refiner"
    variant = "refiner" if refiner else variant_of(unet) or _pace(description, said)
    return Match(
        fits=True,
        why=f"its UNet reads text of width {unet.context} and {5 if refiner else 6} sizes, and takes {unet.in_channels} channels",
        native_px=said.side_px or SDXL.variant(variant).native_px,
        variant=variant,
        prediction=said.prediction,
        parts=parts_of(description, "unet", _REFINER_ANCHORS if refiner else _ANCHORS),
    )


def _pace(description: Description, said: Told) -> str:
    """ "few-step" where a description says so: a name in the metadata; the scheduler and size of SDXL Turbo's folder."""
    if isinstance(description, ModelFolder):
        scheduler = description.configs.get("scheduler", {})
        turbo = description.components.get("scheduler") == "EulerAncestralDiscreteScheduler"
        trailing = scheduler.get("timestep_spacing") == "trailing"
        return "few-step" if description.components.get("scheduler") == "LCMScheduler" or (turbo and trailing) else ""
    return "few-step" if any(word in said.text for word in _FEW_STEP_WORDS) else ""


def load(plan: LoadPlan) -> Any:
    """The pipeline of a folder or file; see `Family.load`."""
    return opened(plan, "sdxl-refiner" if plan.variant == "refiner" else SDXL.layout, SDXL.variant(plan.variant))


SDXL = Family(
    id="sdxl",
    title="Stable Diffusion XL",
    architecture="sdxl",
    cell_px=8,
    multiple_of_px=8,
    latent_channels=4,
    layout="sdxl",
    detect=detect,
    load=load,
    variants={
        "": Variant(title="", config="sdxl", native_px=1024, tasks=_PLAIN),
        "few-step": Variant(
            title="few steps",
            config="sdxl-few-step",
            native_px=1024,
            tasks=_PLAIN,
            defaults={"steps": 4, "cfg_scale": 1.0, "sampler_name": "Euler", "scheduler": "SGM Uniform"},
            guidance="none",
            note="Made for 1 to 8 steps with CFG scale 1; the negative prompt has no effect then.",
        ),
        "refiner": Variant(
            title="refiner",
            config="sdxl-refiner",
            native_px=1024,
            tasks={"txt2img": _REFINER, "img2img": _REFINER, "inpaint": _INPAINT},
            text_encoders=("text_encoder_2",),
            note="Made for the last fifth of the steps of another XL model; alone it gives weak pictures.",
        ),
        "inpainting": Variant(
            title="inpainting",
            config="sdxl-inpainting",
            native_px=1024,
            tasks={"txt2img": _INPAINT, "img2img": _INPAINT, "inpaint": _INPAINT},
        ),
        "instruct-pix2pix": Variant(
            title="instruct-pix2pix", config="sdxl-instruct-pix2pix", native_px=768, tasks={"txt2img": _EDIT, "img2img": _EDIT}
        ),
    },
    text_encoders=("text_encoder", "text_encoder_2"),
    encoder_kinds=("clip_l", "clip_g"),
    lora_dialects=("kohya", "diffusers", "LyCORIS"),
    defaults={"steps": 30, "cfg_scale": 6.0, "sampler_name": "DPM++ 2M", "scheduler": "Automatic"},
)
