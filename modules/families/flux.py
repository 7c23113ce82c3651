"""Flux.1: CLIP-L for the pooled text and T5 for the words, a transformer over packed cells, an 8-fold VAE with 16 channels.

dev is steered by a guidance scale it was distilled for; schnell needs four steps and no guidance. Kontext has the keys and
shapes of dev and is taken for it.
"""

from __future__ import annotations

from typing import Any

from modules.families.backbones import find_flux
from modules.families.family import Description, Family, LoadPlan, Match, Variant
from modules.families.opening import opened
from modules.families.parts import VAE, parts_of, told
from modules.weights.model_folder import ModelFolder

_ANCHORS = {
    "vae": VAE,
    "text_encoder": ("text_encoders.clip_l.",),
    "text_encoder_2": ("text_encoders.t5xxl.",),
}
_PIPELINES = tuple(f"Flux{task}Pipeline" for task in ("", "Img2Img", "Inpaint"))
_TASKS: dict[str, str] = dict(zip(("txt2img", "img2img", "inpaint"), _PIPELINES, strict=True))
_PACKED = 64


def detect(description: Description) -> Match:
    """Yes for a transformer of double and single blocks that takes 64 packed channels; with a guidance input it is dev."""
    if isinstance(description, ModelFolder) and description.pipeline not in _PIPELINES:
        return Match(fits=False, why=f"its pipeline is {description.pipeline or 'not named'}, not {_PIPELINES[0]}")
    net = find_flux(description)
    if net is None:
        return Match(fits=False, why="it has no double blocks")
    if (net.in_channels, net.out_channels) != (_PACKED, _PACKED):
        return Match(fits=False, why=f"its transformer takes {net.in_channels} and gives {net.out_channels} channels; here both are 64")
    if not (net.text and net.pooled and net.double and net.single):
        return Match(fits=False, why="its transformer lacks text inputs or single blocks")
    variant = "dev" if net.guided else "schnell"
    return Match(
        fits=True,
        why=f"its transformer has {net.double} double and {net.single} single blocks and {'a' if net.guided else 'no'} guidance input",
        native_px=told(description, cell_px=16).side_px or FLUX.variant(variant).native_px,
        variant=variant,
        prediction="flow",
        parts=parts_of(description, "transformer", _ANCHORS),
    )


def load(plan: LoadPlan) -> Any:
    """The pipeline of a folder or file; see `Family.load`."""
    return opened(plan, FLUX.layout, FLUX.variant(plan.variant))


FLUX = Family(
    id="flux",
    title="Flux.1",
    architecture="flux",
    cell_px=8,
    multiple_of_px=16,
    latent_channels=16,
    layout="flux",
    detect=detect,
    load=load,
    variants={
        "dev": Variant(
            title="dev",
            config="flux-dev",
            native_px=1024,
            tasks=_TASKS,
            defaults={"steps": 28, "distilled_cfg_scale": 3.5},
            guidance="distilled",
            prompt_tokens=512,
            note="Steered by the distilled guidance scale; leave the CFG scale at 1.",
        ),
        "schnell": Variant(
            title="schnell",
            config="flux-schnell",
            native_px=1024,
            tasks=_TASKS,
            defaults={"steps": 4},
            guidance="none",
            prompt_tokens=256,
            note="Made for 1 to 4 steps with CFG scale 1.",
        ),
    },
    text_encoders=("text_encoder", "text_encoder_2"),
    encoder_kinds=("clip_l", "t5"),
    denoiser="transformer",
    prediction="flow",
    lora_dialects=("kohya", "diffusers", "ai-toolkit", "LyCORIS"),
    min_pixels=1024 * 1024 // 10,
    max_pixels=2 * 1024 * 1024,
    defaults={"steps": 28, "cfg_scale": 1.0, "sampler_name": "Euler", "scheduler": "Automatic"},
)
