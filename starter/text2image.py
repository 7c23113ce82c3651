"""Text to image: CLIP text model and UNet in the layout of Stable Diffusion 1.x, learnt together from scratch on latents.

v-prediction on SD's betas. Latents of many scenes are made once; captions are made anew each time. Start reading at `make`.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from starter.scenes import Painter, Scene
from starter.sizes import Size
from starter.training import device, half_precision, train

NOISE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
}
EMPTY_SHARE = 0.1


def build(size: Size, tokenizer: CLIPTokenizer) -> tuple[CLIPTextModel, UNet2DConditionModel]:
    """Random weights."""
    heads = max(1, size.text_width // 64)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=size.text_width,
            intermediate_size=size.text_width * 4,
            num_hidden_layers=size.text_layers,
            num_attention_heads=heads,
            max_position_embeddings=77,
            hidden_act="quick_gelu",
            projection_dim=size.text_width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="eager" if device().type == "cpu" else "sdpa",
        )
    )
    unet = UNet2DConditionModel(
        sample_size=size.side_px // 8,
        block_out_channels=size.unet_channels,
        layers_per_block=size.unet_layers,
        cross_attention_dim=size.text_width,
        attention_head_dim=4,
        norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )
    if device().type == "cpu":  # the flash kernel's backward pass takes two thirds of a step there
        unet.set_attn_processor(AttnProcessor())
    return text, unet


def latents(work: Path, size: Size, painter: Painter) -> tuple[torch.Tensor, list[Scene]]:
    """(scaled latents (N, 4, h, w) float16, their scenes); made once and kept in the work folder."""
    values, scenes_file = work / "latents.pt.safetensors", work / "scenes.json"
    from safetensors.torch import load_file, save_file

    if not values.exists():
        known = work / "begin" / "vae"  # its encoder is the one that work/vae will have
        vae = AutoencoderKL.from_pretrained(known if known.exists() else work / "vae", local_files_only=True).to(device()).eval()
        rng, scenes, made = random.Random(7), [], []
        while len(scenes) < size.latents:
            batch = [painter.draw_scene(rng, size.scenes) for _ in range(min(64, size.latents - len(scenes)))]
            pixels = painter.render(batch, rng, mirror=False)  # learnt both ways round, a drawing comes out as half of each
            with torch.no_grad(), torch.autocast(device().type, dtype=torch.bfloat16, enabled=half_precision(device())):
                mode = vae.encode(pixels * 2 - 1).latent_dist.mode()
            made.append((mode.float() * vae.config.scaling_factor).half().cpu())
            scenes += batch
        save_file({"latents": torch.cat(made).contiguous()}, values)
        scenes_file.write_text(json.dumps([asdict(s) for s in scenes]))
    return load_file(values)["latents"], [Scene(**s) for s in json.loads(scenes_file.read_text())]


def make(work: Path, size: Size, painter: Painter) -> Path:
    """Train, from the weights in work/begin if there are any, and save a StableDiffusionPipeline in float16. Returns the folder."""
    where = device()
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer", local_files_only=True)
    stored, scenes = latents(work, size, painter)
    stored = stored.to(where)
    torch.manual_seed(0)
    text, unet = (module.to(where) for module in build(size, tokenizer))
    if (begin := work / "begin").exists():
        text.load_state_dict(CLIPTextModel.from_pretrained(begin / "text_encoder", dtype=torch.float32, local_files_only=True).state_dict())
        unet.load_state_dict(UNet2DConditionModel.from_pretrained(begin / "unet", dtype=torch.float32, local_files_only=True).state_dict())
    alphas = DDPMScheduler(**NOISE).alphas_cumprod.to(where)

    def loss(rng: random.Random, step: int) -> dict[str, torch.Tensor]:
        batch = size.text2image.batch
        picked = [rng.randrange(len(scenes)) for _ in range(batch)]
        captions = ["" if rng.random() < EMPTY_SHARE else painter.caption(scenes[i], rng) for i in picked]
        ids = tokenizer(captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids.to(where)
        clean = stored[torch.tensor(picked, device=where)].float()
        noise = torch.randn_like(clean)
        often_high = torch.sigmoid(torch.randn(batch) + 0.6)  # text is learnt where the noise is strong
        times = (torch.where(torch.rand(batch) < 0.6, often_high, torch.rand(batch)) * 1000).long().clamp(0, 999).to(where)
        a = alphas[times].view(-1, 1, 1, 1)
        noisy, wanted = a.sqrt() * clean + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * clean
        guessed = unet(noisy, times, text(ids)[0]).sample.float()
        each = ((guessed - wanted) ** 2).mean((1, 2, 3))
        return {"loss": each.mean(), "noisy_part": each[times > 700].mean() if bool((times > 700).any()) else each.mean()}

    train({"text": text, "unet": unet}, loss, size.text2image, work / "state" / "text2image.safetensors")
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(work / "vae", local_files_only=True),
        text_encoder=text.cpu(),
        tokenizer=tokenizer,
        unet=unet.cpu(),
        scheduler=DPMSolverMultistepScheduler(**NOISE, timestep_spacing="trailing"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(work / "pipeline")
    return work / "pipeline"
