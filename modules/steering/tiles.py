"""Tiled diffusion: at every step a large latent is asked about in overlapping tiles, and their answers are joined by weights.

So a picture far larger than the model was made for keeps its things at their size, and the network's memory is that of a tile.
Start reading at `Tiles.new_forward`. Source: arXiv:2302.08113, section 4 (MultiDiffusion); weights that wane towards a tile's edges as in
arXiv:2302.02412, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.hooks import ModelHook

from modules.pixels.spans import Span, spans
from modules.steering.blocks import inside

CELLS_PX = 8  # pixels of a latent's cell
WINDOW = "darkroom_window"  # an argument for hooks inside: where in the latent the sample lies, as `Window`
WHOLE = 8  # sides of tiles are multiples of so many cells, as UNets halve them three times


@dataclass(frozen=True)
class Window:
    """A tile of a latent of `size` (h, w) cells: rows top to bottom, columns left to right, ends not included."""

    top: int
    bottom: int
    left: int
    right: int
    size: tuple[int, int]

    def cut(self, picture: torch.Tensor) -> torch.Tensor:
        """The same part of something (..., H, W) that shows the whole latent's place, a whole number of pixels for each cell."""
        rows, columns = picture.shape[-2] // self.size[0], picture.shape[-1] // self.size[1]
        return picture[..., self.top * rows : self.bottom * rows, self.left * columns : self.right * columns]


class Tiles(ModelHook):
    """Set on a UNet. side_px: of a tile; overlap_px: what neighbours share at least, half a tile at most.

    Both in pixels, rounded down to whole cells. told: hooks inside are given each tile's `Window` as the argument WINDOW, and take it out.
    """

    _is_stateful = False

    def __init__(self, side_px: int, overlap_px: int, *, told: bool = False) -> None:
        super().__init__()
        self._told = told
        self._side = max(side_px // CELLS_PX // WHOLE, 1) * WHOLE
        self._overlap = min(max(overlap_px // CELLS_PX, 0), self._side // 2)

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """output[0] is (rows, C, h, w) as the sample is; one that fits into a tile goes through as it is."""
        sample: torch.Tensor = args[0] if args else kwargs["sample"]
        if max(sample.shape[-2:]) <= self._side:
            return inside(self)(*args, **kwargs)
        rest = () if not args else args[1:]
        total: torch.Tensor | None = None
        weight = sample.new_zeros(sample.shape[-2:], dtype=torch.float32)
        output: Any = ()
        for top, bottom in spans(sample.shape[-2], self._side, self._overlap):
            for left, right in spans(sample.shape[-1], self._side, self._overlap):
                cut = sample[..., top:bottom, left:right].contiguous()
                if self._told:
                    kwargs[WINDOW] = Window(top, bottom, left, right, (sample.shape[-2], sample.shape[-1]))
                output = inside(self)(cut, *rest, **kwargs) if args else inside(self)(**{**kwargs, "sample": cut})
                answer: torch.Tensor = output[0]
                if total is None:
                    total = answer.new_zeros((*answer.shape[:-2], *sample.shape[-2:]), dtype=torch.float32)
                share = waning((top, bottom), sample.shape[-2])[:, None] * waning((left, right), sample.shape[-1])
                share = share.to(weight)
                total[..., top:bottom, left:right] += answer.float() * share
                weight[top:bottom, left:right] += share
        if total is None:
            raise ValueError("an empty latent has no tiles")
        return ((total / weight).to(output[0].dtype), *output[1:])


def waning(span: Span, length: int) -> torch.Tensor:
    """Weights above 0 along a tile, falling towards its ends but for those that are the latent's own."""
    begin, end = span
    at = torch.arange(end - begin, dtype=torch.float32) + 0.5
    near = torch.full_like(at, float(end - begin))
    if begin > 0:
        near = torch.minimum(near, at)
    if end < length:
        near = torch.minimum(near, (end - begin) - at)
    return near / near.max()
