"""What the units of a pass look at: their pictures at the run's size, made into control maps, masked, and shown to networks as tensors.

Maps are made by `modules.control.maps`. Knows requests and pictures; knows nothing about steps. Start reading at `placed`, then `shown`.
Source: the behaviour of the well-known ControlNet extension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from modules.control.fit import fit, pixel_perfect
from modules.control.maps import MAPS
from modules.control.maps.ground import Ground
from modules.control.maps.making import finish, make
from modules.control.networks import reads_latents
from modules.faults import ModelFault
from modules.pixels.incoming import flatten
from modules.pixels.repaint import Prepared
from modules.processing.latent import as_pixels, in_float32, packed
from modules.request import ControlUnit, ResolvedUnit

MASKED = -1.0  # what an inpainting ControlNet sees where it is to paint. Source: lllyasviel/control_v11p_sd15_inpaint
Open = Callable[[str], Image.Image]


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A unit with what it looks at. place: among those of the job. shows: its map may be shown after the results.

    pictures: RGB of the run's size, one, or one for each of the batch; masks: "L" beside them, white is what is painted, or none. region:
    "L", white where the unit counts.
    """

    resolved: ResolvedUnit
    place: int = 0
    pictures: tuple[Image.Image, ...]
    masks: tuple[Image.Image, ...] = ()
    region: Image.Image | None = None
    shows: bool = False

    @property
    def unit(self) -> ControlUnit:
        return self.resolved.unit

    @property
    def name(self) -> str:
        """Of its model, for sentences."""
        return self.resolved.file.name if self.resolved.file is not None else self.unit.module

    def row(self, i: int) -> Placed:
        """For one picture of the batch alone."""
        only = slice(i, i + 1)
        masks = self.masks if len(self.masks) < 2 else self.masks[only]
        return self if len(self.pictures) == 1 else replace(self, pictures=self.pictures[only], masks=masks)

    @property
    def map(self) -> Image.Image:
        """What is shown of it after the results: its first picture, black where it is masked."""
        if not self.masks:
            return self.pictures[0]
        return Image.composite(Image.new("RGB", self.pictures[0].size), self.pictures[0], self.masks[0])

    def finished(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """The decoded pictures of the run after what the preprocessor does at the end, if it does anything."""
        unit = self.unit
        done: list[Image.Image] = []
        for i, image in enumerate(images):
            picture = fit(self.pictures[min(i, len(self.pictures) - 1)], image.size)
            mask = fit(self.masks[min(i, len(self.masks) - 1)], image.size) if self.masks else None
            done.append(finish(unit.module, image, picture, unit.threshold_a, unit.threshold_b, mask))
        return done


def placed(
    resolved: ResolvedUnit, place: int, size: tuple[int, int], begun: Sequence[Prepared], open_picture: Open, ground: Ground
) -> Placed:
    """A unit for a run of that size (width, height). begun: what the run begins with, one a picture; none for a run from noise.

    Without a picture of its own it looks at those. Raises RequestFault for pictures that are gone, ModelFault.
    """
    unit, row = resolved.unit, MAPS.get(resolved.unit.module)
    if resolved.kind == "ip_adapter":  # it looks at the whole picture, whatever the run's size
        whole = flatten(open_picture(unit.image)) if unit.image is not None else begun[0].original
        return Placed(resolved=resolved, place=place, pictures=(whole,), region=_region(unit, size, open_picture))
    given = flatten(open_picture(unit.image)) if unit.image is not None else None
    mask = open_picture(unit.mask).convert("L") if unit.mask is not None else None
    if given is None:
        pairs = [(_cut(one.original, one), mask or one.mask) for one in begun]
    elif unit.inpaint_crop_input_image and any(one.box for one in begun):
        pairs = [(_cut(fit(given, one.original.size, unit.resize_mode), one), _cut_mask(mask, one, unit) or one.mask) for one in begun]
    else:
        pairs = [(given, mask or (begun[0].mask if begun else None))]
    pairs = pairs if any(a is not pairs[0][0] for a, _ in pairs) else pairs[:1]
    pictures = tuple(_map(unit, picture, size, ground) for picture, _ in pairs)
    if mask is not None and not row.masked:  # outside it the picture says nothing
        pictures = tuple(Image.composite(one, Image.new("RGB", size), fit(mask, size, unit.resize_mode)) for one in pictures)
    masks = tuple(fit(inner.convert("L"), size, unit.resize_mode) for _, inner in pairs if inner is not None) if row.masked else ()
    shows = unit.save_detected_map and row.gives in ("map", "picture", "inpaint")
    return Placed(resolved=resolved, place=place, pictures=pictures, masks=masks, region=_region(unit, size, open_picture), shows=shows)


def _region(unit: ControlUnit, size: tuple[int, int], open_picture: Open) -> Image.Image | None:
    return None if unit.effective_region_mask is None else fit(open_picture(unit.effective_region_mask).convert("L"), size)


def _cut(picture: Image.Image, one: Prepared) -> Image.Image:
    """The part that is painted, with "only masked"."""
    return (picture if one.box is None else picture.crop(one.box)).convert("RGB")


def _cut_mask(mask: Image.Image | None, one: Prepared, unit: ControlUnit) -> Image.Image | None:
    if mask is None or one.box is None:
        return mask
    return fit(mask, one.original.size, unit.resize_mode).crop(one.box)


def _map(unit: ControlUnit, picture: Image.Image, size: tuple[int, int], ground: Ground) -> Image.Image:
    row = MAPS.get(unit.module)
    if row.gives == "map":
        side = pixel_perfect(picture.size, size, unit.resize_mode) if unit.pixel_perfect and row.resolution else unit.processor_res
        made = make(unit.module, picture, ground=ground, resolution=side, a=unit.threshold_a, b=unit.threshold_b)
        picture = made.image
    return fit(picture, size, unit.resize_mode)


def shown(one: Placed, net: Any, pipeline: Any, seeds: Sequence[int], blocks: int) -> torch.Tensor:
    """What a control network sees, (blocks or 1, pictures or 1, ...) as `residuals.for_rows` takes it, where the pipeline runs.

    Pixels in [0, 1]; for networks that read latents, latents drawn as diffusers' pipelines draw them, from noise of the picture's seed.
    blocks: shares of the rows of a network call. Raises ModelFault when its size or masks do not suit the network.
    """
    pixels = [as_pixels(picture, pipeline) for picture in one.pictures]
    if type(net).__name__ == "T2IAdapter":
        return _folded(one, net, pixels)
    if reads_latents(net):
        return _latents(one, net, pipeline, pixels, seeds, blocks)
    if getattr(net, "input_hint_block", None) is not None:  # Flux, as X-Labs trained them
        return torch.cat(pixels)[None] * 2 - 1
    hidden = [_hidden(one, i, picture, MASKED) for i, picture in enumerate(pixels)]
    return torch.cat(hidden)[None]


def _hidden(one: Placed, i: int, pixels: torch.Tensor, value: float) -> torch.Tensor:
    """(1, 3, H, W) with the masked part at that value."""
    if not one.masks:
        return pixels
    return torch.where(_mask(one, i).to(pixels.device) > 0.5, torch.full_like(pixels, value), pixels)


def _mask(one: Placed, i: int) -> torch.Tensor:
    """(1, 1, H, W) in [0, 1]."""
    return torch.from_numpy(np.asarray(one.masks[min(i, len(one.masks) - 1)], np.float32) / 255)[None, None]


def _folded(one: Placed, net: Any, pixels: list[torch.Tensor]) -> torch.Tensor:
    factor = net.config.downscale_factor
    if any(side % factor for side in one.pictures[0].size):
        raise ModelFault(f"{one.name} needs a width and a height that are multiples of {factor}. Change the size of the picture.")
    if net.config.in_channels == 1:
        grey = [np.asarray(picture.convert("L"), np.float32) / 255 for picture in one.pictures]
        return torch.cat([torch.from_numpy(values)[None, None] for values in grey])[None].to(pixels[0].device)
    return torch.cat(pixels)[None]


def _latents(one: Placed, net: Any, pipeline: Any, pixels: list[torch.Tensor], seeds: Sequence[int], blocks: int) -> torch.Tensor:
    flux = type(net).__name__ == "FluxControlNetModel"
    vae = pipeline.vae
    shift = 0.0 if not flux and net.config.force_zeros_for_pooled_projection else vae.config.get("shift_factor") or 0.0
    extra = 0 if flux else net.config.extra_conditioning_channels
    if extra and not one.masks:
        raise ModelFault(f"{one.name} was made for inpainting: choose an inpaint preprocessor and give a mask.")
    count = 1 if flux else blocks
    found: list[torch.Tensor] = []
    for i, (picture, seed) in enumerate(zip(pixels if len(pixels) > 1 else pixels * len(seeds), seeds, strict=False)):
        inner = _hidden(one, i, picture * 2 - 1, MASKED)
        with torch.inference_mode(), in_float32(vae):
            spread = vae.encode(inner.to(vae.dtype).repeat(count, 1, 1, 1)).latent_dist
        noise = torch.randn(spread.mean.shape, generator=torch.Generator("cpu").manual_seed(seed))
        latent = (spread.mean + spread.std * noise.to(spread.mean) - shift) * vae.config.scaling_factor
        if extra:
            small = torch.nn.functional.interpolate(_mask(one, i), size=latent.shape[-2:]).to(latent)
            latent = torch.cat([latent, (1 - small).expand(count, extra, *latent.shape[-2:])], dim=1)
        found.append(packed(latent) if flux else latent)
    return torch.stack(found, dim=1)
