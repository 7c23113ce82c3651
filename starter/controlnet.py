"""The canny ControlNet of the text-to-image model: begins as a copy of its UNet's first half, learns to follow edges."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from diffusers import AutoencoderKL, ControlNetModel, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from starter.scenes import Painter
from starter.sizes import Size
from starter.text2image import NOISE
from starter.training import device, train

LOW, HIGH = 100, 200
EMPTY_SHARE = 0.5  # without words the edges alone say what is drawn
MOVED_SHARE = 0.6  # where the text model would not draw it by itself


def edges(pixels: torch.Tensor) -> torch.Tensor:
    """Canny edges (B, 3, H, W) in {0, 1} of pictures (B, 3, H, W) in [0, 1], with the usual thresholds."""
    pictures = (pixels.permute(0, 2, 3, 1).cpu().numpy() * 255).astype(np.uint8)
    found = np.stack([cv2.Canny(picture, LOW, HIGH) for picture in pictures])
    return (torch.from_numpy(found).float() / 255)[:, None].repeat(1, 3, 1, 1).to(pixels.device)


def moved(pixels: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """A picture (3, H, W) in [0, 1], mirrored or not, smaller and elsewhere; its border goes on outwards."""
    scale, mirror = rng.uniform(1.0, 1.9), rng.choice((1.0, -1.0))
    room = scale - 1
    x, y = rng.uniform(-room, room), rng.uniform(-room, room)
    way = torch.tensor([[[scale * mirror, 0.0, x], [0.0, scale, y]]], device=pixels.device)
    grid = functional.affine_grid(way, [1, *pixels.shape], align_corners=False)
    return functional.grid_sample(pixels[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


def edge_f1(made: torch.Tensor, wanted: torch.Tensor, reach: int = 2) -> float:
    """F1 of two maps of edges (H, W) in {0, 1}; an edge counts as found within reach pixels."""
    near = [functional.max_pool2d(x[None, None], 2 * reach + 1, 1, reach)[0, 0] for x in (made, wanted)]
    precision = float((made * near[1]).sum() / made.sum().clamp_min(1))
    recall = float((wanted * near[0]).sum() / wanted.sum().clamp_min(1))
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def make(work: Path, size: Size, painter: Painter) -> Path:
    """Train with everything else frozen and save in float16. Returns the folder."""
    where, pipeline = device(), work / "pipeline"
    unet = (
        UNet2DConditionModel.from_pretrained(pipeline / "unet", dtype=torch.float32, local_files_only=True).to(where).requires_grad_(False)
    )
    text = (
        CLIPTextModel.from_pretrained(pipeline / "text_encoder", dtype=torch.float32, local_files_only=True).to(where).requires_grad_(False)
    )
    vae = AutoencoderKL.from_pretrained(pipeline / "vae", dtype=torch.float32, local_files_only=True).to(where).requires_grad_(False)
    tokens = CLIPTokenizer.from_pretrained(pipeline / "tokenizer", local_files_only=True)
    torch.manual_seed(0)
    if (begin := work / "begin" / "controlnet").exists():
        control = ControlNetModel.from_pretrained(begin, dtype=torch.float32, local_files_only=True)
    else:
        control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 64, 96))
    control = control.to(where).requires_grad_(True)
    alphas = DDPMScheduler(**NOISE).alphas_cumprod.to(where)

    def loss(rng: random.Random, step: int) -> dict[str, torch.Tensor]:
        scenes = [painter.draw_scene(rng, size.scenes) for _ in range(size.controlnet.batch)]
        pixels = torch.stack([moved(one, rng) if rng.random() < MOVED_SHARE else one for one in painter.render(scenes, rng)])
        captions = ["" if rng.random() < EMPTY_SHARE else painter.caption(s, rng) for s in scenes]
        ids = tokens(captions, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids.to(where)
        with torch.no_grad():
            clean = vae.encode(pixels * 2 - 1).latent_dist.mode().float() * vae.config.scaling_factor
            context = text(ids)[0]
        noise = torch.randn_like(clean)
        times = torch.randint(0, 1000, (2, len(scenes))).amax(0).to(where)  # more of the noisy ones, which decide what goes where
        a = alphas[times].view(-1, 1, 1, 1)
        noisy, wanted = a.sqrt() * clean + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * clean
        down, middle = control(noisy, times, encoder_hidden_states=context, controlnet_cond=edges(pixels), return_dict=False)
        guessed = unet(noisy, times, context, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample
        return {"loss": ((guessed.float() - wanted) ** 2).mean()}

    train({"controlnet": control}, loss, size.controlnet, work / "state" / "controlnet.safetensors")
    control.cpu().half().eval().save_pretrained(work / "controlnet")
    return work / "controlnet"
