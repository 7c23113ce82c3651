"""`modules.rng` for the worker: noise by seed, as pictures of this program begin with it. Start reading at `names`."""

from __future__ import annotations

from typing import Any

import torch

from modules.samplers.noise import PictureNoise, stream, turned

Views = Any  # modules.compat.views.Views; it imports this file


class ImageRNG:
    """Noise of a batch: `next()` first gives the noise it begins with, then further noise. shape: (C, h, w)."""

    def __init__(self, shape: Any, seeds: Any, subseeds: Any = None, subseed_strength: float = 0.0, seed_resize_from_h: int = 0,
                 seed_resize_from_w: int = 0, source: str = "CPU", device: str = "cpu") -> None:  # fmt: skip
        self.shape, self.seeds = tuple(shape), list(seeds)
        self._noise = PictureNoise(self.seeds, source=source, device=device)
        small = (seed_resize_from_h // 8, seed_resize_from_w // 8)
        self._how: dict[str, Any] = {"subseeds": list(subseeds or []), "subseed_strength": subseed_strength}
        self._how["resize_from"] = small if all(small) else None
        self.is_first = True

    def first(self) -> torch.Tensor:
        return self._noise.first(self.shape, **self._how)  # type: ignore[arg-type]

    def next(self) -> torch.Tensor:
        if self.is_first:
            self.is_first = False
            return self.first()
        return self._noise.normal(torch.empty(len(self.seeds), *self.shape))


def slerp(val: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """From low (0) towards high (1) on the sphere."""
    return turned(val, low, high)


def names(views: Views) -> dict[str, Any]:
    """Source and device follow the settings of the job."""

    def source() -> str:
        return str(getattr(views.opts, "randn_source", "CPU"))

    def draw(seed: int, shape: Any, generator: Any = None) -> torch.Tensor:
        return stream(int(seed), source(), views.ways.device()).draw(tuple(shape))

    def batch(*args: Any, **kwargs: Any) -> ImageRNG:
        return ImageRNG(*args, **{"source": source(), "device": views.ways.device(), **kwargs})

    return {
        "ImageRNG": batch,
        "randn": draw,
        "randn_local": draw,
        "randn_like": torch.randn_like,
        "randn_without_seed": lambda shape, generator=None: torch.randn(tuple(shape), generator=generator),
        "create_generator": lambda seed: torch.Generator("cpu").manual_seed(int(seed)),
        "manual_seed": lambda seed: torch.manual_seed(int(seed)),
        "slerp": slerp,
    }
