"""Token merging: alike places of the picture go through the largest self-attention as one.

In every 2x2 cells one place is drawn as the one that others may join; of all others the share that is most alike joins. Drawn from each
picture's own seed, so that a batch equals its singles. Start reading at `Merge`. Source: arXiv:2303.17604, sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.hooks import ModelHook
from diffusers.models.attention import BasicTransformerBlock

from modules.steering.blocks import inside

Tensor = torch.Tensor
CELL = 2
_SALT = 0x70_6D_65  # the draws have nothing to do with those of the first noise


class Grid:
    """The size in places of the level that is merged, of the network call under way, and each picture's draws."""

    def __init__(self, level: int, seeds: tuple[int, ...]) -> None:
        self._level = level
        self._draws = [torch.Generator("cpu").manual_seed((seed ^ _SALT) & (2**63 - 1)) for seed in seeds]
        self.size = (0, 0)

    def begin(self, latent: Tensor) -> None:
        """latent: (rows, C, h, w), what the network is asked about."""
        h, w = latent.shape[-2:]
        for _ in range(self._level):
            h, w = (h + 1) // 2, (w + 1) // 2
        self.size = (h, w)

    def drawn(self, rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """(others (rows, N - D), chosen (rows, D)): indices of places. Rows of a picture lie a batch apart."""
        h, w = self.size
        down, across = h // CELL, w // CELL
        others, chosen = [], []
        for draw in self._draws:
            pick = torch.randint(CELL * CELL, (down, across), generator=draw)
            y = torch.arange(down).view(-1, 1) * CELL + pick // CELL
            x = torch.arange(across) * CELL + pick % CELL
            mask = torch.zeros(h * w, dtype=torch.bool)
            mask[(y * w + x).flatten()] = True
            others.append((~mask).nonzero().flatten())
            chosen.append(mask.nonzero().flatten())
        at = torch.arange(rows) % len(self._draws)
        return torch.stack(others)[at].to(device), torch.stack(chosen)[at].to(device)


@dataclass(frozen=True)
class Merging:
    """Which places join which. joined, alone: (rows, n) indices of places; chosen: (rows, D); into: (rows, n) index in chosen."""

    joined: Tensor
    alone: Tensor
    chosen: Tensor
    into: Tensor

    def merged(self, x: Tensor) -> Tensor:
        """(rows, N, C) -> (rows, N - n, C): the places alone, then the means of the chosen ones and those that joined them."""
        base = _taken(x, self.chosen)
        into = self.into.unsqueeze(-1).expand(-1, -1, x.shape[-1])
        means = base.scatter_reduce(1, into, _taken(x, self.joined), reduce="mean", include_self=True)
        return torch.cat([_taken(x, self.alone), means], dim=1)

    def parted(self, x: Tensor, places: int) -> Tensor:
        """(rows, N - n, C) -> (rows, N, C): whoever joined gets what its mean got."""
        alone, means = x.split([self.alone.shape[1], self.chosen.shape[1]], dim=1)
        out = x.new_empty(len(x), places, x.shape[-1])
        for index, values in ((self.alone, alone), (self.chosen, means), (self.joined, _taken(means, self.into))):
            out.scatter_(1, index.unsqueeze(-1).expand_as(values), values)
        return out


def _taken(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def matched(x: Tensor, others: Tensor, chosen: Tensor, count: int) -> Merging:
    """The `count` most alike of the others, by cosine, each with the chosen place it is most like. x: (rows, N, C)."""
    normed = torch.nn.functional.normalize(x, dim=-1)
    best, into = (_taken(normed, others) @ _taken(normed, chosen).transpose(-1, -2)).max(dim=-1)
    order = best.argsort(dim=-1, descending=True, stable=True)
    first, rest = order[:, :count], order[:, count:]
    return Merging(others.gather(1, first), others.gather(1, rest), chosen, into.gather(1, first))


class Merge(ModelHook):
    """Set on a self-attention layer. ratio: share of all places that are merged, at most all that are not chosen."""

    _is_stateful = False

    def __init__(self, grid: Grid, ratio: float) -> None:
        super().__init__()
        self._grid = grid
        self._ratio = ratio

    def new_forward(self, module: torch.nn.Module, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """hidden_states: (rows, h * w, C), as the block normalised them."""
        rows, places, _ = hidden_states.shape
        h, w = self._grid.size
        count = min(int(places * self._ratio), places - (h // CELL) * (w // CELL))
        if h * w != places or min(h, w) < CELL or count < 1:
            return inside(self)(hidden_states, *args, **kwargs)
        merging = matched(hidden_states, *self._grid.drawn(rows, hidden_states.device), count)
        return merging.parted(inside(self)(merging.merged(hidden_states), *args, **kwargs), places)


def largest(unet: Any) -> tuple[int, list[Any]]:
    """(level, self-attention layers) of the highest resolution at which a UNet has any; level: how often it was halved."""
    downs, ups = list(unet.down_blocks), list(unet.up_blocks)
    for level, down in enumerate(downs):
        blocks = [b for part in (down, ups[-1 - level]) for b in part.modules() if isinstance(b, BasicTransformerBlock)]
        layers = [block.attn1 for block in blocks if not block.only_cross_attention]
        if layers:
            return level, layers
    return 0, []
