"""Pictures that want to do harm, made from whole ones: bombs, no pixels, odd colours, broken and cut files, two formats in one, huge texts.

Knows picture formats byte by byte; knows nothing about the server. Start reading at `hostile_pictures`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), "JPEG": ("L", "RGB", "CMYK"), "WEBP": ("RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB"), "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"), "AVIF": ("RGB", "RGBA"),
}  # fmt: skip
OTHERS = {
    "PDF": b"%PDF-1.4\n%", "ZIP": b"PK\x03\x04" + bytes(26), "HTML": b"<html><script>alert(1)</script>",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n", "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='9999999' height='9999999'/>",
    "MZ": b"MZ" + bytes(60), "ELF": b"\x7fELF" + bytes(60), "PSD": b"8BPS\x00\x01" + bytes(20), "ICO": b"\x00\x00\x01\x00\x01\x00",
    "TAR": b"a" * 257 + b"ustar\x00", "PICKLE": b"\x80\x04cos\nsystem\n.",
}  # fmt: skip


@lru_cache(maxsize=512)
def whole(kind: str, mode: str, width: int, height: int, frames: int = 1) -> bytes:
    """A picture file as it should be."""
    images = [_image(mode, width, height, n) for n in range(frames)]
    buffer = io.BytesIO()
    more: dict[str, Any] = {"save_all": True, "append_images": images[1:], "duration": 50} if frames > 1 else {}
    images[0].save(buffer, kind, **more)
    return buffer.getvalue()


def _image(mode: str, width: int, height: int, shade: int) -> Image.Image:
    if mode in ("I;16", "I", "F"):
        return Image.linear_gradient("L").resize((width, height)).convert("I" if mode != "F" else "F").convert(mode)
    return Image.linear_gradient("L").rotate(90 * shade).resize((width, height)).convert("RGB").convert(mode if mode != "LAB" else "RGB")


def chunk(name: bytes, data: bytes, *, length: int | None = None, crc: int | None = None) -> bytes:
    """A PNG chunk; length and crc may lie."""
    found = zlib.crc32(name + data) if crc is None else crc
    return struct.pack(">I", len(data) if length is None else length & 0xFFFFFFFF) + name + data + struct.pack(">I", found & 0xFFFFFFFF)


def png(width: int, height: int, body: bytes, *, depth: int = 8, colour: int = 2, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG with any header: body is what stands in IDAT."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, depth, colour, 0, 0, 0))
    return SIGNATURE + head + before + chunk(b"IDAT", body) + after + chunk(b"IEND", b"")


def bomb(width: int, height: int) -> bytes:
    """A small file that says it is huge, and the beginning of a stream that never ends."""
    return png(width, height, _zeros(1 << 20))


@lru_cache(maxsize=8)
def _zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def text_bomb(megabytes: int, kind: bytes) -> bytes:
    """A text chunk of a few kilobytes that unpacks to many megabytes."""
    packed = _zeros(megabytes << 20)
    data = b"parameters\0\0" + packed if kind == b"zTXt" else b"parameters\0\1\0\0\0" + packed
    return png(4, 4, zlib.compress(bytes(4 * 13)), before=chunk(kind, data))


def with_exif(data: bytes) -> bytes:
    """A JPEG with these bytes as its EXIF."""
    made = whole("JPEG", "RGB", 24, 16)
    segment = b"Exif\0\0" + data[:65000]
    return made[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + made[2:]


def with_icc(data: bytes) -> bytes:
    """A PNG with these bytes as its colour profile."""
    return png(4, 4, zlib.compress(bytes(4 * 13)), before=chunk(b"iCCP", b"x\0\0" + zlib.compress(data)))


@lru_cache(maxsize=1)
def profile() -> bytes:
    """A real colour profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def flipped(data: bytes, places: list[int], value: int) -> bytes:
    """With some bytes changed."""
    found = bytearray(data)
    for place in places:
        if found:
            found[place % len(found)] ^= value
    return bytes(found)


def many_texts(count: int) -> bytes:
    """A PNG with that many text chunks."""
    info = PngImagePlugin.PngInfo()
    for n in range(count):
        info.add_text(f"key{n}", "x" * 100)
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def nested_tiff(loops: bool) -> bytes:
    """A TIFF whose directory points at itself, or far outside."""
    offset = 8 if loops else 0xFFFFFFF0
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + struct.pack("<HHII", 256, 4, 1, 4) + struct.pack("<I", offset)


SIDES = st.sampled_from([0, 1, 2, 3, 7, 8, 63, 64, 65, 8000, 8001, 30_000, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1])
SMALL = st.integers(1, 48)
WHOLE = st.sampled_from([(kind, mode) for kind in FORMATS for mode in MODES[kind]]).flatmap(
    lambda pair: st.builds(whole, st.just(pair[0]), st.just(pair[1]), SMALL, SMALL)
)
MOVING = st.builds(whole, st.sampled_from(["GIF", "WEBP", "PNG", "TIFF"]), st.just("RGB"), SMALL, SMALL, st.integers(2, 40))
EXIF_HEADS = st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II*\0\xff\xff\xff\xff", b"", b"JUNK"])


def hostile_pictures() -> st.SearchStrategy[bytes]:
    """Bytes that call themselves a picture. Whole ones are among them: what is right must go on working."""
    cut: Callable[[bytes, int], bytes] = lambda data, at: data[: at % (len(data) + 1)]  # noqa: E731 - shown in hypothesis's report
    joined: Callable[[bytes, bytes], bytes] = lambda a, b: a + b  # noqa: E731
    return st.one_of(
        WHOLE,
        MOVING,
        st.builds(bomb, SIDES, SIDES),
        st.builds(png, SIDES, SIDES, st.binary(max_size=64), depth=st.sampled_from([0, 1, 2, 4, 8, 16, 32]), colour=st.integers(0, 7)),
        st.builds(text_bomb, st.integers(1, 60), st.sampled_from([b"zTXt", b"iTXt"])),
        st.builds(cut, st.one_of(WHOLE, MOVING), st.integers(0, 10_000)),
        st.builds(flipped, st.one_of(WHOLE, MOVING), st.lists(st.integers(0, 10_000), min_size=1, max_size=8), st.integers(1, 255)),
        st.builds(joined, st.sampled_from(list(OTHERS.values())), WHOLE),
        st.builds(joined, WHOLE, st.sampled_from(list(OTHERS.values()))),
        st.sampled_from(list(OTHERS.values())),
        st.builds(with_exif, st.builds(joined, EXIF_HEADS, st.binary(max_size=200))),
        st.builds(with_icc, st.one_of(st.binary(max_size=200), st.builds(cut, st.just(profile()), st.integers(0, 600)))),
        st.builds(many_texts, st.integers(1, 400)),
        st.builds(nested_tiff, st.booleans()),
        st.binary(max_size=200),
    )
