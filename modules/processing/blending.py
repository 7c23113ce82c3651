"""What is kept and what is painted anew, place by place, while a run goes on: masks with values between 0 and 1, soft inpainting.

Knows latents and noise levels; knows nothing about pictures. Start reading at `Blend`. Soft inpainting lets each place change only
from the noise level on that its mask allows (differential diffusion, arXiv:2306.00950), with A1111's five names for its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from modules.request import Repaint

_TINY = 1e-6


@dataclass(frozen=True, kw_only=True)
class Soft:
    """bias: how early places of low mask values may change; preservation: how strongly they are held back; contrast: of what is mixed.

    influence: how much the mask itself counts for the overlay (0 to 1); threshold: the change of the latent at which the original is half
    covered; difference_contrast: how suddenly.
    """

    bias: float = 1.0
    preservation: float = 0.5
    contrast: float = 4.0
    influence: float = 0.0
    threshold: float = 0.5
    difference_contrast: float = 2.0

    @classmethod
    def asked(cls, image: Repaint) -> Soft | None:
        """None when soft inpainting is off."""
        if not image.soft_inpainting:
            return None
        return cls(
            bias=image.soft_schedule_bias,
            preservation=image.soft_preservation_strength,
            contrast=image.soft_transition_contrast_boost,
            influence=image.soft_mask_influence,
            threshold=image.soft_difference_threshold,
            difference_contrast=image.soft_difference_contrast,
        )


@dataclass(frozen=True, kw_only=True)
class Blend:
    """kept: latents (B, C, h, w) in the network's scale; mask: (B, 1, h, w), 0 kept to 1 painted; soft: None for a plain mixture."""

    kept: torch.Tensor
    mask: torch.Tensor
    soft: Soft | None = None

    def __call__(self, clean: torch.Tensor, sigma: float) -> torch.Tensor:
        """A predicted clean latent (B, C, h, w) of noise level sigma, with what is to be kept put in."""
        kept, share = self.kept.to(clean), self.mask.to(clean)
        if self.soft is None:
            return kept * (1 - share) + clean * share
        return mixed(kept, clean, share ** (sigma**self.soft.bias * self.soft.preservation), self.soft.contrast)

    def row(self, i: int) -> Blend:
        """Of one picture alone."""
        return replace(self, kept=self.kept[i : i + 1], mask=self.mask[i : i + 1])


def mixed(kept: torch.Tensor, new: torch.Tensor, share: torch.Tensor, contrast: float) -> torch.Tensor:
    """Between two latents (B, C, h, w) by a share (B, 1, h, w) of the new one, with the strength that neither averages away.

    A plain mixture of unlike vectors is shorter than both; it is made as long as their power mean of order `contrast` (>= 1).
    """
    between = kept * (1 - share) + new * share
    long = [vector.float().norm(dim=1, keepdim=True) for vector in (kept, new, between)]
    wanted = ((long[0] ** contrast) * (1 - share.float()) + (long[1] ** contrast) * share.float()) ** (1 / contrast)
    factor = torch.where(long[2] > _TINY, wanted / long[2].clamp_min(_TINY), torch.ones_like(wanted))
    middle = (share > 0) & (share < 1)  # the ends stay exactly what they are
    return torch.where(middle, between * factor.to(between), between)


def covered(before: torch.Tensor, after: torch.Tensor, mask: torch.Tensor, soft: Soft) -> torch.Tensor:
    """How much of the original the result covers at each place: (B, h, w), 0 to 1, by how far the latents (B, C, h, w) moved.

    Small specks are taken out, and edges drawn outwards by a cell, so that the seam lies where both are alike. mask: (B, 1, h, w).
    """
    moved = (after.float() - before.float()).norm(dim=1, keepdim=True)
    moved = torch.nn.functional.max_pool2d(moved, 3, stride=1, padding=1)
    around = torch.nn.functional.unfold(torch.nn.functional.pad(moved, (1, 1, 1, 1), mode="replicate"), 3)
    moved = around.median(dim=1).values.view_as(moved)
    weight = 0.5 * (1 - soft.influence) + (1 - mask.float()).clamp(0, 1) * soft.influence
    half = soft.threshold * weight / (1 - weight).clamp_min(_TINY)
    far = (moved / half.clamp_min(_TINY)) ** soft.difference_contrast
    kept = 1 / (1 + far)
    smooth = kept**3 * (kept * (kept * 6 - 15) + 10)
    return (1 - smooth).clamp(0, 1)[:, 0]
