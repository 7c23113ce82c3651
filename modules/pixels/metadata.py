"""The text that a picture file carries: written as A1111 writes it, read in every form that is about.

Also the one door for pictures from outside: sizes are checked in the header before anything is decoded.
Start reading at `encode`, `open_picture` and `read_parameters`.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from modules.faults import RequestFault

MAX_PIXELS = 64_000_000
MAX_TEXT = 4_000_000
USER_COMMENT = 0x9286
UNICODE_PREFIX = b"UNICODE\x00"
_TECHNICAL = {
    "jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "exif", "loop", "background", "timestamp", "duration", "progressive",
    "progression", "icc_profile", "chromaticity", "photoshop",
}
_PIL_FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}
_SIDE_LIMITS = {"jpg": 65535, "jpeg": 65535, "webp": 16383}


def fitting_format(image: Image.Image, wanted: str) -> str:
    """The format asked for, or "png" when the picture is too large for it."""
    return "png" if max(image.size) > _SIDE_LIMITS.get(wanted, 1 << 31) else wanted


def encode(image: Image.Image, file_format: str, *, infotext: str = "", quality: int = 80, lossless: bool = False) -> bytes:
    """The bytes of a picture file that carries infotext (none when empty). file_format: png, jpg, jpeg or webp."""
    buffer = io.BytesIO()
    kind = _PIL_FORMATS[file_format]
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        if infotext:
            info.add_text("parameters", infotext)
        image.save(buffer, kind, pnginfo=info)
        return buffer.getvalue()
    options: dict[str, Any] = {"quality": quality}
    if infotext:
        options["exif"] = _exif(infotext)
    if kind == "WEBP":
        options["lossless"] = lossless
    image.convert("RGB").save(buffer, kind, **options)
    return buffer.getvalue()


def _exif(text: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[USER_COMMENT] = UNICODE_PREFIX + text.encode("utf-16-be", "replace")
    return exif.tobytes()


def open_picture(source: Path | BinaryIO | bytes) -> Image.Image:
    """The first frame of a picture from outside, upright, as RGB or RGBA, with its text in `info`.

    Raises RequestFault("image") when it is no picture, is damaged, or has more than MAX_PIXELS pixels (seen in the header).
    """
    image = _open(source)
    text = dict(image.info)
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        converted = _to_rgb(upright)
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise RequestFault("image", f"is damaged and cannot be read to its end: {error}") from error
    converted.info = text
    return converted


def _open(source: Path | BinaryIO | bytes) -> Image.Image:
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own, lower limit follows
            image = Image.open(file)
    except Image.DecompressionBombError as error:
        raise RequestFault("image", f"has too many pixels; the most accepted is {MAX_PIXELS}") from error
    except (OSError, ValueError, SyntaxError, EOFError, TypeError) as error:
        raise RequestFault("image", "is not a picture that can be read") from error
    if image.width < 1 or image.height < 1 or image.width * image.height > MAX_PIXELS:
        raise RequestFault("image", f"is {image.width}x{image.height} pixels; the most accepted is {MAX_PIXELS} in all")
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        eight_bit = image.convert("F").point(lambda v: v / 256 if image.mode != "F" else v * 255)
        return eight_bit.convert("L").convert("RGB")
    has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    return image.convert("RGBA" if has_alpha else "RGB")


def read_parameters(source: Path | BinaryIO | bytes) -> tuple[str, dict[str, str]]:
    """(parameters text or "", the file's other text items). Reads PNG chunks, EXIF UserComment and GIF comments.

    Only the header is read, so it is quick. Raises RequestFault("image") when it is no picture.
    """
    image = _open(source)
    try:
        if image.format == "PNG":
            image.load()  # text may stand after the pixels
        items = {str(k): _text(v) for k, v in image.info.items() if str(k).lower() not in _TECHNICAL and isinstance(v, str | bytes | int | float)}
        comment = _user_comment(image)
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, KeyError) as error:
        raise RequestFault("image", f"is damaged and cannot be read to its end: {error}") from error
    parameters = items.pop("parameters", "") or comment or (items.pop("comment", "") if image.format in ("GIF", "JPEG") else "")
    if items.get("Software") == "NovelAI" and not parameters:
        parameters = _from_novelai(items)
    return parameters[:MAX_TEXT], items


def _text(value: str | bytes | float) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _user_comment(image: Image.Image) -> str:
    value = image.getexif().get_ifd(ExifTags.IFD.Exif).get(USER_COMMENT)
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        return ""
    prefix, body = value[:8], value[8:]
    if prefix == UNICODE_PREFIX:
        return body.decode(_utf16_order(body), "replace").strip("\x00")
    if prefix == b"ASCII\x00\x00\x00":
        return body.decode("ascii", "replace").strip("\x00")
    return value.decode("utf-8", "replace").strip("\x00")


def _utf16_order(body: bytes) -> str:
    """Big-endian as A1111 writes it, unless the zero bytes of plain letters stand on the other side."""
    return "utf-16-le" if body[1:400:2].count(0) > body[0:400:2].count(0) else "utf-16-be"


def _from_novelai(items: dict[str, str]) -> str:
    """NovelAI keeps the prompt in Description and the rest as JSON in Comment."""
    try:
        comment = json.loads(items.get("Comment", "{}"))
        parts = [items.get("Description", "")]
        if comment.get("uc"):
            parts.append(f"Negative prompt: {comment['uc']}")
        parts.append(
            f"Steps: {comment['steps']}, Sampler: Euler a, CFG scale: {comment['scale']}, Seed: {comment['seed']}, Clip skip: 2, ENSD: 31337"
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return items.get("Description", "")
    return "\n".join(parts)
