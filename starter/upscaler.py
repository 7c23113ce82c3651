"""The twofold upscaler: RealESRGAN's compact network (SRVGGNetCompact as spandrel builds it), small, on the same drawings."""

from __future__ import annotations

import random
from pathlib import Path

import torch
import torch.nn.functional as functional
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from starter.scenes import Painter
from starter.sizes import PIXEL_SHARES, Size
from starter.training import device, train
from starter.vae import picture_loss

SCALE = 2


def build() -> Compact:
    """Random weights but for the last layer, which is zero: so it begins as the nearest enlargement, to which the network adds."""
    model = Compact(num_in_ch=3, num_out_ch=3, num_feat=32, num_conv=8, upscale=SCALE, act_type="prelu")
    for weights in model.body[-1].parameters():
        torch.nn.init.zeros_(weights)
    return model


def make(work: Path, size: Size, painter: Painter) -> Path:
    """Train on pictures halved by varying filters, save as one safetensors file. Returns it."""
    torch.manual_seed(0)
    model = build().to(device())

    def loss(rng: random.Random, step: int) -> dict[str, torch.Tensor]:
        wanted = painter.render([painter.draw_scene(rng, PIXEL_SHARES) for _ in range(size.upscaler.batch)], rng)
        half = (wanted.shape[-2] // SCALE, wanted.shape[-1] // SCALE)
        mode = rng.choice(("area", "bicubic", "bilinear"))
        small = functional.interpolate(wanted, half, mode=mode, antialias=mode != "area").clamp(0, 1)
        return {"loss": picture_loss(model(small), wanted)}

    train({"upscaler": model}, loss, size.upscaler, work / "state" / "upscaler.safetensors")
    path = work / "starter-2x.safetensors"
    save_file({k: v.half().contiguous() for k, v in model.cpu().state_dict().items()}, path)
    return path
