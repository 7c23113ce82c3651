"""Picture files: the text comes back from every format, and no file from outside does harm."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from modules.faults import RequestFault
from modules.infotext import parse, to_request, write
from modules.pixels.metadata import MAX_PIXELS, encode, fitting_format, open_picture, read_parameters
from tests.words.examples import HIRES, PLAIN, resolved

FORMATS = ("png", "jpg", "jpeg", "webp")
TEXTS = {
    "plain": PLAIN, "hires": HIRES, "latin": "é ü ß, 'x'", "chinese": "红苹果，三维\nSteps: 20", "emoji": "🍎 apple 👩‍👩‍👧",
    "arabic": "تفاحة حمراء", "long": "ab, " * 7000,
}  # fmt: skip


def picture(size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Image.Image:
    return Image.radial_gradient("L").resize(size).convert(mode)


def file_of(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_comment(value: bytes, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[0x9286] = value
    return file_of(picture(), kind, exif=exif.tobytes())


# --- writing and reading back ---


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
@pytest.mark.parametrize("file_format", FORMATS)
def test_the_text_comes_back(file_format: str, text: str) -> None:
    data = encode(picture(), file_format, infotext=text)
    assert read_parameters(data) == (text, {})
    assert read_parameters(io.BytesIO(data))[0] == text


@example("\ufffea cat", "jpg")
@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1), st.sampled_from(FORMATS))
def test_any_text_comes_back(text: str, file_format: str) -> None:
    """A byte order mark at the beginning of an EXIF comment is read as one; nothing else is lost."""
    expected = text if file_format == "png" else text.lstrip("\ufeff\ufffe").rstrip("\ufeff")
    assert read_parameters(encode(picture((8, 8)), file_format, infotext=text))[0] == expected


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_request_comes_back_from_a_file(tmp_path: Path, file_format: str) -> None:
    request = resolved(prompt='a sign "Open: 9",\n红', negative_prompt="blur", seed=7)
    path = tmp_path / f"a.{file_format}"
    path.write_bytes(encode(picture(), file_format, infotext=write(request, 0)))
    values = to_request(parse(read_parameters(path)[0]))
    assert (values["prompt"], values["negative_prompt"], values["seed"]) == ('a sign "Open: 9",\n红', "blur", 7)


def test_png_keeps_every_pixel_and_a1111s_chunk() -> None:
    image = picture((40, 30))
    files = [io.BytesIO(encode(image, "png", infotext=text)) for text in ("é", "中")]
    with Image.open(files[0]) as latin, Image.open(files[1]) as other:
        assert latin.tobytes() == image.tobytes()
        assert type(latin.info["parameters"]) is str  # a tEXt chunk
        assert isinstance(other.info["parameters"], PngImagePlugin.iTXt)


def test_jpeg_holds_big_endian_text_behind_its_mark() -> None:
    with Image.open(io.BytesIO(encode(picture(), "jpg", infotext="aß"))) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.Exif)[0x9286] == b"UNICODE\x00\x00a\x00\xdf"


@pytest.mark.parametrize("file_format", FORMATS)
def test_no_text_when_there_is_none(file_format: str) -> None:
    assert read_parameters(encode(picture(), file_format)) == ("", {})


def test_quality_and_lossless_count() -> None:
    image = Image.effect_noise((64, 64), 80).convert("RGB")
    assert len(encode(image, "jpg", quality=20)) < len(encode(image, "jpg", quality=95))
    with Image.open(io.BytesIO(encode(image, "webp", lossless=True))) as back:
        assert back.tobytes() == image.tobytes()


@pytest.mark.parametrize("mode", ["RGBA", "L", "I;16", "CMYK", "P", "1"])
@pytest.mark.parametrize("file_format", ["jpg", "webp"])
def test_other_modes_are_converted(mode: str, file_format: str) -> None:
    image = Image.new("I;16", (8, 8), 40000) if mode == "I;16" else picture((8, 8), mode)
    with Image.open(io.BytesIO(encode(image, file_format, quality=100))) as back:
        assert back.size == (8, 8)
        if mode == "I;16":
            assert abs(back.convert("L").getpixel((4, 4)) - 40000 / 257) <= 2


@pytest.mark.parametrize(
    ("size", "wanted", "expected"),
    [
        ((64, 64), "jpg", "jpg"), ((65500, 1), "jpg", "jpg"), ((65501, 1), "jpg", "png"), ((1, 65501), "jpeg", "png"),
        ((16383, 1), "webp", "webp"), ((16384, 1), "webp", "png"), ((70000, 1), "png", "png"),
    ],
)  # fmt: skip
def test_a_format_that_cannot_hold_the_size_gives_way(size: tuple[int, int], wanted: str, expected: str) -> None:
    image = Image.new("RGB", size)
    assert fitting_format(image, wanted) == expected
    assert encode(image, expected, infotext="x")


@pytest.mark.parametrize("length", [32_700, 32_740, 100_000])
def test_a_text_too_long_for_jpeg_gives_way(length: int) -> None:
    text = "x" * length
    chosen = fitting_format(picture(), "jpg", text)
    assert read_parameters(encode(picture(), chosen, infotext=text))[0] == text
    assert chosen == ("jpg" if length == 32_700 else "png")


# --- what other programs wrote ---


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"UNICODE\x00" + "Steps: 5, 红".encode("utf-16-be"), "Steps: 5, 红"),
        (b"UNICODE\x00" + "Steps: 5, 红".encode("utf-16-le"), "Steps: 5, 红"),
        (b"UNICODE\x00" + ("红" * 400 + "Steps: 5").encode("utf-16-le"), "红" * 400 + "Steps: 5"),
        (b"UNICODE\x00" + b"\xff\xfe" + "红".encode("utf-16-le"), "红"),
        (b"UNICODE\x00" + b"\xfe\xff" + "红".encode("utf-16-be"), "红"),
        (b"ASCII\x00\x00\x00" + b"Steps: 5\x00", "Steps: 5"),
        (b"JIS\x00\x00\x00\x00\x00" + "赤".encode("shift_jis"), "赤"),
        (bytes(8) + b"Steps: 5", "Steps: 5"),
        (b"Steps: 5, plain", "Steps: 5, plain"),
        (b"UNICODE\x00" + b"\x00a\x00", "a\ufffd"),
        (b"", ""),
    ],
)
def test_user_comments_of_all_kinds(value: bytes, text: str, kind: str) -> None:
    assert read_parameters(with_comment(value, kind))[0] == text


def test_png_chunk_comes_before_exif() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "from the chunk")
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[0x9286] = b"ASCII\x00\x00\x00from exif"
    assert read_parameters(file_of(picture(), "PNG", pnginfo=info, exif=exif.tobytes()))[0] == "from the chunk"


def test_other_items_without_technical_ones() -> None:
    info = PngImagePlugin.PngInfo()
    for key, value in {"parameters": "p", "postprocessing": "x4", "Title": "一", "dpi": "no"}.items():
        info.add_text(key, value)
    assert read_parameters(file_of(picture(), "PNG", pnginfo=info, dpi=(72, 72))) == ("p", {"postprocessing": "x4", "Title": "一"})


def test_compressed_text_and_text_behind_the_pixels() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", PLAIN, zip=True)
    assert read_parameters(file_of(picture(), "PNG", pnginfo=info))[0] == PLAIN
    info = PngImagePlugin.PngInfo()
    info.add(b"tEXt", b"parameters\x00late", after_idat=True)
    assert read_parameters(file_of(picture(), "PNG", pnginfo=info))[0] == "late"


def test_gif_comment_and_a_jpeg_comment_that_speaks_of_something_else() -> None:
    assert read_parameters(file_of(picture(), "GIF", comment=b"a cat"))[0] == "a cat"
    assert read_parameters(file_of(picture(), "JPEG", comment=b"made by a camera")) == ("", {"comment": "made by a camera"})
    assert read_parameters(file_of(picture(), "JPEG", comment=PLAIN.encode())) == (PLAIN, {})


def test_novelai() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "NovelAI")
    info.add_text("Description", "a girl, {best}")
    info.add_text("Comment", json.dumps({"steps": 28, "sampler": "k_euler", "scale": 11.0, "seed": 5, "uc": "lowres"}))
    found = parse(read_parameters(file_of(picture((24, 16)), "PNG", pnginfo=info))[0])
    wanted = {"Prompt": "a girl, {best}", "Negative prompt": "lowres", "Sampler": "Euler", "Seed": "5", "Size-1": "24", "Clip skip": "2"}
    assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize("comment", ["", "[]", "{", "[" * 100_000, '{"steps": 1}'])
def test_novelai_without_its_settings(comment: str) -> None:
    info = PngImagePlugin.PngInfo()
    for key, value in {"Software": "NovelAI", "Description": "a girl", "Comment": comment}.items():
        info.add_text(key, value)
    assert read_parameters(file_of(picture(), "PNG", pnginfo=info))[0] == "a girl"


# --- pictures from outside ---


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("L", "PNG", "RGB"), ("LA", "PNG", "RGBA"), ("P", "PNG", "RGB"), ("RGBA", "PNG", "RGBA"), ("1", "PNG", "RGB"),
        ("RGB", "JPEG", "RGB"),
        ("CMYK", "JPEG", "RGB"), ("CMYK", "TIFF", "RGB"), ("RGBA", "WEBP", "RGBA"), ("P", "GIF", "RGB"), ("RGB", "BMP", "RGB"),
        ("LAB", "TIFF", "RGB"), ("YCbCr", "JPEG", "RGB"), ("F", "TIFF", "RGB"), ("RGB", "AVIF", "RGB"),
    ],
)  # fmt: skip
def test_every_mode_becomes_rgb_or_rgba(mode: str, kind: str, expected: str) -> None:
    image = Image.new("LAB", (16, 16), (128, 128, 128)) if mode == "LAB" else picture((16, 16)).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(128)
    opened = open_picture(file_of(image, kind))
    assert (opened.mode, opened.size) == (expected, (16, 16))


def test_transparency_of_palettes_and_of_single_colours() -> None:
    palette = Image.new("P", (4, 1))
    palette.putpalette([10, 0, 0, 20, 0, 0, 30, 0, 0, 40, 0, 0])
    for n in range(4):
        palette.putpixel((n, 0), n)
    opened = open_picture(file_of(palette, "PNG", transparency=2))
    assert [opened.getpixel((n, 0)) for n in range(4)] == [(10, 0, 0, 255), (20, 0, 0, 255), (30, 0, 0, 0), (40, 0, 0, 255)]
    assert open_picture(file_of(Image.new("RGB", (4, 4), (9, 9, 9)), "PNG", transparency=(9, 9, 9))).getpixel((0, 0))[3] == 0


def test_sixteen_bits_are_scaled() -> None:
    for value, expected in ((65535, 255), (32768, 127), (257, 1), (0, 0)):
        assert open_picture(file_of(Image.new("I;16", (4, 4), value), "PNG")).getpixel((0, 0)) == (expected,) * 3


def test_upright_by_exif() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = Image.new("RGB", (20, 10), (255, 0, 0))
    assert open_picture(file_of(image, "JPEG", exif=exif.tobytes())).size == (10, 20)


def test_the_first_frame_of_many() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for kind in ("GIF", "PNG", "WEBP"):
        pixel = open_picture(file_of(frames[0], kind, save_all=True, append_images=frames[1:])).convert("RGB").getpixel((4, 4))
        assert pixel[0] > 200 > 60 > pixel[1], kind


def test_the_text_stays_with_the_picture() -> None:
    assert open_picture(encode(picture(), "png", infotext="x")).info["parameters"] == "x"


def header_only_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(8001, 8000), (100_000, 100_000), (2**31 - 1, 2**31 - 1), (64_000_001, 1)])
@pytest.mark.parametrize("read", [open_picture, read_parameters])
def test_too_many_pixels_are_refused_by_the_header(size: tuple[int, int], read: object) -> None:
    with pytest.raises(RequestFault, match=r"pixels|not a picture") as caught:
        read(header_only_png(*size))
    assert caught.value.field == "image"


def test_the_limit_itself_is_no_bomb() -> None:
    """8000 x 8000 is refused for its missing pixels, not for its size."""
    assert MAX_PIXELS == 8000 * 8000
    with pytest.raises(RequestFault, match="damaged"):
        open_picture(header_only_png(8000, 8000))


def test_a_text_bomb_is_refused() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "x" * 30_000_000, zip=True)
    with pytest.raises(RequestFault):
        read_parameters(file_of(picture(), "PNG", pnginfo=info))


NO_PICTURES = [
    b"", b"x", b"\x89PNG\r\n\x1a\n", b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"></svg>',
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"GIF89a", b"\xff\xd8\xff", b"P6 9 9 255 ",
]  # fmt: skip


@pytest.mark.parametrize("data", NO_PICTURES)
@pytest.mark.parametrize("read", [open_picture, read_parameters])
def test_what_is_no_picture_is_refused(data: bytes, read: object) -> None:
    with pytest.raises(RequestFault) as caught:
        read(data)
    assert caught.value.field == "image"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestFault):
        read_parameters(tmp_path / "none.png")


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_truncated_picture_is_refused_but_its_text_is_read(file_format: str) -> None:
    noise = Image.effect_noise((128, 128), 80).convert("RGB")
    data = encode(noise, file_format, infotext="the text")
    with pytest.raises(RequestFault):
        open_picture(data[: len(data) // 2])
    if file_format != "webp":  # there the text stands at the end
        assert read_parameters(data[: len(data) * 3 // 4])[0] == "the text"


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_files_raise_nothing_but_request_faults() -> None:
    """1200 files with bytes changed, some of them cut off."""
    chance, noise = random.Random(3), Image.effect_noise((32, 32), 80).convert("RGB")
    whole = [encode(noise, kind, infotext=PLAIN) for kind in ("png", "jpg", "webp")]
    whole += [file_of(noise, "GIF", comment=b"x"), file_of(noise, "TIFF"), file_of(noise, "BMP"), file_of(noise, "AVIF")]
    whole.append(with_comment(b"UNICODE\x00" + "x".encode("utf-16-be"), "PNG"))
    refused = 0
    for n in range(1200):
        data = bytearray(whole[n % len(whole)])
        for _ in range(chance.randint(1, 12)):
            near_front = min(int(chance.expovariate(1 / 60)), len(data) - 1)
            data[near_front if chance.random() < 0.7 else chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        for read in (open_picture, read_parameters):
            try:
                read(bytes(data))
            except RequestFault:
                refused += 1
    assert 100 < refused < 2400
