"""What some preprocessors do to the finished picture: `finish` of their row in the table. Pixels are RGB uint8 of one size.

Each gets (result, control picture, a, b, mask (H, W) or None) and gives the result anew. Start reading at `colours`.
"""

from __future__ import annotations

import cv2
import numpy as np

from modules.control.maps.making import Pixels

SHARP_SIGMA = 1.0


def colours(result: Pixels, picture: Pixels, a: float, b: float, mask: Pixels | None) -> Pixels:
    """Large-scale colours of the control picture, details of the result; a: from how many pixels on (a sigma) it is large."""
    fine = result.astype(np.float32)
    details = fine - cv2.GaussianBlur(fine, (0, 0), a)
    ground = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), a)
    return (ground + details).clip(0, 255).astype(np.uint8)


def sharp_colours(result: Pixels, picture: Pixels, a: float, b: float, mask: Pixels | None) -> Pixels:
    """`colours`, then sharpened: b times what a narrow blur takes away is added."""
    fixed = colours(result, picture, a, b, mask).astype(np.float32)
    return (fixed + b * (fixed - cv2.GaussianBlur(fixed, (0, 0), SHARP_SIGMA))).clip(0, 255).astype(np.uint8)


def luminance(result: Pixels, picture: Pixels, a: float, b: float, mask: Pixels | None) -> Pixels:
    """Colours of the result, brightness (L of CIE Lab) of the control picture to the power a."""
    mixed = cv2.cvtColor(result, cv2.COLOR_RGB2LAB)
    mixed[:, :, 0] = _gamma(cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[:, :, 0], a)
    return cv2.cvtColor(mixed, cv2.COLOR_LAB2RGB)


def intensity(result: Pixels, picture: Pixels, a: float, b: float, mask: Pixels | None) -> Pixels:
    """Colours of the result, intensity (V of HSV) of the control picture to the power a."""
    mixed = cv2.cvtColor(result, cv2.COLOR_RGB2HSV)
    mixed[:, :, 2] = _gamma(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[:, :, 2], a)
    return cv2.cvtColor(mixed, cv2.COLOR_HSV2RGB)


def outside(result: Pixels, picture: Pixels, a: float, b: float, mask: Pixels | None) -> Pixels:
    """The control picture where the mask is black, the result where it is white."""
    if mask is None:
        return result
    share = mask.astype(np.float32)[:, :, None] / 255
    return (result * share + picture * (1 - share) + 0.5).clip(0, 255).astype(np.uint8)


def _gamma(plane: Pixels, power: float) -> Pixels:
    return ((plane.astype(np.float32) / 255) ** power * 255).clip(0, 255).astype(np.uint8)
