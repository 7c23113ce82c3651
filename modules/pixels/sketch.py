"""What a person painted over a picture: a layer of its own, transparent where nothing was painted, laid on the picture or made its mask.

The layer may be smaller than the picture (large pictures are painted on at a smaller size). Knows nothing about requests.
Start reading at `painted_over`.
"""

from __future__ import annotations

from PIL import Image, ImageFilter

HALF = 128


def mask_of(layer: Image.Image, size: tuple[int, int]) -> Image.Image:
    """What was painted, as an "L" mask of this (width, height): 255 painted, 0 not, nothing between.

    layer: RGBA of any size; "L" counts as the mask itself.
    """
    alpha = layer.getchannel("A") if "A" in layer.getbands() else layer.convert("L")
    if alpha.size != size:
        alpha = alpha.resize(size, Image.Resampling.BILINEAR)
    return alpha.point([0] * HALF + [255] * (256 - HALF))


def painted_over(image: Image.Image, layer: Image.Image) -> Image.Image:
    """The picture with the layer on it; the picture's size, RGB, or RGBA when the picture is. layer: RGBA of any size."""
    top = layer.convert("RGBA")
    if top.size != image.size:
        top = top.resize(image.size, Image.Resampling.LANCZOS)
    result = image.convert("RGBA")
    result.alpha_composite(top)
    return result if image.mode == "RGBA" else result.convert("RGB")


def sketch_to_inpaint(image: Image.Image, layer: Image.Image, *, transparency: float, blur: int) -> tuple[Image.Image, Image.Image]:
    """(picture to begin with, mask) of an inpaint sketch. transparency: 0 to 100, takes so much off the mask's 255; blur: pixels.

    The painted colours come in blurred, through the equally blurred mask. Source: the behaviour of A1111 1.10.
    """
    strength = round(255 * (1 - transparency / 100))
    mask = mask_of(layer, image.size).point([0] * HALF + [strength] * (256 - HALF))
    soft = ImageFilter.GaussianBlur(blur)
    begin = Image.composite(painted_over(image, layer).filter(soft), image, mask.filter(soft))
    return begin, mask
