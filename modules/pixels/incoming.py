"""Pictures that people send: read with the right field in the message, transparency laid on a colour, a hash for the name.

Knows nothing about base64 or uploads. Start reading at `read_picture`, then `flatten`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageColor

from modules.faults import RequestFault
from modules.pixels.metadata import open_picture

WHITE = "#ffffff"


def read_picture(source: Path | BinaryIO | bytes, field: str = "init_images") -> Image.Image:
    """The first frame of a picture file, upright, as RGB or RGBA with 8 bits a channel; its text stays in `info`.

    field: the name of the request's field, for the message. Raises RequestFault(field) when it is no picture, is damaged,
    or has more pixels than `metadata.MAX_PIXELS` (looked up in the header, before anything is decoded).
    """
    try:
        return open_picture(source)
    except RequestFault as fault:
        raise RequestFault(field, fault.why) from fault


def flatten(image: Image.Image, background: str = WHITE) -> Image.Image:
    """RGB. What is transparent shows the background, a colour as in HTML ("#ffffff", "white"). RGB pictures come back as they are.

    Raises RequestFault("img2img_background_color") for a colour that cannot be read.
    """
    if image.mode == "RGB":
        return image
    if "A" not in image.getbands() and "a" not in image.getbands():
        return image.convert("RGB")
    try:
        colour = ImageColor.getrgb(background)[:3]
    except ValueError as error:
        raise RequestFault("img2img_background_color", "is not a colour; write it like #ffffff", got=background) from error
    base = Image.new("RGBA", image.size, (*colour, 255))
    base.alpha_composite(image.convert("RGBA"))
    return base.convert("RGB")


def picture_hash(image: Image.Image) -> str:
    """MD5 of the decoded pixels, 32 hexadecimal digits; A1111 names saved init images so. A name, no protection against anybody."""
    return hashlib.md5(image.tobytes(), usedforsecurity=False).hexdigest()
