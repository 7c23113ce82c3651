"""How large a picture becomes when it is enlarged, and how large is too large. Numbers only. Start reading at `check_size`."""

from __future__ import annotations

from modules.faults import RequestFault
from modules.pixels.resizing import Size, fitted_size, resize_by

MAX_PIXELS = 256_000_000  # of a result, and of what a network makes on the way to it


def check_size(source: Size, *, factor: float | None = None, size: Size | None = None, crop: bool = True, max_side: int = 0) -> Size:
    """The size (width, height) that `upscale` will give a picture of the size `source`. Raises RequestFault when it cannot be made."""
    target, cut, _ = target_of(source, factor, size, crop, max_side)
    check_pixels(target)
    return cut or target


def target_of(source: Size, factor: float | None, size: Size | None, crop: bool, max_side: int) -> tuple[Size, Size | None, dict[str, str]]:
    """(size before cutting, size to cut to or None, texts)."""
    if (factor is None) == (size is None):
        raise RequestFault("upscaling_resize", "either a factor or a size is needed")
    if size is not None:
        if min(size) < 1:
            raise RequestFault("upscaling_resize_w", "both sides must be at least 1", got=f"{size[0]}x{size[1]}")
        info = {"Postprocess upscale to": f"{size[0]}x{size[1]}"}
        if crop:
            info["Postprocess crop to"] = f"{size[0]}x{size[1]}"
        return fitted_size(source, size, cover=True), size if crop else None, info
    if not 0 < (factor or 0) < 1000:
        raise RequestFault("upscaling_resize", "must be greater than 0", got=factor)
    info = {"Postprocess upscale by": f"{factor:g}"}
    target = resize_by(source, factor or 1)
    if max_side > 0 and max(target) > max_side:
        info["Max side length"] = str(max_side)
        target = fitted_size(target, (max_side, max_side), cover=False)
    return target, None, info


def check_pixels(size: Size) -> None:
    """Raises RequestFault for a size of too many pixels."""
    if size[0] * size[1] > MAX_PIXELS:
        raise RequestFault("upscaling_resize", f"would give {size[0]}x{size[1]} pixels; the most is {MAX_PIXELS} in all")
