"""The layouts: which components a single file of each sort holds, under which names, and what their shapes cannot tell.

Pure data. Start reading at `LAYOUTS`. Values beyond the shapes are the published ones; a file that differs says so in its metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modules.weights.layouts.text import HEAD_WIDTH
from modules.weights.layouts.unet import heads

Config = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One component of a layout. kind: key of `KINDS`; model: class name; homes: (naming, prefix), the first is written.

    published: config values used when nothing else tells them. guess(what the shapes tell): values that follow from those by the
    family's rule. spare_layers: last layers of the file that diffusers leaves out. tokenizer: the component that goes with it.
    extras: names of `extras` that other programs want to find in a single file.
    """

    kind: str
    model: str
    homes: tuple[tuple[str, str], ...]
    published: Mapping[str, Any] = field(default_factory=dict[str, Any])
    guess: Callable[[Config], Config] = lambda _: {}
    spare_layers: int = 0
    tokenizer: str = ""
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """id; parts: component -> where and what; core: the component that makes it this model; architecture(config of the core, "epsilon", "v"
    or ""): the name in modelspec metadata.
    """

    id: str
    parts: Mapping[str, Part]
    core: str
    architecture: Callable[[Mapping[str, Any], str], str]


def _unet(eight_heads: bool = False, **published: Any) -> Part:
    def guess(found: Config) -> Config:
        return {"attention_head_dim": 8 if eight_heads else heads(HEAD_WIDTH, found["block_out_channels"])}

    prefixes = ("model.diffusion_model.", "diffusion_model.", "unet.", "")
    homes = tuple(("ldm", prefix) for prefix in prefixes)
    return Part(kind="unet", model="UNet2DConditionModel", homes=homes, published={"sample_size": 64, **published}, guess=guess)


def _transformer(kind: str, naming: str, model: str, guess: Callable[[Config], Config], **published: Any) -> Part:
    homes = tuple((naming, prefix) for prefix in ("model.diffusion_model.", "diffusion_model.", "transformer.", "model.", ""))
    return Part(kind=kind, model=model, homes=homes, published=published, guess=guess)


def _vae(*prefixes: str, **published: Any) -> Part:
    homes = tuple(("ldm", prefix) for prefix in (*prefixes, "first_stage_model.", "vae.", ""))
    return Part(kind="vae", model="AutoencoderKL", homes=homes, published={"norm_num_groups": 32, "sample_size": 512, **published})


def _clip(*homes: tuple[str, str], act: str, projected: bool = False, tokenizer: str = "tokenizer", **options: Any) -> Part:
    def guess(found: Config) -> Config:
        vocabulary, width = found["vocab_size"], found["hidden_size"]
        ends = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": 0 if act == "gelu" else vocabulary - 1}
        return {"num_attention_heads": max(1, width // HEAD_WIDTH), "projection_dim": width, **ends}

    model = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    anywhere = (("hf", ""), ("openclip", ""))
    return Part(
        kind="clip", model=model, homes=(*homes, *anywhere), published={"hidden_act": act}, guess=guess, tokenizer=tokenizer, **options
    )


def _t5(tokenizer: str) -> Part:
    homes = (("hf", "text_encoders.t5xxl.transformer."), ("hf", ""), ("gguf", ""))
    published = {"is_encoder_decoder": False, "tie_word_embeddings": False, "relative_attention_max_distance": 128}
    return Part(kind="t5", model="T5EncoderModel", homes=homes, published=published, tokenizer=tokenizer)


def _mmdit_heads(found: Config) -> Config:
    return {"attention_head_dim": HEAD_WIDTH, "num_attention_heads": found["caption_projection_dim"] // HEAD_WIDTH}


def _rope(found: Config) -> Config:
    """Flux shares the width of a head out between place in the batch, row and column as 16 : 56 : 56."""
    rest = found["attention_head_dim"] - found["attention_head_dim"] // 8
    return {"axes_dims_rope": [found["attention_head_dim"] // 8, rest // 2, rest // 2]}


def _sd3_name(config: Mapping[str, Any], _: str) -> str:
    if config.get("dual_attention_layers"):
        return "stable-diffusion-3-5-medium"
    return "stable-diffusion-3-5-large" if config.get("qk_norm") else "stable-diffusion-3-medium"


_OPENCLIP = ("logit_scale",)
_SD1 = Layout(
    id="sd1",
    core="unet",
    architecture=lambda _, __: "stable-diffusion-v1",
    parts={
        "unet": _unet(eight_heads=True),
        "vae": _vae(scaling_factor=0.18215),
        "text_encoder": _clip(("hf", "cond_stage_model.transformer."), act="quick_gelu", extras=("position_ids",)),
    },
)
_SD2 = Layout(
    id="sd2",
    core="unet",
    architecture=lambda _, prediction: f"stable-diffusion-v2-{'768-v' if prediction == 'v' else '512'}",
    parts={
        "unet": _unet(),
        "vae": _vae(scaling_factor=0.18215),
        "text_encoder": _clip(
            ("openclip", "cond_stage_model.model."), act="gelu", spare_layers=1, extras=("spare_layer", "text_projection", *_OPENCLIP)
        ),
    },
)
_SDXL = Layout(
    id="sdxl",
    core="unet",
    architecture=lambda _, __: "stable-diffusion-xl-v1-base",
    parts={
        "unet": _unet(sample_size=128, addition_time_embed_dim=256),
        "vae": _vae(scaling_factor=0.13025, sample_size=1024, force_upcast=True),
        "text_encoder": _clip(("hf", "conditioner.embedders.0.transformer."), act="quick_gelu", extras=("position_ids",)),
        "text_encoder_2": _clip(
            ("openclip", "conditioner.embedders.1.model."), act="gelu", projected=True, tokenizer="tokenizer_2", extras=_OPENCLIP
        ),
    },
)
_REFINER = Layout(
    id="sdxl-refiner",
    core="unet",
    architecture=lambda _, __: "stable-diffusion-xl-v1-refiner",
    parts={
        "unet": _SDXL.parts["unet"],
        "vae": _SDXL.parts["vae"],
        "text_encoder_2": _clip(
            ("openclip", "conditioner.embedders.0.model."), act="gelu", projected=True, tokenizer="tokenizer_2", extras=_OPENCLIP
        ),
    },
)
_CLIP_L = ("hf", "text_encoders.clip_l.transformer.")
_SD3 = Layout(
    id="sd3",
    core="transformer",
    architecture=_sd3_name,
    parts={
        "transformer": _transformer("mmdit", "sai", "SD3Transformer2DModel", _mmdit_heads, sample_size=128),
        "vae": _vae(scaling_factor=1.5305, shift_factor=0.0609, sample_size=1024, force_upcast=True),
        "text_encoder": _clip(_CLIP_L, act="quick_gelu", projected=True),
        "text_encoder_2": _clip(("hf", "text_encoders.clip_g.transformer."), act="gelu", projected=True, tokenizer="tokenizer_2"),
        "text_encoder_3": _t5("tokenizer_3"),
    },
)
_FLUX = Layout(
    id="flux",
    core="transformer",
    architecture=lambda config, _: f"flux-1-{'dev' if config.get('guidance_embeds') else 'schnell'}",
    parts={
        "transformer": _transformer("flux", "bfl", "FluxTransformer2DModel", _rope, patch_size=1),
        "vae": _vae("vae.", scaling_factor=0.3611, shift_factor=0.1159, sample_size=1024, force_upcast=True),
        "text_encoder": _clip(_CLIP_L, act="quick_gelu"),
        "text_encoder_2": _t5("tokenizer_2"),
    },
)
LAYOUTS: Mapping[str, Layout] = {layout.id: layout for layout in (_SD1, _SD2, _SDXL, _REFINER, _SD3, _FLUX)}
