"""Stable Diffusion 2.0 and 2.1: OpenCLIP-H read at its last but one layer, a UNet, an 8-fold VAE with 4 channels.

The 512 models predict the noise, the 768 ones the velocity. Shapes do not tell which; when a file does not say it either, the
loaded UNet is asked once (`predicts_velocity`).
"""

from __future__ import annotations

from typing import Any

from modules.families.family import Description, Family, LoadPlan, Match, Variant
from modules.families.opening import changed, opened, scheduler_changes
from modules.families.parts import VAE, Told, parts_of, told
from modules.families.unets import examine, generation, variant_of

_ANCHORS = {"vae": VAE, "text_encoder": ("cond_stage_model.model.", "text_encoders.clip_h.")}
_PLAIN = {
    "txt2img": "StableDiffusionPipeline",
    "img2img": "StableDiffusionImg2ImgPipeline",
    "inpaint": "StableDiffusionInpaintPipeline",
}
_INPAINT = "StableDiffusionInpaintPipeline"
_EDIT = "StableDiffusionInstructPix2PixPipeline"


def detect(description: Description) -> Match:
    """Yes for a UNet that reads text of width 1024, or of another width through matrices and without sizes."""
    unet = examine(description, "StableDiffusion")
    if isinstance(unet, str):
        return Match(fits=False, why=unet)
    if generation(unet) != "sd2":
        return Match(fits=False, why=f"its UNet reads text of width {unet.context}{', with sizes' if unet.labels else ''}; here it is 1024")
    said = told(description)
    variant = variant_of(unet) or _size(said)
    return Match(
        fits=True,
        why=f"its UNet reads text of width {unet.context}, without sizes, and takes {unet.in_channels} channels",
        native_px=said.side_px or SD2.variant(variant).native_px,
        variant=variant,
        prediction=said.prediction,
        parts=parts_of(description, "unet", _ANCHORS),
    )


def _size(said: Told) -> str:
    """ "768" or "" (512): what is said of size, else of prediction; most files without a word are 2.1 with 768."""
    if said.side_px is not None:
        return "768" if said.side_px >= 640 else ""
    if "v2-512" in said.text:
        return ""
    return "" if said.prediction == "epsilon" else "768"


def load(plan: LoadPlan) -> Any:
    """The pipeline of a folder or file; a file that does not say what it predicts is asked. See `Family.load`."""
    variant = SD2.variant(plan.variant)
    pipeline = opened(plan, SD2.layout, variant)
    if plan.variant in ("", "768") and not plan.path.is_dir() and "prediction_type" not in scheduler_changes(plan):
        prediction = "v_prediction" if predicts_velocity(pipeline.unet) else "epsilon"
        pipeline.scheduler = changed(pipeline.scheduler, {"prediction_type": prediction})
    return pipeline


def predicts_velocity(unet: Any) -> bool:
    """Does a UNet predict velocity? At the noisiest step it gives its input back when it predicts noise, and far less otherwise.

    Source: the test A1111 makes for files without a config: constant input 0.5 at step 999, mean(out - in) below -1.
    """
    import torch

    parameter = next(unet.parameters())
    noisy = torch.full((1, unet.config.in_channels, 8, 8), 0.5, dtype=parameter.dtype, device=parameter.device)
    text = torch.full((1, 2, unet.config.cross_attention_dim), 0.5, dtype=parameter.dtype, device=parameter.device)
    with torch.inference_mode():
        out = unet(noisy, 999, encoder_hidden_states=text, return_dict=False)[0]
    return bool((out.float() - noisy.float()).mean() < -1)


SD2 = Family(
    id="sd2",
    title="Stable Diffusion 2.x",
    architecture="sd2",
    cell_px=8,
    multiple_of_px=8,
    latent_channels=4,
    latents="sd",
    layout="sd2",
    detect=detect,
    load=load,
    variants={
        "": Variant(title="512", config="sd2", tasks=_PLAIN),
        "768": Variant(title="768", config="sd2-768", native_px=768, tasks=_PLAIN),
        "inpainting": Variant(
            title="inpainting", config="sd2-inpainting", tasks={"txt2img": _INPAINT, "img2img": _INPAINT, "inpaint": _INPAINT}
        ),
        "instruct-pix2pix": Variant(title="instruct-pix2pix", config="sd2-instruct-pix2pix", tasks={"txt2img": _EDIT, "img2img": _EDIT}),
    },
    text_encoders=("text_encoder",),
    encoder_kinds=("clip_h",),
    lora_dialects=("kohya", "diffusers", "LyCORIS"),
    defaults={"steps": 20, "cfg_scale": 7.0, "sampler_name": "DPM++ 2M", "scheduler": "Automatic"},
)
