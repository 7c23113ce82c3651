"""Picture files: written with the text that they carry, read in every form of it that is about.

Also the one door for pictures from outside: the size stands in the header and is checked before anything is decoded.
Knows nothing about what the text means. Start reading at `encode`, `open_picture` and `read_parameters`.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from modules.faults import RequestFault

MAX_PIXELS = 64_000_000
MAX_TEXT = 4_000_000
LARGE_PIXELS = 16_000_000
_LARGE = threading.BoundedSemaphore(2)  # so many large pictures are unpacked at a time, each takes hundreds of megabytes
# What pictures of people come in. Pillow knows forty more, some of which start other programs (EPS) or are hardly ever tested.
READABLE = ("PNG", "JPEG", "WEBP", "GIF", "AVIF", "BMP", "TIFF", "MPO")
_USER_COMMENT = 0x9286
_TURNED = (5, 6, 7, 8)  # orientations that swap width and height
_UNICODE = b"UNICODE\x00"
_MARKS = "\ufeff\ufffe"  # at the beginning they would be read as the order of the bytes, not as text
_CHARSETS = {b"ASCII\x00\x00\x00": "ascii", b"JIS\x00\x00\x00\x00\x00": "shift_jis", bytes(8): "utf-8"}
_EXIF_LIMIT_JPEG = 65533  # one JPEG segment
# Pillow raises all of these for damaged files.
_DAMAGE = (
    OSError, ValueError, SyntaxError, EOFError, MemoryError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
_TECHNICAL = frozenset({
    "jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "exif", "loop", "background", "timestamp", "duration", "progressive",
    "progression", "icc_profile", "chromaticity", "photoshop", "transparency", "version", "adobe", "gamma", "srgb", "mp", "mpf",
})  # fmt: skip
_PIL_FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF"}
_SIDE_LIMITS = {"jpg": 65500, "jpeg": 65500, "webp": 16383, "avif": 65535}  # of libjpeg and libwebp
# NovelAI's names for samplers; what is not here is read as Euler a.
_NOVELAI_SAMPLERS = {
    "k_euler": "Euler", "k_lms": "LMS", "k_heun": "Heun", "k_dpm_2": "DPM2", "k_dpm_2_ancestral": "DPM2 a", "k_dpmpp_2m": "DPM++ 2M",
    "k_dpmpp_2s_ancestral": "DPM++ 2S a", "k_dpmpp_sde": "DPM++ SDE", "ddim": "DDIM", "plms": "PLMS",
}  # fmt: skip


def fitting_format(image: Image.Image, wanted: str, infotext: str = "") -> str:
    """The format asked for (png, jpg, jpeg, webp, avif), or "png" when the picture or its text is too large for that one."""
    if max(image.size) > _SIDE_LIMITS.get(wanted, 1 << 31):
        return "png"
    if _PIL_FORMATS[wanted] == "JPEG" and infotext and len(_exif(infotext)) > _EXIF_LIMIT_JPEG:
        return "png"
    return wanted


def encode(
    image: Image.Image,
    file_format: str,
    *,
    infotext: str = "",
    quality: int = 80,
    lossless: bool = False,
    items: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a picture file that carries infotext (none when it is empty). file_format: png, jpg, jpeg, webp or avif.

    PNG: a text chunk "parameters", and one for each of items, which other formats do not hold.
    JPEG, WebP and AVIF: EXIF UserComment, big-endian UTF-16, as A1111 writes it.
    quality: 1 to 100, not for png. Raises ValueError or OSError when the format cannot hold it; ask `fitting_format` first.
    """
    buffer = io.BytesIO()
    kind = _PIL_FORMATS[file_format]
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        if infotext:
            info.add_text("parameters", infotext)
        for key, text in (items or {}).items():
            info.add_text(key, text)
        image.save(buffer, kind, pnginfo=info)
        return buffer.getvalue()
    options: dict[str, Any] = {"quality": quality}
    if infotext:
        options["exif"] = _exif(infotext)
    if kind == "WEBP":
        options["lossless"] = lossless
    plain = _to_rgb(image)
    (plain.convert("RGB") if kind == "JPEG" else plain).save(buffer, kind, **options)
    return buffer.getvalue()


def _exif(text: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[_USER_COMMENT] = _UNICODE + text.lstrip(_MARKS).encode("utf-16-be", "replace")
    return exif.tobytes()


def open_picture(source: Path | BinaryIO | bytes) -> Image.Image:
    """The first frame of a picture from outside, upright, as RGB or RGBA, with its text in `info`.

    Raises RequestFault("image") when it is no picture, is damaged, or has more than MAX_PIXELS pixels (seen in the header).
    """
    with _open(source) as image:
        large = image.width * image.height > LARGE_PIXELS
        try:
            with _LARGE if large else contextlib.nullcontext():
                image.load()
                converted = _to_rgb(ImageOps.exif_transpose(image))
        except _DAMAGE as error:
            raise _damaged(error) from error
        converted.info = {k: v for k, v in image.info.items() if k not in ("exif", "transparency")}
        return converted


def picture_format(source: Path | BinaryIO | bytes) -> str:
    """Which of READABLE a picture file is, from its header. Raises RequestFault("image") when it is none."""
    with _open(source) as image:
        return str(image.format)


def picture_size(source: Path | BinaryIO | bytes) -> tuple[int, int]:
    """(width, height) in pixels of a picture file as it is looked at, from its header. Raises RequestFault("image") when it is none."""
    with _open(source) as image:
        try:
            turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
        except _DAMAGE as error:
            raise _damaged(error) from error
        return (image.height, image.width) if turned else image.size


def formats() -> list[str]:
    """Those of READABLE that Pillow can read here, for `Image.open`."""
    Image.init()
    return [kind for kind in READABLE if kind in Image.OPEN]  # MPO is opened as JPEG


def read_parameters(source: Path | BinaryIO | bytes) -> tuple[str, dict[str, str]]:
    """(parameters text or "", the file's other text items). Reads PNG chunks, EXIF UserComment, GIF comments, NovelAI's form.

    Pixels are decoded only when a PNG has no text in front of them. Raises RequestFault("image") when it is no picture.
    """
    with _open(source) as image:
        try:
            items = _text_items(image)
            text = items.pop("parameters", "") or _user_comment(image)
            if not text and image.format == "PNG":
                image.load()  # text may also stand behind the pixels
                items = _text_items(image)
                text = items.pop("parameters", "") or _user_comment(image)
        except _DAMAGE as error:
            raise _damaged(error) from error
        if not text and (image.format == "GIF" or "Steps: " in items.get("comment", "")):
            text = items.pop("comment", "")
        if not text and items.get("Software") == "NovelAI":
            text = _from_novelai(items, image.size)
        return text[:MAX_TEXT], items


def _open(source: Path | BinaryIO | bytes) -> Image.Image:
    """The picture with nothing but its header read."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        image = Image.open(file, formats=formats())
    except Image.DecompressionBombError as error:
        raise RequestFault("image", f"has too many pixels; the most accepted is {MAX_PIXELS}") from error
    except _DAMAGE as error:
        raise RequestFault("image", f"is not a picture that can be read; send one of {', '.join(READABLE[:-1])}") from error
    if image.width < 1 or image.height < 1 or image.width * image.height > MAX_PIXELS:
        image.close()
        raise RequestFault("image", f"is {image.width}x{image.height} pixels; the most accepted is {MAX_PIXELS} in all")
    return image


def _damaged(error: BaseException) -> RequestFault:
    return RequestFault("image", f"is damaged and cannot be read to its end: {error}")


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB, or RGBA where there is an alpha channel. 16 bits a channel are scaled to 8; floats are taken as 0 to 1."""
    if image.mode in ("RGB", "RGBA") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        scale = 255.0 if image.mode == "F" else 1 / 257
        eight_bit = image.convert("F").point(lambda value: value * scale)
        return eight_bit.convert("L").convert("RGB")
    if image.mode == "La":
        return image.convert("LA").convert("RGBA")
    has_alpha = image.mode in ("RGBA", "RGBa", "LA", "PA") or "transparency" in image.info
    return image.convert("RGBA" if has_alpha else "RGB")


def _text_items(image: Image.Image) -> dict[str, str]:
    """The text of the file by name, without what only speaks of its encoding."""
    found: dict[str, str] = {}
    for key, value in image.info.items():
        if isinstance(key, str) and key.lower() not in _TECHNICAL and isinstance(value, str | bytes):
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            found[key] = text.encode("utf-8", "replace").decode("utf-8")[:MAX_TEXT]
    return found


def _user_comment(image: Image.Image) -> str:
    value = image.getexif().get_ifd(ExifTags.IFD.Exif).get(_USER_COMMENT)
    if isinstance(value, str):
        return value.strip("\x00")
    if not isinstance(value, bytes):
        return ""
    prefix, body = value[:8], value[8:]
    if prefix == _UNICODE:
        return body.decode(_utf16_order(body), "replace").strip("\x00\ufeff")
    if prefix in _CHARSETS:
        return body.decode(_CHARSETS[prefix], "replace").strip("\x00")
    return value.decode("utf-8", "replace").strip("\x00")


def _utf16_order(body: bytes) -> str:
    """Big-endian as A1111 writes it, unless a mark says otherwise or the zero bytes of plain letters stand on the other side."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16-le" if body[:2] == b"\xff\xfe" else "utf-16-be"
    return "utf-16-le" if body[1::2].count(0) > body[0::2].count(0) else "utf-16-be"


def _from_novelai(items: dict[str, str], size: tuple[int, int]) -> str:
    """NovelAI keeps the prompt in Description and the rest as JSON in Comment. Source: A1111's importer."""
    prompt = items.get("Description", "")
    try:
        comment = json.loads(items.get("Comment", ""))
        negative = f"\nNegative prompt: {comment['uc']}" if comment.get("uc") else ""
        sampler = _NOVELAI_SAMPLERS.get(str(comment.get("sampler")), "Euler a")
        core = f"Steps: {comment['steps']}, Sampler: {sampler}, CFG scale: {comment['scale']}, Seed: {comment['seed']}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return prompt
    return f"{prompt}{negative}\n{core}, Size: {size[0]}x{size[1]}, Clip skip: 2, ENSD: 31337"
