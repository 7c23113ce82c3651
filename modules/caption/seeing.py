"""How a picture is brought to the size a model was made for, and what the model then sees.

The model's own processor does the last step in every case; another fit changes the picture before it, so that the processor finds the
right size already. Start reading at `fitted` and `seen`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageOps

from modules.caption.loading import Captioner
from modules.request.caption import AS_THE_MODEL, CROP, LETTERBOX, STRETCH

Region = tuple[float, float, float, float]
WHOLE: Region = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Fitted:
    """image: RGB, ready for the processor; region: what the model sees of the picture, in parts of its sides (left, top, right, bottom),
    beyond 0 and 1 where bars were added.
    """

    image: Image.Image
    region: Region


def numbers(captioner: Captioner) -> dict[str, Any]:
    """What the model's own processor does, from its configuration: size, crop, mean, deviation, resampling."""
    images = captioner.processor.image_processor
    width, height = input_size(captioner)
    return {
        "width": width,
        "height": height,
        "crop": _crops(images),
        "mean": [round(float(value), 6) for value in images.image_mean] if getattr(images, "do_normalize", False) else None,
        "deviation": [round(float(value), 6) for value in images.image_std] if getattr(images, "do_normalize", False) else None,
        "scale": float(images.rescale_factor) if getattr(images, "do_rescale", False) else None,
        "resampling": Image.Resampling(int(images.resample)).name.lower() if getattr(images, "resample", None) is not None else None,
    }


def input_size(captioner: Captioner) -> tuple[int, int]:
    """(width, height) in pixels of what the model takes."""
    images = captioner.processor.image_processor
    sides = (images.crop_size if _crops(images) else None) or images.size or {}
    one = _value(sides, "shortest_edge") or _value(sides, "longest_edge") or 0
    return int(_value(sides, "width") or one), int(_value(sides, "height") or one)


def fitted(captioner: Captioner, image: Image.Image, fit: str, background: str = "#ffffff") -> Fitted:
    """The picture for the processor. image: RGB; fit: "model" leaves it as it is, "stretch", "crop" (the middle), "letterbox" (bars)."""
    size = input_size(captioner)
    if fit == AS_THE_MODEL or 0 in size:
        return Fitted(image, _own_region(captioner, image.size))
    if fit == STRETCH:
        return Fitted(image.resize(size, Image.Resampling.BICUBIC), WHOLE)
    if fit == CROP:
        return Fitted(ImageOps.fit(image, size, Image.Resampling.BICUBIC), _middle(image.size, size))
    if fit != LETTERBOX:
        raise ValueError(fit)
    small = ImageOps.contain(image, size, Image.Resampling.BICUBIC)
    base = Image.new("RGB", size, background)
    left, top = (size[0] - small.width) // 2, (size[1] - small.height) // 2
    base.paste(small, (left, top))
    region = (-left / small.width, -top / small.height, (size[0] - left) / small.width, (size[1] - top) / small.height)
    return Fitted(base, region)


def seen(captioner: Captioner, image: Image.Image) -> Image.Image:
    """The picture as the model gets it, RGB: the processor's numbers turned back into colours. image: as `fitted` gives it."""
    images = captioner.processor.image_processor
    pixels = torch.as_tensor(images(images=[image], return_tensors="pt")["pixel_values"][0]).float()
    pixels = pixels if pixels.ndim == 3 else pixels[-1]  # of tiles the last, the picture as a whole
    if getattr(images, "do_normalize", False):
        mean, deviation = (torch.tensor([*values]).float()[:, None, None] for values in (images.image_mean, images.image_std))
        pixels = pixels * deviation + mean
    scale = 255 if getattr(images, "do_rescale", False) else 1
    values = (pixels * scale).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def _crops(images: Any) -> bool:
    return bool(getattr(images, "do_center_crop", False)) and getattr(images, "crop_size", None) is not None


def _value(sides: Any, name: str) -> Any:
    return sides.get(name) if isinstance(sides, dict) else getattr(sides, name, None)


def _own_region(captioner: Captioner, size: tuple[int, int]) -> Region:
    """What the processor leaves of a picture of this size: all, or the middle when it cuts."""
    images = captioner.processor.image_processor
    if getattr(images, "pads_to_square", False):
        most = max(size)
        across, down = (most - size[0]) / 2 / size[0], (most - size[1]) / 2 / size[1]
        return (-across, -down, 1 + across, 1 + down)
    if not _crops(images):
        return WHOLE
    edge, crop = _value(images.size, "shortest_edge"), input_size(captioner)
    if not edge or not getattr(images, "do_resize", True):
        return _part(size, crop)
    factor = edge / min(size)
    return _part(size, (crop[0] / factor, crop[1] / factor))


def _middle(size: tuple[int, int], to: tuple[int, int]) -> Region:
    factor = max(to[0] / size[0], to[1] / size[1])
    return _part(size, (to[0] / factor, to[1] / factor))


def _part(size: tuple[int, int], part: tuple[float, float]) -> Region:
    """The middle of a picture, in parts of its sides."""
    across, down = part[0] / size[0] / 2, part[1] / size[1] / 2
    return (0.5 - across, 0.5 - down, 0.5 + across, 0.5 + down)
