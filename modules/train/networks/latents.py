"""Pictures as latents: encoded once or every time, drawn anew at each step. torch lives here. Start reading at `Latents.drawn`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from modules.train.trainee import Example, StepNoise, Tensors

MEAN, DEVIATION = "mean", "deviation"


class Latents:
    """The VAE of a pipeline. It sums in float32, or bfloat16 when its weights are: float16 overflows in the VAE of SDXL."""

    def __init__(self, vae: Any) -> None:
        if vae.dtype == torch.float16:
            vae.to(torch.float32)
        self.vae = vae

    @torch.no_grad()
    def encode(self, examples: Sequence[Example]) -> list[Tensors]:
        """Mean and deviation of each picture's latents, (C, h, w) float32, where the VAE is. Pictures of one size, (3, H, W) in [-1, 1]."""
        pixels = torch.stack([_pixels(example) for example in examples]).to(self.vae.device, self.vae.dtype)
        with torch.autocast(pixels.device.type, enabled=False):
            found = self.vae.encode(pixels).latent_dist
        return [{MEAN: mean, DEVIATION: deviation} for mean, deviation in zip(found.mean.float(), found.std.float(), strict=True)]

    def drawn(self, rows: Sequence[Mapping[str, torch.Tensor]], rng: StepNoise, device: Any) -> torch.Tensor:
        """(B, C, h, w) float32 in the network's scale, drawn from what `encode` gave."""
        mean = torch.stack([row[MEAN] for row in rows]).to(device, torch.float32)
        deviation = torch.stack([row[DEVIATION] for row in rows]).to(device, torch.float32)
        drawn = mean + deviation * rng.normal(mean.shape[1:], "latents", device=device)
        return (drawn - (self.vae.config.shift_factor or 0.0)) * self.vae.config.scaling_factor


def _pixels(example: Example) -> torch.Tensor:
    if example.pixels is None:
        raise ValueError(f"{example.name}: neither pixels nor cached latents")
    return example.pixels
