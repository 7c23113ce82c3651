"""Stable Diffusion 3 and 3.5: CLIP-L, OpenCLIP-G and T5 (which may be missing), a transformer, an 8-fold VAE with 16 channels.

Medium and Large are told by keys; Large Turbo has the very keys and shapes of Large, so only its metadata can say it.
"""

from __future__ import annotations

from typing import Any

from modules.families.backbones import MMDiT, find_mmdit
from modules.families.family import Description, Family, LoadPlan, Match, Variant
from modules.families.opening import opened
from modules.families.parts import VAE, Told, parts_of, told
from modules.weights.model_folder import ModelFolder

_ANCHORS = {
    "vae": VAE,
    "text_encoder": ("text_encoders.clip_l.",),
    "text_encoder_2": ("text_encoders.clip_g.",),
    "text_encoder_3": ("text_encoders.t5xxl.",),
}
_PIPELINES = tuple(f"StableDiffusion3{task}Pipeline" for task in ("", "Img2Img", "Inpaint"))
_TASKS: dict[str, str] = dict(zip(("txt2img", "img2img", "inpaint"), _PIPELINES, strict=True))
_MEGAPIXEL = 1024 * 1024


def detect(description: Description) -> Match:
    """Yes for a transformer of joint blocks that takes 16 latent channels and is told the pooled text of both CLIPs."""
    if isinstance(description, ModelFolder) and description.pipeline not in _PIPELINES:
        return Match(fits=False, why=f"its pipeline is {description.pipeline or 'not named'}, not {_PIPELINES[0]}")
    net = find_mmdit(description)
    if net is None:
        return Match(fits=False, why="it has no joint blocks")
    if net.in_channels != SD3.latent_channels:
        return Match(fits=False, why=f"its transformer takes {net.in_channels} channels; here it is {SD3.latent_channels}")
    if not (net.text and net.pooled and net.depth):
        return Match(fits=False, why="its transformer has no text inputs")
    said = told(description)
    variant = _variant(net, description, said)
    return Match(
        fits=True,
        why=f"its transformer has {net.depth} joint blocks of width {net.hidden}"
        f"{', with a second attention' if net.dual else ''}{', with normalised keys' if net.normed else ''}",
        native_px=said.side_px or SD3.variant(variant).native_px,
        variant=variant,
        prediction="flow",
        parts=parts_of(description, "transformer", _ANCHORS),
    )


def _variant(net: MMDiT, description: Description, said: Told) -> str:
    if net.dual:
        return "3.5-medium"
    if not net.normed:
        return "medium"
    name = description.configs.get("transformer", {}).get("_name_or_path", "") if isinstance(description, ModelFolder) else said.text
    return "3.5-large-turbo" if "turbo" in str(name).lower() else "3.5-large"


def load(plan: LoadPlan) -> Any:
    """The pipeline of a folder or file; without T5 when the plan has none. See `Family.load`."""
    return opened(plan, SD3.layout, SD3.variant(plan.variant))


SD3 = Family(
    id="sd3",
    title="Stable Diffusion 3 and 3.5",
    architecture="sd3",
    cell_px=8,
    multiple_of_px=16,
    latent_channels=16,
    layout="sd3",
    detect=detect,
    load=load,
    variants={
        "medium": Variant(title="3 Medium", config="sd3-medium", native_px=1024, tasks=_TASKS, max_pixels=_MEGAPIXEL, prompt_tokens=256),
        "3.5-medium": Variant(
            title="3.5 Medium",
            config="sd3.5-medium",
            native_px=1024,
            tasks=_TASKS,
            defaults={"steps": 40, "cfg_scale": 4.5},
            max_pixels=2 * _MEGAPIXEL,
            prompt_tokens=256,
        ),
        "3.5-large": Variant(
            title="3.5 Large",
            config="sd3.5-large",
            native_px=1024,
            tasks=_TASKS,
            defaults={"steps": 28, "cfg_scale": 3.5},
            max_pixels=_MEGAPIXEL,
            prompt_tokens=256,
        ),
        "3.5-large-turbo": Variant(
            title="3.5 Large Turbo",
            config="sd3.5-large-turbo",
            native_px=1024,
            tasks=_TASKS,
            defaults={"steps": 4, "cfg_scale": 1.0},
            guidance="none",
            max_pixels=_MEGAPIXEL,
            prompt_tokens=256,
            note="Made for 4 steps with CFG scale 1; the negative prompt has no effect then.",
        ),
    },
    text_encoders=("text_encoder", "text_encoder_2", "text_encoder_3"),
    encoder_kinds=("clip_l", "clip_g", "t5"),
    denoiser="transformer",
    prediction="flow",
    optional=("text_encoder_3",),
    optional_note="Without the T5 text encoder long prompts are followed less closely and lettering suffers.",
    lora_dialects=("kohya", "diffusers", "LyCORIS"),
    min_pixels=_MEGAPIXEL // 4,
    defaults={"steps": 28, "cfg_scale": 7.0, "sampler_name": "Euler", "scheduler": "Automatic"},
)
