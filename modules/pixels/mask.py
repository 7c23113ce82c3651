"""Masks: what is to be painted anew. White is painted, black is kept; always one channel, mode "L", 0 to 255.

Knows nothing about what is painted. Start reading at `read_mask`, then `blur`. Rules follow A1111 1.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

if TYPE_CHECKING:
    import numpy as np

THRESHOLD = 128
BLANK = "The mask is blank, so there is nothing to paint “only masked” in; the whole picture was painted as in img2img."
OTHER_SIZE = "The mask has another size than the picture ({} and {}); it was stretched to fit."


def read_mask(image: Image.Image, *, rounded: bool = True) -> Image.Image:
    """A mask from a picture of any mode. A picture with real transparency means its alpha channel, every other one its brightness.

    rounded: alpha becomes 0 or 255 (above 128); brightness stays as it is, as in A1111.
    """
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            return binary(alpha) if rounded else alpha
        image = image.convert("RGB")
    return image.convert("L")


def binary(mask: Image.Image, threshold: int = THRESHOLD) -> Image.Image:
    """255 where the mask is above the threshold, else 0. Masks drawn on the page go through this."""
    return mask.convert("L").point([255 if value > threshold else 0 for value in range(256)])


def invert(mask: Image.Image) -> Image.Image:
    """What was kept is painted, and the other way round."""
    return ImageOps.invert(mask)


def blur_reach_px(sigma: float) -> int:
    """How many pixels beyond its edge a blurred mask can reach along one axis."""
    return int(2.5 * sigma + 0.5) if sigma > 0 else 0


def blur(mask: Image.Image, sigma_x: float, sigma_y: float) -> Image.Image:
    """Gaussian blur along x, then along y; sigmas in pixels, 0 leaves that axis alone.

    The kernel has 2 * int(2.5 * sigma + 0.5) + 1 taps, so beyond `blur_reach_px` the mask is exactly as before.
    """
    import cv2
    import numpy as np

    pixels = np.array(mask)
    for sigma, across in ((sigma_x, True), (sigma_y, False)):
        taps = 2 * blur_reach_px(sigma) + 1
        if taps > 1:
            pixels = cv2.GaussianBlur(pixels, (taps, 1) if across else (1, taps), sigmaX=sigma, sigmaY=sigma)
    return Image.fromarray(pixels)


def overlay_mask(blurred: Image.Image) -> Image.Image:
    """The mask for laying the original over the result: twice as strong, so the edge of what is kept is drawn outwards."""
    return blurred.point([min(255, 2 * value) for value in range(256)])


def is_blank(mask: Image.Image) -> bool:
    """Is nothing to be painted?"""
    return mask.getbbox() is None


def latent_mask(mask: Image.Image, size: tuple[int, int], *, rounded: bool = True) -> np.ndarray:
    """The mask as the sampler needs it: float32 (h, w), 1 = paint anew, for a latent of size (w, h).

    Bicubic. rounded: 0 or 1, an exact half to 0; without it values between stay (soft inpainting).
    """
    import numpy as np

    small = mask.convert("L").resize(size, Image.Resampling.BICUBIC)
    values = np.asarray(small, np.float32) / np.float32(255)
    return np.around(values) if rounded else values


def sketch_mask(original: Image.Image, sketch: Image.Image) -> Image.Image:
    """What was drawn: 255 where any channel of two RGB pictures of one size differs, else 0."""
    channels = ImageChops.difference(original.convert("RGB"), sketch.convert("RGB")).split()
    strongest = ImageChops.lighter(ImageChops.lighter(channels[0], channels[1]), channels[2])
    return binary(strongest, 0)


def blend_sketch(
    original: Image.Image, sketch: Image.Image, *, transparency: float = 0, blur_px: float = 0
) -> tuple[Image.Image, Image.Image]:
    """(new init image RGB, mask) of "Inpaint sketch". transparency: 0 to 100 percent, how weak mask and drawing become.

    blur_px: the mask blur; drawing and mask are both blurred by it before they are laid over the original.
    """
    mask = ImageEnhance.Brightness(sketch_mask(original, sketch)).enhance(1 - transparency / 100)
    soft = ImageFilter.GaussianBlur(blur_px)
    blended = Image.composite(sketch.convert("RGB").filter(soft), original.convert("RGB"), mask.filter(soft))
    return blended, mask
