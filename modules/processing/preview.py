"""Live previews: a small picture of what the sampler believes now, cheap enough to make while it works.

The mix of latent channels that gives red, green and blue is fitted once to the model's own VAE, so it suits any model.
Start reading at `Previewer.jpeg`.
"""

from __future__ import annotations

import io
from typing import Any

import torch
from PIL import Image

from modules.pixels.grid import image_grid
from modules.processing.latent import to_latent, to_pixels

FIT_CELLS = 12
FIT_REPEAT = 4
MAX_SIDE_PX = 512


class Previewer:
    """Makes previews for one loaded model."""

    def __init__(self, vae: Any, cell_px: int) -> None:
        self._vae = vae
        self._cell_px = cell_px
        self._mix: torch.Tensor | None = None

    @property
    def fitted(self) -> bool:
        """Small previews ask nothing of the VAE any more."""
        return self._mix is not None

    def jpeg(self, clean: torch.Tensor, *, full: bool) -> bytes:
        """JPEG of the predicted clean latents (B, C, h, w) of a batch, side by side. full: decode with the VAE."""
        pixels = self._decode(clean) if full else self._approximate(clean)
        images = [_to_image(p, self._cell_px if not full else 1) for p in pixels]
        buffer = io.BytesIO()
        (images[0] if len(images) == 1 else image_grid(images)).save(buffer, "JPEG", quality=75)
        return buffer.getvalue()

    def _decode(self, clean: torch.Tensor) -> torch.Tensor:
        pixels, _ = to_pixels(self._vae, clean)
        return (pixels.float().cpu() / 2 + 0.5).nan_to_num().clamp(0, 1)

    def _approximate(self, clean: torch.Tensor) -> torch.Tensor:
        if self._mix is None:
            self._mix = fit_mix(self._vae, self._cell_px, clean.device)
        latent = clean.float().cpu()
        mixed = torch.einsum("bchw,cd->bdhw", latent, self._mix[:-1]) + self._mix[-1].view(1, 3, 1, 1)
        return mixed.clamp(0, 1)


def fit_mix(vae: Any, cell_px: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Least-squares mix (C + 1, 3) from scaled latent channels (and a constant) to RGB in [0, 1].

    Fitted on one picture of random flat patches, each several cells wide, encoded by this VAE. device: where the VAE runs, which is
    not where its weights lie while a memory policy keeps them away.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    colours = torch.rand((1, 3, FIT_CELLS, FIT_CELLS), generator=generator)
    cells = colours.repeat_interleave(FIT_REPEAT, 2).repeat_interleave(FIT_REPEAT, 3)
    pixels = cells.repeat_interleave(cell_px, 2).repeat_interleave(cell_px, 3)
    latent = to_latent(vae, pixels.to(device))[0].flatten(1).T
    target = cells[0].flatten(1).T
    known = torch.cat([latent, torch.ones(len(latent), 1)], dim=1)
    return torch.linalg.lstsq(known, target).solution


def _to_image(pixels: torch.Tensor, scale: int) -> Image.Image:
    """pixels: (3, H, W) in [0, 1]; enlarged by scale with smooth edges, at most MAX_SIDE_PX a side."""
    array = (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(array)
    longest = max(image.size) * scale
    factor = scale * min(1.0, MAX_SIDE_PX / longest)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)
