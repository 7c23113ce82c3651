"""Soft edges, line drawings and straight lines, by the networks of controlnet-aux. Makers as `making` describes.

Start reading at `hed`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from modules.control.maps.files import found
from modules.control.maps.making import Ask, Pixels
from modules.control.maps.weights import aux, filled


def hed(pixels: Pixels, ask: Ask) -> Pixels:
    """Soft edges; options: safe (in a few steps of grey), scribble (thick lines)."""
    return _drawn("hed", "HEDdetector", aux("hed", "ControlNetHED_Apache2"), pixels, ask, **ask.row.options)


def pidinet(pixels: Pixels, ask: Ask) -> Pixels:
    """Soft edges; options: safe, scribble, and apply_filter (black and white)."""
    return _drawn("pidi", "PidiNetDetector", aux("pidi.model", "pidinet"), pixels, ask, **ask.row.options)


def teed(pixels: Pixels, ask: Ask) -> Pixels:
    """Soft edges of a small network; a: steps of grey, 0 for all."""
    detector = _detector("teed", "TEEDdetector", aux("teed.ted", "TED"), ask)
    with torch.inference_mode():
        return detector(pixels, detect_resolution=min(pixels.shape[:2]), safe_steps=int(ask.a), output_type="np")


def anyline(pixels: Pixels, ask: Ask) -> Pixels:
    """Soft edges and the fine lines of drawings together."""
    detector = _detector("anyline", "AnylineDetector", aux("teed.ted", "TED"), ask)
    with torch.inference_mode():
        drawn = detector(pixels, detect_resolution=min(pixels.shape[:2]), output_type="np")
    return np.asarray(drawn).clip(0, 255).astype(np.uint8)


def lineart(pixels: Pixels, ask: Ask) -> Pixels:
    """A pencil drawing, white on black; fine or coarse by its file."""

    def build() -> nn.Module:
        return aux("lineart", "Generator")(3, 1, 3)

    def both(network: nn.Module) -> Any:
        return aux("lineart", "LineartDetector")(network, network)  # it has two, and is asked for the first

    return _drawn("lineart", "LineartDetector", build, pixels, ask, made=both)


def lineart_anime(pixels: Pixels, ask: Ask) -> Pixels:
    """Lines as they are drawn in comics, white on black."""

    def build() -> nn.Module:
        norm = functools.partial(nn.InstanceNorm2d, affine=False, track_running_stats=False)
        return aux("lineart_anime", "UnetGenerator")(3, 1, 8, 64, norm_layer=norm)

    return _drawn("lineart_anime", "LineartAnimeDetector", build, pixels, ask)


def mlsd(pixels: Pixels, ask: Ask) -> Pixels:
    """Straight lines, white on black; a: how sure of a line, b: how long at least."""
    network = aux("mlsd.models.mbv2_mlsd_large", "MobileV2_MLSD_Large")
    return _drawn("mlsd", "MLSDdetector", network, pixels, ask, thr_v=ask.a, thr_d=ask.b)


def _drawn(
    module: str,
    name: str,
    build: Callable[[], nn.Module],
    pixels: Pixels,
    ask: Ask,
    *,
    made: Callable[[Any], Any] | None = None,
    **options: Any,
) -> Pixels:
    """What a detector draws. Both of its resolutions are the pixels' own, so that it resizes nothing."""
    detector = _detector(module, name, build, ask, made)
    side = min(pixels.shape[:2])
    with torch.inference_mode():
        return detector(pixels, detect_resolution=side, image_resolution=side, output_type="np", **options)


def _detector(module: str, name: str, build: Callable[[], nn.Module], ask: Ask, made: Callable[[Any], Any] | None = None) -> Any:
    """A detector of controlnet-aux around the network of the row's only file."""
    path = found(ask.row.needs[0], ask.row, ask.ground.folders)

    def load() -> Any:
        return (made or aux(module, name))(filled(build(), path, ask.ground.device))

    return ask.ground.take(name, (path,), load)
