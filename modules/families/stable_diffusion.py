"""Stable Diffusion 1.x and 2.x: one text encoder, a UNet, an 8-fold VAE with 4 channels.

Both generations, and small models of the same layout such as the starter model, run in the same pipeline class; what
differs (text width, prediction type) stands in their configs.
"""

from __future__ import annotations

from typing import Any

from modules.families.family import Description, Family, LoadPlan, Match, Variant
from modules.weights.model_folder import ModelFolder

PIPELINE = "StableDiffusionPipeline"
_PARTS = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}


def detect(folder: Description) -> Match:
    """Yes for a StableDiffusionPipeline folder whose UNet takes and gives the VAE's latent channels."""
    if not isinstance(folder, ModelFolder):
        return Match(fits=False, why="it is a single file")
    if folder.pipeline != PIPELINE:
        return Match(fits=False, why=f"its pipeline is {folder.pipeline or 'not named'}, not {PIPELINE}")
    for part, name in _PARTS.items():
        if folder.components.get(part) != name:
            return Match(fits=False, why=f"its {part} is {folder.components.get(part, 'missing')}, not {name}")
    unet, vae = folder.configs.get("unet", {}), folder.configs.get("vae", {})
    channels = vae.get("latent_channels", 4)
    if unet.get("in_channels", 4) != channels:
        return Match(
            fits=False,
            why=f"its UNet takes {unet.get('in_channels')} channels where the VAE has {channels} (an inpainting or editing model)",
        )
    cell = 2 ** (len(vae.get("block_out_channels", [0, 0, 0, 0])) - 1)
    sample = unet.get("sample_size") or 64
    side = sample[0] if isinstance(sample, list) else sample
    return Match(fits=True, why=f"a {PIPELINE} folder", native_px=int(side) * cell)


def load(plan: LoadPlan) -> Any:
    """The pipeline from a folder, without a safety checker, offline."""
    import torch
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(
        plan.path,
        dtype=getattr(torch, plan.dtype),
        safety_checker=None,
        requires_safety_checker=False,
        use_safetensors=True,
        local_files_only=True,
    )


STABLE_DIFFUSION = Family(
    id="sd",
    title="Stable Diffusion 1.x / 2.x",
    architecture="sd1",
    cell_px=8,
    multiple_of_px=8,
    latent_channels=4,
    layout="sd1",
    detect=detect,
    load=load,
    variants={"": Variant(title="", tasks={"txt2img": PIPELINE})},
    text_encoders=("text_encoder",),
)
