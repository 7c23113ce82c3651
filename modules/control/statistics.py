"""Colour and contrast of one latent given to another, channel by channel.

Start reading at `with_statistics_of`. Source: arXiv:1703.06868 (adaptive instance normalisation), eq. 8, on latents.
"""

from __future__ import annotations

import torch

_LEAST = 1e-5


def with_statistics_of(content: torch.Tensor, style: torch.Tensor, strength: float) -> torch.Tensor:
    """The content latent (B, C, h, w) with mean and deviation of each channel moved towards the style's (1, C, h', w').

    strength: 0 (the content unchanged, bit for bit) to 1 (the style's numbers). Same device and number type as content.
    """
    if strength == 0:
        return content
    x, like = content.float(), style.to(content.device).float()
    mean, spread = x.mean((2, 3), keepdim=True), x.std((2, 3), keepdim=True)
    wanted_mean, wanted_spread = like.mean((2, 3), keepdim=True), like.std((2, 3), keepdim=True)
    moved = (x - mean) / spread.clamp_min(_LEAST) * wanted_spread + wanted_mean
    return (x + strength * (moved - x)).to(content.dtype)
