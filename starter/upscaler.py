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

SCALE = 2
CHANNELS = 3


def build() -> Compact:
    """Random weights, but the colours go through all layers unchanged and the last layer is zero.

    So it begins as the nearest enlargement, and the last layer has the picture itself to learn from at once.
    """
    model = Compact(num_in_ch=CHANNELS, num_out_ch=CHANNELS, num_feat=32, num_conv=8, upscale=SCALE, act_type="prelu")
    convolutions = [layer for layer in model.body if isinstance(layer, torch.nn.Conv2d)]
    with torch.no_grad():
        for layer in convolutions[:-1]:
            layer.weight[:CHANNELS] = 0
            layer.bias[:CHANNELS] = 0
            for channel in range(CHANNELS):
                layer.weight[channel, channel, 1, 1] = 1
        for weights in convolutions[-1].parameters():
            weights.zero_()
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
        error = ((model(small).float() - wanted) ** 2).mean((1, 2, 3))
        # The measure itself: a plain mean would see little but the few pictures that are hard.
        return {"loss": (error + 1e-6).log().mean(), "psnr": -10 * (error + 1e-6).log10().mean()}

    train({"upscaler": model}, loss, size.upscaler, work / "state" / "upscaler.safetensors")
    path = work / "starter-2x.safetensors"
    save_file({k: v.half().contiguous() for k, v in model.cpu().state_dict().items()}, path)
    return path
