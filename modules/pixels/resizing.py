"""The ways to bring a picture to a size: stretched, cropped, filled up. Knows nothing about masks or models.

Start reading at `resize`. Names and rules follow A1111 1.10's resize modes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from PIL import Image

from modules.faults import RequestFault

Size = tuple[int, int]  # (width, height) in pixels
Enlarge = Callable[[Image.Image, float], Image.Image]  # (picture, factor > 1) -> a larger picture of about that factor
LANCZOS = Image.Resampling.LANCZOS
SMOOTH = Image.Resampling.BILINEAR  # for masks: it does not ring, so what is black stays black right beside the edge


class ResizeMode(IntEnum):
    """The numbers are those of the API's resize_mode."""

    JUST_RESIZE = 0
    CROP = 1
    FILL = 2
    LATENT = 3  # the picture keeps its size; its latent is resized


RESIZE_MODES = {
    ResizeMode.JUST_RESIZE: "Just resize",
    ResizeMode.CROP: "Crop and resize",
    ResizeMode.FILL: "Resize and fill",
    ResizeMode.LATENT: "Just resize (latent upscale)",
}


def resize_mode(value: int | str) -> ResizeMode:
    """The mode of a number or label. Raises RequestFault("resize_mode")."""
    for mode, label in RESIZE_MODES.items():
        if value == mode or (isinstance(value, str) and value.casefold() in (label.casefold(), str(int(mode)))):
            return mode
    raise RequestFault("resize_mode", "there is no such way to resize", got=value, allowed=list(RESIZE_MODES.values()))


def resize_by(size: Size, scale: float) -> Size:
    """The size that "Resize by" means: each side times scale (> 0), rounded down, at least 1."""
    if not scale > 0:
        raise RequestFault("scale_by", "must be greater than 0", got=scale)
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def resize(
    image: Image.Image,
    size: Size,
    mode: ResizeMode = ResizeMode.JUST_RESIZE,
    *,
    enlarge: Enlarge | None = None,
    resample: Image.Resampling = LANCZOS,
) -> Image.Image:
    """The picture at exactly that size, in its own colour mode.

    JUST_RESIZE (and LATENT, where pixels are wanted after all): both sides on their own. CROP: the picture covers the size, what
    sticks out at two sides is cut off evenly. FILL: the whole picture fits in, centred, its outermost rows or columns are repeated
    over the rest. enlarge: an upscaler that goes first where a side grows; masks (mode "L") never go through it.
    resample: SMOOTH for masks.
    """
    width, height = size
    if width < 1 or height < 1:
        raise ValueError(f"{width}x{height} is no size")
    if mode not in (ResizeMode.CROP, ResizeMode.FILL):
        return _scaled(image, size, enlarge, resample)
    inner = fitted_size(image.size, size, cover=mode is ResizeMode.CROP)
    scaled = _scaled(image, inner, enlarge, resample)
    left, top = width // 2 - inner[0] // 2, height // 2 - inner[1] // 2
    if mode is ResizeMode.CROP:
        return scaled.crop((-left, -top, width - left, height - top))
    return _filled(scaled, size, left, top)


def _scaled(image: Image.Image, size: Size, enlarge: Enlarge | None, resample: Image.Resampling) -> Image.Image:
    if image.size == size:
        return image.copy()
    factor = max(size[0] / image.width, size[1] / image.height)
    if enlarge is not None and factor > 1 and image.mode != "L":
        image = enlarge(image, factor)
    return image if image.size == size else image.resize(size, resample)


def fitted_size(source: Size, size: Size, *, cover: bool) -> Size:
    """The largest size of the source's shape inside `size`, or with cover the smallest around it. Whole numbers, rounded down."""
    (w, h), (width, height) = source, size
    wider = width * h > height * w  # the target is wider in shape than the source
    if wider == cover:
        return width, max(1, h * width // w)
    return max(1, w * height // h), height


def _filled(scaled: Image.Image, size: Size, left: int, top: int) -> Image.Image:
    width, height = size
    right, bottom = left + scaled.width, top + scaled.height
    result = Image.new(scaled.mode, size)
    result.paste(scaled, (left, top))
    strips = (
        ((0, 0, left, height), (0, 0, 1, scaled.height)),
        ((right, 0, width, height), (scaled.width - 1, 0, scaled.width, scaled.height)),
        ((0, 0, width, top), (0, 0, scaled.width, 1)),
        ((0, bottom, width, height), (0, scaled.height - 1, scaled.width, scaled.height)),
    )
    for (x1, y1, x2, y2), edge in strips:
        if x2 > x1 and y2 > y1:
            result.paste(scaled.crop(edge).resize((x2 - x1, y2 - y1), Image.Resampling.NEAREST), (x1, y1))
    return result
