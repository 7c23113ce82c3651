"""The part of a picture around a mask, and its way back: "Only masked". Start reading at `region`, then `paste_back`.

Knows nothing about what is painted in between. Rules follow A1111 1.10.
"""

from __future__ import annotations

from PIL import Image

from modules.pixels.resizing import LANCZOS, Enlarge, ResizeMode, Size, resize

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are the first outside


def region(mask: Image.Image, padding_px: int, size: Size) -> Box | None:
    """The part to be painted, in the mask's coordinates: what is not black, padded, widened to the shape of `size`; None for a blank mask.

    size: what the network draws. The box lies inside the mask, holds every pixel that is not 0, and has the shape of `size` to the
    pixel, unless the picture is too small for that.
    """
    bounds = mask.getbbox()
    if bounds is None:
        return None
    return widened(padded(bounds, padding_px, mask.size), size, mask.size)


def padded(box: Box, padding_px: int, limits: Size) -> Box:
    """The box with padding on all sides, inside a picture of size `limits`."""
    left, top, right, bottom = box
    return max(left - padding_px, 0), max(top - padding_px, 0), min(right + padding_px, limits[0]), min(bottom + padding_px, limits[1])


def widened(box: Box, shape: Size, limits: Size) -> Box:
    """The box made higher or wider until it has the aspect ratio of `shape`; moved inward at an edge, cut where the picture ends."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if width * shape[1] > height * shape[0]:
        top, bottom = _grown(top, bottom, width * shape[1] // shape[0], limits[1])
    else:
        left, right = _grown(left, right, height * shape[0] // shape[1], limits[0])
    return left, top, right, bottom


def _grown(begin: int, end: int, wanted: int, limit: int) -> tuple[int, int]:
    more = max(0, wanted - (end - begin))
    begin -= more // 2
    end += more - more // 2
    if end > limit:
        begin, end = begin - (end - limit), limit
    if begin < 0:
        begin, end = 0, min(end - begin, limit)
    return begin, end


def cut_out(
    image: Image.Image, box: Box, size: Size, *, enlarge: Enlarge | None = None, resample: Image.Resampling = LANCZOS
) -> Image.Image:
    """That part of the picture at `size`; where its shape is another one, the edges are repeated (mode FILL)."""
    return resize(image.crop(box), size, ResizeMode.FILL, enlarge=enlarge, resample=resample)


def paste_back(painted: Image.Image, box: Box, onto: Image.Image, *, enlarge: Enlarge | None = None) -> Image.Image:
    """The inverse of `cut_out`: a copy of the picture `onto` with the painted part in its place. RGB."""
    left, top, right, bottom = box
    result = onto.convert("RGB")
    result = result.copy() if result is onto else result
    result.paste(resize(painted.convert("RGB"), (right - left, bottom - top), ResizeMode.CROP, enlarge=enlarge), (left, top))
    return result
