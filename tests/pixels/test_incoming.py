"""Pictures from people: every kind of file becomes 8-bit RGB or RGBA, upright, first frame, within limits, naming the right field."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.faults import RequestFault
from modules.pixels.incoming import flatten, picture_hash, read_picture
from tests.pixels.test_resizing import noise


def file_of(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_sixteen_bits_a_channel_are_scaled() -> None:
    deep = Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16))
    assert read_picture(file_of(deep, "PNG")).tobytes() == bytes([0, 0, 0, 100, 100, 100, 255, 255, 255])
    assert read_picture(file_of(deep, "TIFF")).tobytes() == bytes([0, 0, 0, 100, 100, 100, 255, 255, 255])


def test_cmyk() -> None:
    image = read_picture(file_of(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    red, green, blue = np.asarray(image)[4, 4].tolist()
    assert image.mode == "RGB"
    assert red > 240
    assert max(green, blue) < 15


def test_palette_with_and_without_transparency() -> None:
    palette = noise((16, 16)).quantize(8)
    assert read_picture(file_of(palette, "PNG")).tobytes() == palette.convert("RGB").tobytes()
    clear = read_picture(file_of(palette, "PNG", transparency=0))
    assert clear.mode == "RGBA"
    assert clear.getchannel("A").getextrema() == (0, 255)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_of_a_film(kind: str) -> None:
    frames = [Image.new("RGB", (12, 10), colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    data = file_of(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    image = flatten(read_picture(data))
    assert (image.size, image.getpixel((5, 5))) == ((12, 10), (200, 0, 0))


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_stand_upright(turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    image = Image.new("RGB", (8, 4))
    image.putpixel((0, 0), (255, 255, 255))
    found = read_picture(file_of(image, "PNG", exif=exif))
    corner = {1: (0, 0), 2: (7, 0), 3: (7, 3), 4: (0, 3), 5: (0, 0), 6: (3, 0), 7: (3, 7), 8: (0, 7)}[turn]
    assert found.size == ((8, 4) if turn < 5 else (4, 8))
    assert found.getpixel(corner) == (255, 255, 255)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_large_is_seen_in_the_header() -> None:
    """A file of a few bytes that claims 100 megapixels is never decoded."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    with pytest.raises(RequestFault, match=r"^mask: is 10000x10000 pixels") as caught:
        read_picture(data, "mask")
    assert caught.value.field == "mask"


def test_damage_names_the_field(tmp_path: Path) -> None:
    with pytest.raises(RequestFault, match=r"^init_images: is not a picture"):
        read_picture(b"hello")
    cut = tmp_path / "cut.png"
    cut.write_bytes(file_of(noise((64, 64)), "PNG")[:-2000])
    with pytest.raises(RequestFault, match=r"^init_images: is damaged"):
        read_picture(cut)


def test_transparency_shows_the_background() -> None:
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 128))
    assert flatten(image, "#00ff00").tobytes() == bytes([255, 0, 0, 0, 255, 0, 0, 127, 0])
    assert flatten(image).getpixel((1, 0)) == (255, 255, 255)
    plain = noise((4, 4))
    assert flatten(plain) is plain
    assert flatten(plain.convert("L")).mode == "RGB"
    with pytest.raises(RequestFault, match="img2img_background_color"):
        flatten(image, "greenish")


def test_the_hash_is_of_the_pixels() -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    assert picture_hash(image) == hashlib.md5(bytes([1, 2, 3, 1, 2, 3])).hexdigest()
    assert picture_hash(image) != picture_hash(Image.new("RGB", (2, 1), (1, 2, 4)))
