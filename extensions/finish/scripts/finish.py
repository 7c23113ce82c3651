"""Finish: detail and contrast in the latents, colours and grain in the picture; no step of the sampler is made again.

A native guest at `before_decode` and `decoded`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image, ImageEnhance

from modules.hooks import Guest, Run, Texts
from modules.knobs import Knob

_WARMTH = np.array([0.12, 0.02, -0.12], np.float32)  # of full warmth, on red, green and blue


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """0 changes nothing."""

    detail: Annotated[float, Knob("Detail", -1, 2, step=0.05, help="Fine parts of the latents, stronger or softer.")] = 0.0
    contrast: Annotated[float, Knob("Contrast", -0.5, 0.5, step=0.01, help="How far the latents go from their means.")] = 0.0
    saturation: Annotated[float, Knob("Saturation", -1, 2, step=0.05, help="-1 is grey.")] = 0.0
    warmth: Annotated[float, Knob("Warmth", -1, 1, step=0.05, help="Towards red, or blue.")] = 0.0
    grain: Annotated[float, Knob("Grain", 0, 1, step=0.01, help="Of film; the same for the same seed.")] = 0.0


class Finish(Guest):
    """Off while all is 0."""

    name = "finish"
    title = "Finish"
    knobs = Knobs

    def __init__(self) -> None:
        self._seeds: list[int] = []

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        return any(args)

    def before_batch(self, run: Run, texts: Texts) -> None:
        self._seeds = list(texts.seeds)

    def before_decode(self, run: Run, latents: torch.Tensor) -> torch.Tensor | None:
        detail, contrast = run.args[self.name][:2]
        return sharpened(latents, detail, contrast) if detail or contrast else None

    def decoded(self, run: Run, images: list[Image.Image]) -> list[Image.Image] | None:
        _, _, saturation, warmth, grain = run.args[self.name]
        if not (saturation or warmth or grain):
            return None
        seeds = self._seeds or [0]
        return [coloured(image, saturation, warmth, grain, seeds[n % len(seeds)]) for n, image in enumerate(images)]


def sharpened(latents: torch.Tensor, detail: float, contrast: float) -> torch.Tensor:
    """(B, C, h, w) with more of what a blur of three cells takes away, and further from the mean of each channel."""
    blurred = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    found = latents + detail * (latents - blurred)
    middle = found.mean((2, 3), keepdim=True)
    return middle + (found - middle) * (1 + contrast)


def coloured(image: Image.Image, saturation: float, warmth: float, grain: float, seed: int) -> Image.Image:
    """An RGB picture with its colours moved and noise of one brightness a pixel laid over the middle tones."""
    pixels = np.asarray(ImageEnhance.Color(image).enhance(1 + saturation), np.float32) / 255
    pixels = pixels * (1 + warmth * _WARMTH)
    if grain:
        noise = np.random.default_rng(seed).standard_normal((*pixels.shape[:2], 1), dtype=np.float32)
        grey = pixels.mean(-1, keepdims=True)
        pixels = pixels + 0.2 * grain * noise * (4 * grey * (1 - grey)).clip(0.1, 1)
    return Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))
