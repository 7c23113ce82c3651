"""What a ControlNet gives a network to add: lists of tensors by the places they go to, weighted, masked and added up.

Knows tensors only. Start reading at `weighted`. Source of the layer weights: the behaviour of the well-known ControlNet extension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn.functional import interpolate

# Places: behind the layers on a UNet's way down, behind its middle, inside its levels (T2I-Adapters); behind a transformer's blocks.
DOWN, MID, INNER, BLOCKS, SINGLES = "down", "mid", "inner", "blocks", "singles"
Residuals = dict[str, list[torch.Tensor]]
SOFT = 0.825  # each layer counts so much less than the next deeper one when the prompt is more important


def soft_weights(count: int) -> list[float]:
    """Factors of so many layers, the deepest one last and at 1."""
    return [SOFT ** (count - 1 - n) for n in range(count)]


def weighted(
    residuals: Residuals,
    weight: float,
    layers: Sequence[float] | None = None,
    *,
    region: torch.Tensor | None = None,
    grid: tuple[int, int] = (1, 1),
    rows: torch.Tensor | None = None,
) -> Residuals:
    """Each tensor times weight, times its layer's factor. layers: in the order of all lists; what it lacks counts as 1.

    region: (1, 1, H, W), 0 to 1, how much each place counts. grid: (h, w) of the tokens, for tensors (rows, tokens, width).
    rows: (rows,), a factor for each row.
    """
    found: Residuals = {}
    place = 0
    for name, tensors in residuals.items():
        found[name] = []
        for tensor in tensors:
            factor = weight if layers is None or place >= len(layers) else weight * layers[place]
            place += 1
            changed = tensor * factor
            if region is not None:
                changed = changed * _covered(region, changed, grid)
            if rows is not None:
                changed = changed * rows.to(changed).view(-1, *[1] * (changed.ndim - 1))
            found[name].append(changed)
    return found


def added(one: Residuals, other: Residuals) -> Residuals:
    """The sums; a list that only one of them has is taken as it is. Raises ValueError for lists of different lengths."""
    found = dict(one)
    for name, tensors in other.items():
        found[name] = [a + b for a, b in zip(found[name], tensors, strict=True)] if name in found else tensors
    return found


def spread(tensors: Sequence[torch.Tensor], blocks: int, *, again: bool = False, rounded: bool = True) -> list[torch.Tensor]:
    """One for each of a transformer's blocks, of fewer. again: from the beginning when they are used up; else each serves neighbours.

    rounded: whole numbers of neighbours, as Flux has it; SD3 shares them out evenly. Source: the transformers of diffusers.
    """
    if not tensors:
        return []
    if again:
        return [tensors[n % len(tensors)] for n in range(blocks)]
    width = blocks / len(tensors)
    if rounded:
        return [tensors[n // math.ceil(width)] for n in range(blocks)]
    return [tensors[int(n / width)] for n in range(blocks)]


def for_rows(shown: torch.Tensor, rows: int, pictures: int) -> torch.Tensor:
    """What is shown to each row of a call: (rows, ...), of (blocks or 1, pictures or 1, ...).

    A call has the rows of all pictures for the negative prompt, then for the prompt, and so on; blocks beyond are shown the last.
    """
    found: list[torch.Tensor] = []
    for block in range(rows // pictures):
        picked = shown[min(block, len(shown) - 1)]
        found.append(picked if len(picked) == pictures else picked.expand(pictures, *picked.shape[1:]))
    return torch.cat(found)


def _covered(region: torch.Tensor, like: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """The region at a tensor's size: (1, 1, h, w) or (1, tokens, 1)."""
    size = (like.shape[-2], like.shape[-1]) if like.ndim == 4 else grid
    small = interpolate(region.to(like.device, torch.float32), size=size, mode="area").to(like.dtype)
    return small if like.ndim == 4 else small.flatten(2).transpose(1, 2)
