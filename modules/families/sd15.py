"""Stable Diffusion 1.x and everything trained from it: CLIP-L, a UNet, an 8-fold VAE with 4 channels.

Small models of the same structure, such as the starter model, belong here too: what differs stands in their configs.
"""

from __future__ import annotations

from typing import Any

from modules.families.family import Description, Family, LoadPlan, Match, Variant
from modules.families.opening import opened
from modules.families.parts import VAE, parts_of, told
from modules.families.unets import examine, generation, variant_of

_ANCHORS = {"vae": VAE, "text_encoder": ("cond_stage_model.transformer.", "text_encoders.clip_l.")}
_INPAINT = "StableDiffusionInpaintPipeline"
_EDIT = "StableDiffusionInstructPix2PixPipeline"


def detect(description: Description) -> Match:
    """Yes for a UNet that reads text of width 768, or of another width through convolutions as this generation has."""
    unet = examine(description, "StableDiffusion")
    if isinstance(unet, str):
        return Match(fits=False, why=unet)
    if generation(unet) != "sd1":
        return Match(fits=False, why=f"its UNet reads text of width {unet.context}{', with sizes' if unet.labels else ''}; here it is 768")
    said = told(description)
    variant = variant_of(unet)
    return Match(
        fits=True,
        why=f"its UNet reads text of width {unet.context}, without sizes, and takes {unet.in_channels} channels",
        native_px=said.side_px or SD15.variant(variant).native_px,
        variant=variant,
        prediction=said.prediction,
        parts=parts_of(description, "unet", _ANCHORS),
    )


def load(plan: LoadPlan) -> Any:
    """The pipeline of a folder or file; see `Family.load`."""
    return opened(plan, SD15.layout, SD15.variant(plan.variant))


SD15 = Family(
    id="sd15",
    title="Stable Diffusion 1.x",
    architecture="sd1",
    cell_px=8,
    multiple_of_px=8,
    latent_channels=4,
    latents="sd",
    layout="sd1",
    detect=detect,
    load=load,
    variants={
        "": Variant(
            title="",
            config="sd15",
            tasks={
                "txt2img": "StableDiffusionPipeline",
                "img2img": "StableDiffusionImg2ImgPipeline",
                "inpaint": _INPAINT,
            },
        ),
        "inpainting": Variant(
            title="inpainting", config="sd15-inpainting", tasks={"txt2img": _INPAINT, "img2img": _INPAINT, "inpaint": _INPAINT}
        ),
        "instruct-pix2pix": Variant(title="instruct-pix2pix", config="sd15-instruct-pix2pix", tasks={"txt2img": _EDIT, "img2img": _EDIT}),
    },
    text_encoders=("text_encoder",),
    encoder_kinds=("clip_l",),
    lora_dialects=("kohya", "diffusers", "LyCORIS"),
    defaults={"steps": 20, "cfg_scale": 7.0, "sampler_name": "DPM++ 2M", "scheduler": "Automatic"},
)
