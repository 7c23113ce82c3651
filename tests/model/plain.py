"""The plain diffusers call that our pictures are compared with, and small models of the true classes made on the spot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

from modules.samplers.build import build_scheduler


def plain_picture(folder: Path, *, sampler: str = "DPM++ 2M", schedule: str = "Automatic", seed: int = 1, **call: Any) -> Image.Image:
    """What anyone gets who loads the folder with diffusers and calls the pipeline once, on the CPU in float32."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, safety_checker=None, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = build_scheduler(sampler, schedule, pipeline.scheduler.config)
    return pipeline(generator=torch.Generator("cpu").manual_seed(seed), **call).images[0]


def tiny_stable_diffusion(folder: Path, tokenizer: Path, *, prediction: str = "epsilon", seed: int = 0) -> Path:
    """A random model of the true classes in the diffusers layout: 32 px pictures, about 200,000 weights."""
    torch.manual_seed(seed)
    parts: dict[str, Any] = {
        "unet": UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            block_out_channels=(16, 32),
            layers_per_block=1,
            cross_attention_dim=32,
            attention_head_dim=2,
            norm_num_groups=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ),
        "vae": AutoencoderKL(
            block_out_channels=(8, 8, 16, 16),
            norm_num_groups=4,
            latent_channels=4,
            sample_size=64,
            layers_per_block=1,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        ),
        "text_encoder": CLIPTextModel(
            CLIPTextConfig(
                hidden_size=32,
                intermediate_size=64,
                num_attention_heads=2,
                num_hidden_layers=2,
                vocab_size=4216,
                bos_token_id=4214,
                eos_token_id=4215,
                pad_token_id=4215,
            )
        ),
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name, safe_serialization=True)
    shutil.copytree(tokenizer, folder / "tokenizer", dirs_exist_ok=True)
    scheduler = {
        "_class_name": "PNDMScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": prediction,
    }
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
