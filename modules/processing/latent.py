"""Between latents and pixels: the scale a VAE's latents have in the network, packing, and decoding that never ends in NaN.

Knows VAEs of diffusers (AutoencoderKL, AutoencoderTiny); knows nothing about families. Start reading at `to_pixels`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image

from modules.hardware.memory import give_back

LARGE_CELLS = 32 * 32  # of a latent: from 256 px on, decoding takes seconds on a processor and handing back milliseconds


def packed(latent: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (B, h/2 * w/2, 4 C): each 2x2 cells are one token, as Flux reads them. h, w: even."""
    b, c, h, w = latent.shape
    return latent.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, (h // 2) * (w // 2), c * 4)


def unpacked(tokens: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """The opposite of `packed`."""
    b, _, c = tokens.shape
    return tokens.view(b, h // 2, w // 2, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(b, c // 4, h, w)


def unscaled(vae: Any, latent: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) from the network's scale to the VAE's own."""
    config = vae.config
    if config.get("latents_mean") is not None and config.get("latents_std") is not None:
        mean, std = _channels(config.latents_mean, latent), _channels(config.latents_std, latent)
        return latent * std / config.scaling_factor + mean
    latent = latent / config.scaling_factor
    return latent if config.get("shift_factor") is None else latent + config.shift_factor


def scaled(vae: Any, latent: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) from the VAE's own scale to the network's."""
    config = vae.config
    if config.get("latents_mean") is not None and config.get("latents_std") is not None:
        mean, std = _channels(config.latents_mean, latent), _channels(config.latents_std, latent)
        return (latent - mean) * config.scaling_factor / std
    shift = config.get("shift_factor") or 0.0
    return (latent - shift) * config.scaling_factor


def to_pixels(vae: Any, latent: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """(pixels (B, 3, H, W) around [-1, 1], it took a second try) of latents in the network's scale.

    A VAE that says it overflows in float16 is run in float32; one that gives NaN or infinity all the same, again in float32.
    The pixels are not finite only when float32 does not help.
    """
    if vae.dtype == torch.float16 and vae.config.get("force_upcast"):
        with in_float32(vae):
            return _decode(vae, latent), False
    pixels = _decode(vae, latent)
    if vae.dtype == torch.float32 or bool(torch.isfinite(pixels).all()):
        return pixels, False
    with in_float32(vae):
        return _decode(vae, latent), True


def tiny_pixels(tiny: Any, latent: torch.Tensor) -> torch.Tensor:
    """Pixels (B, 3, H, W) around [-1, 1] from a tiny autoencoder, which reads latents in the network's scale."""
    with torch.inference_mode():
        return tiny.to(latent.device).decode(latent.to(tiny.dtype), return_dict=False)[0]


def to_latent(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Latents (B, C, h, w) in the network's scale, float32 on the CPU, of pixels (B, 3, H, W) in [0, 1] that lie where
    the VAE runs; the most likely ones."""
    with torch.inference_mode(), in_float32(vae):
        encoded = vae.encode((pixels * 2 - 1).to(vae.dtype))
    found = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    return scaled(vae, found).float().cpu()


def as_pixels(image: Image.Image, pipeline: Any) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1] of an RGB picture, where the pipeline runs."""
    values = torch.from_numpy(np.array(image.convert("RGB"), np.float32) / 255)
    return values.permute(2, 0, 1).unsqueeze(0).to(pipeline._execution_device)


@contextmanager
def in_float32(vae: Any) -> Iterator[None]:
    """Inside, the VAE calculates in float32; afterwards its weights have the type they had."""
    was = vae.dtype
    if was == torch.float32:
        yield
        return
    vae.to(torch.float32)
    try:
        yield
    finally:
        vae.to(was)


def _decode(vae: Any, latent: torch.Tensor) -> torch.Tensor:
    if latent.device.type == "cpu" and latent[0, 0].numel() >= LARGE_CELLS:
        give_back()  # what the network's steps left in the heap is of no use to decoding, which needs most of all
    with torch.inference_mode():
        return vae.decode(unscaled(vae, latent.to(vae.dtype)), return_dict=False)[0]


def _channels(values: list[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1, 1).to(like.device, like.dtype)
