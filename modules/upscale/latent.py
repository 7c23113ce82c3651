"""Enlarging a latent, before it is painted over. The modes are the rows of `table.LATENT_MODES`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modules.upscale.table import LATENT_MODES

if TYPE_CHECKING:
    import torch


def resize_latent(latent: torch.Tensor, size: tuple[int, int], name: str = "Latent") -> torch.Tensor:
    """(B, C, h, w) at size (width, height) in latent cells; same device and number type. name: a row of LATENT_MODES.

    Computed in float32. "Latent" is also what img2img's "Just resize (latent upscale)" uses. Raises KeyError for other names.
    """
    import torch

    mode = LATENT_MODES[name]
    resized = torch.nn.functional.interpolate(latent.float(), size=(size[1], size[0]), mode=mode.mode, antialias=mode.antialias)
    return resized.to(latent.dtype)
