"""Small random models of the true classes of every family, written as diffusers folders on the spot.

Structure, normalisation groups and head widths are the published ones; only widths, depths and vocabularies are smaller, so a
layout or detector that holds for these holds for the full size. Text encoders of one model have different widths, so that two
of them cannot be mixed up unnoticed; with full_text=True they are as wide as the published ones (768, 1280, 4096), by which loose
files are told apart. Start reading at `BUILDERS`; every builder has the form `sd15(folder, **options)`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from modules.folders import PROGRAM

TOKENIZER = PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter" / "tokenizer"
VOCABULARY = 4216
_DIFFUSION = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def sd15(folder: Path, *, variant: str = "", prediction: str = "epsilon", full_text: bool = False, seed: int = 0) -> Path:
    """Stable Diffusion 1.x, text width 64. variant: "", "inpainting", "instruct-pix2pix"; prediction: "epsilon" or "v_prediction"."""
    torch.manual_seed(seed)
    width = _width(64, full_text)
    pipeline = {
        "": StableDiffusionPipeline,
        "inpainting": StableDiffusionInpaintPipeline,
        "instruct-pix2pix": StableDiffusionInstructPix2PixPipeline,
    }[variant]
    return _save(
        folder,
        pipeline,
        unet=_unet(
            variant,
            block_out_channels=(32, 32, 64, 64),
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            attention_head_dim=8,
            cross_attention_dim=width,
        ),
        vae=_vae(4),
        text_encoder=_clip(CLIPTextModel, width, "quick_gelu"),
        tokenizer=_tokenizer(),
        scheduler=PNDMScheduler(**_pndm(prediction)),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sd2(folder: Path, *, variant: str = "", prediction: str = "epsilon", zero_snr: bool = False, seed: int = 0) -> Path:
    """Stable Diffusion 2.x, text width 1024 (by which its folders are told from 1.x). variant: "", "768", "inpainting".

    prediction: "v_prediction" is what the 768 models have; zero_snr: zero-terminal SNR with trailing steps.
    """
    torch.manual_seed(seed)
    scheduler = PNDMScheduler(**_pndm(prediction))
    if zero_snr:
        scheduler = DDIMScheduler(
            **_DIFFUSION,
            prediction_type=prediction,
            clip_sample=False,
            set_alpha_to_one=False,
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
        )
    return _save(
        folder,
        StableDiffusionInpaintPipeline if variant == "inpainting" else StableDiffusionPipeline,
        unet=_unet(
            variant,
            sample_size=96 if variant == "768" else 64,
            block_out_channels=(64, 64, 64, 128),
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            attention_head_dim=[1, 1, 1, 2],
            cross_attention_dim=1024,
            use_linear_projection=True,
        ),
        vae=_vae(4),
        text_encoder=_clip(CLIPTextModel, 1024, "gelu", intermediate_size=64, num_hidden_layers=2),
        tokenizer=_tokenizer(pad="!"),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl(folder: Path, *, variant: str = "", prediction: str = "epsilon", full_text: bool = False, seed: int = 0) -> Path:
    """SDXL base, text widths 64 and 128. variant: "", "inpainting", "instruct-pix2pix"."""
    torch.manual_seed(seed)
    low, high = _width(64, full_text), _width(128, full_text)
    pipeline = {
        "": StableDiffusionXLPipeline,
        "inpainting": StableDiffusionXLInpaintPipeline,
        "instruct-pix2pix": StableDiffusionXLInstructPix2PixPipeline,
    }[variant]
    return _save(
        folder,
        pipeline,
        unet=_unet_xl(variant, text=low + high, pooled=high, ids=6, attention=(False, True, True), depths=[1, 1, 2]),
        vae=_vae(4, scaling_factor=0.13025, sample_size=1024),
        text_encoder=_clip(CLIPTextModel, low, "quick_gelu"),
        text_encoder_2=_clip(CLIPTextModelWithProjection, high, "gelu"),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(pad="!"),
        scheduler=EulerDiscreteScheduler(**_DIFFUSION, prediction_type=prediction, timestep_spacing="leading"),
    )


def sdxl_refiner(folder: Path, *, full_text: bool = False, seed: int = 0) -> Path:
    """The SDXL refiner: only the second text encoder (width 128), four UNet levels, five time ids."""
    torch.manual_seed(seed)
    width = _width(128, full_text)
    return _save(
        folder,
        StableDiffusionXLImg2ImgPipeline,
        unet=_unet_xl("", text=width, pooled=width, ids=5, attention=(False, True, True, False), depths=1),
        vae=_vae(4, scaling_factor=0.13025, sample_size=1024),
        text_encoder=None,
        text_encoder_2=_clip(CLIPTextModelWithProjection, width, "gelu"),
        tokenizer=None,
        tokenizer_2=_tokenizer(pad="!"),
        scheduler=EulerDiscreteScheduler(**_DIFFUSION, timestep_spacing="leading"),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
    )


def sd3(folder: Path, *, variant: str = "medium", t5: bool = True, full_text: bool = False, seed: int = 0) -> Path:
    """SD3 and SD3.5, text widths 64, 128 and 192. variant: "medium", "3.5-medium", "3.5-large"; t5: with the third text encoder."""
    torch.manual_seed(seed)
    low, high, long = _width(64, full_text), _width(128, full_text), _width(192, full_text)
    clip = _clip(CLIPTextModelWithProjection, low, "quick_gelu")
    clip.text_projection.weight.data = torch.eye(low)  # as published: this encoder's pooled output is not projected
    return _save(
        folder,
        StableDiffusion3Pipeline,
        transformer=SD3Transformer2DModel(
            sample_size=128,
            num_layers=3,
            attention_head_dim=64,
            num_attention_heads=2,
            joint_attention_dim=long,
            caption_projection_dim=128,
            pooled_projection_dim=low + high,
            pos_embed_max_size={"medium": 12, "3.5-medium": 24, "3.5-large": 12}[variant],
            dual_attention_layers=(0, 1) if variant == "3.5-medium" else (),
            qk_norm=None if variant == "medium" else "rms_norm",
        ),
        vae=_vae(16, scaling_factor=1.5305, shift_factor=0.0609, sample_size=1024),
        text_encoder=clip,
        text_encoder_2=_clip(CLIPTextModelWithProjection, high, "gelu"),
        text_encoder_3=_t5(long) if t5 else None,
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(pad="!"),
        tokenizer_3=_t5_tokenizer() if t5 else None,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def flux(folder: Path, *, guidance: bool = True, full_text: bool = False, seed: int = 0) -> Path:
    """Flux.1, text widths 64 and 192. guidance: with distilled guidance (dev) or without (schnell)."""
    torch.manual_seed(seed)
    low, long = _width(64, full_text), _width(192, full_text)
    shift = {"use_dynamic_shifting": True, "shift": 3.0} if guidance else {"shift": 1.0}
    return _save(
        folder,
        FluxPipeline,
        transformer=FluxTransformer2DModel(
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=128,
            num_attention_heads=1,
            joint_attention_dim=long,
            pooled_projection_dim=low,
            guidance_embeds=guidance,
        ),
        vae=_vae(16, scaling_factor=0.3611, shift_factor=0.1159, sample_size=1024),
        text_encoder=_clip(CLIPTextModel, low, "quick_gelu"),
        text_encoder_2=_t5(long),
        tokenizer=_tokenizer(),
        tokenizer_2=_t5_tokenizer(length=512),
        scheduler=FlowMatchEulerDiscreteScheduler(**shift, base_shift=0.5, max_shift=1.15),
    )


BUILDERS: dict[str, Callable[..., Path]] = {
    "sd15": sd15, "sd2": sd2, "sdxl": sdxl, "sdxl_refiner": sdxl_refiner, "sd3": sd3, "flux": flux,
}  # fmt: skip


def settled(pipeline: Any) -> Any:
    """The pipeline with every weight in memory of its own, as our loading of single files leaves them.

    diffusers keeps float32 weights where they lie in the mapped file; kernels give other last digits for memory that is not aligned,
    so a comparison bit for bit between different files needs this on both sides.
    """
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            for weight in part.parameters():
                weight.data = weight.data.clone()
    return pipeline


def _save(folder: Path, pipeline: type[DiffusionPipeline], **parts: Any) -> Path:
    made: Any = pipeline(**parts)
    made.save_pretrained(folder, safe_serialization=True)
    return folder


def _unet(variant: str, **config: Any) -> UNet2DConditionModel:
    channels = {"inpainting": 9, "instruct-pix2pix": 8}.get(variant, 4)
    return UNet2DConditionModel(**{"sample_size": 64, "in_channels": channels, "layers_per_block": 2, **config})


def _unet_xl(
    variant: str, *, text: int, pooled: int, ids: int, attention: tuple[bool, ...], depths: int | list[int]
) -> UNet2DConditionModel:
    return _unet(
        variant,
        sample_size=128,
        block_out_channels=(64, 64, 128, 128)[: len(attention)],
        down_block_types=tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(attention)),
        attention_head_dim=[1, 1, 2, 2][: len(attention)],
        cross_attention_dim=text,
        transformer_layers_per_block=depths,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=pooled + ids * 256,
    )


def _vae(channels: int, **config: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=2,
        latent_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        use_quant_conv=channels == 4,
        use_post_quant_conv=channels == 4,
        **{"sample_size": 512, "force_upcast": channels == 16, **config},
    )


def _width(small: int, full: bool) -> int:
    """Of a text encoder: CLIP-L, OpenCLIP-G, T5."""
    return {64: 768, 128: 1280, 192: 4096}[small] if full else small


def _clip(kind: type[Any], width: int, act: str, **config: Any) -> Any:
    if width in (768, 1280):
        config = {"intermediate_size": 64, "num_hidden_layers": 2, **config}
    return kind(
        CLIPTextConfig(
            **{
                "hidden_size": width,
                "intermediate_size": width * 2,
                "projection_dim": width,
                "num_attention_heads": width // 64,
                "num_hidden_layers": 3,
                "hidden_act": act,
                "vocab_size": VOCABULARY,
                "bos_token_id": VOCABULARY - 2,
                "eos_token_id": VOCABULARY - 1,
                **config,
            }
        )
    )


def _t5(width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(
            vocab_size=128,
            d_model=width,
            d_kv=64,
            num_heads=2,
            num_layers=1 if width == 4096 else 2,
            d_ff=96,
            feed_forward_proj="gated-gelu",
            is_encoder_decoder=False,
            tie_word_embeddings=False,
        )
    ).eval()


def _tokenizer(pad: str | None = None) -> CLIPTokenizer:
    extra = {"pad_token": pad} if pad else {}
    return CLIPTokenizer.from_pretrained(TOKENIZER, local_files_only=True, **extra)


def _t5_tokenizer(length: int = 77) -> T5TokenizerFast:
    """Pieces of one letter, so that every prompt has many tokens, and a few whole words."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz,.()-0123456789", "▁a", "▁red", "▁the", "▁cat"]
    vocab = [(piece, -float(1 + index % 7)) for index, piece in enumerate(pieces)]
    return T5TokenizerFast(vocab=vocab, extra_ids=0, model_max_length=length)


def _pndm(prediction: str) -> dict[str, Any]:
    return {
        **_DIFFUSION,
        "skip_prk_steps": True,
        "set_alpha_to_one": False,
        "prediction_type": prediction,
    }
