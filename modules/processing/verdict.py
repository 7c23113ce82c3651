"""Whether a picture that was made again is the same, how far it is off, and what has changed since.

Knows pixels and parameters texts; runs nothing. Start reading at `judge`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageStat, JpegImagePlugin

from modules.library.pictures import differences
from modules.library.pictures.differences import Difference
from modules.pixels.metadata import open_picture
from modules.processing.reproduce import Original
from modules.request import GenerationRequest

LOSSY_MEAN = 2.0  # of 255; what another encoder of the same quality may change
# The drawn prompt is what counts; a picture of a batch is made alone first.
QUIET_KEYS = ("Template", "Negative Template", "Batch size", "Batch pos")
# Keys that a setting may have left out of the original; only their being there tells anything.
OPTIONAL = ("Model", "Model hash", "VAE", "VAE hash", "Lora hashes", "TI hashes", "RNG", "Version")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """largest, mean: pixel difference, 0 to 255, over red, green and blue; share: of the pixels that differ, 0 to 1.

    changes: what has changed since, in sentences; compared: how it was made or compared where that needs saying, else "".
    """

    equal: bool
    largest: float
    mean: float
    share: float
    changes: list[str] = field(default_factory=list[str])
    compared: str = ""

    @property
    def line(self) -> str:
        """The result in one line."""
        if self.largest == 0:
            return "equal: every pixel is the same"
        word = "equal within the tolerance" if self.equal else "different"
        return f"{word}: largest difference {self.largest:g} of 255, mean {self.mean:.3g}, {self.share:.1%} of the pixels"


def judge(
    original: Original,
    remade: Path,
    remade_text: str,
    *,
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
    device: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    quality: int = 80,
    way: GenerationRequest | None = None,
) -> Verdict:
    """Compare a picture with the file of its second making.

    notes: of the plan; warnings: of the job, told when they may be a cause; device: as the worker tells it; tolerance: the largest
    pixel difference (0 to 255) that counts as equal, None for none in lossless files and LOSSY_MEAN on average in lossy ones;
    quality: for lossy WebP and AVIF, 1 to 100; way: the request that made it, where it is one of several.
    """
    again = open_picture(remade)
    compared, lossy = "", _is_lossy(original)
    if lossy:
        again, compared = _squeezed(original, again, quality)
    changes = [*notes, *changed(original.text, remade_text)]
    if way is not None and way.batch_size > 1:
        compared = "; ".join(filter(None, [f"made in a batch of {way.batch_size}, as it was then", compared]))
    if again.size != original.image.size:
        sizes = " and ".join(f"{w}x{h}" for w, h in (original.image.size, again.size))
        return Verdict(equal=False, largest=255, mean=255, share=1, changes=[f"The sizes differ: {sizes}.", *changes], compared=compared)
    largest, mean, share = difference(original.image, again)
    equal = largest <= tolerance if tolerance is not None else mean <= LOSSY_MEAN if lossy else largest == 0
    if not equal and not changes:
        here = f" Here it is {device['name']}, {device.get('dtype', '')}".rstrip(", ") + "." if device and device.get("name") else ""
        changes = [f"The parameters are the same. The device, its number format or a library must be another than then.{here}"]
    told = changes if equal else [*changes, *(f"Said now: {warning}" for warning in warnings)]
    return Verdict(equal=equal, largest=largest, mean=mean, share=share, changes=told, compared=compared)


def difference(first: Image.Image, second: Image.Image) -> tuple[float, float, float]:
    """(largest, mean, share of pixels that differ) of two pictures of one size, as RGB; largest and mean 0 to 255."""
    off = ImageChops.difference(first.convert("RGB"), second.convert("RGB"))
    bands = off.split()
    anywhere = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    counts = anywhere.histogram()
    mean = sum(ImageStat.Stat(off).mean) / len(bands)
    return float(anywhere.getextrema()[1]), mean, 1 - counts[0] / (first.width * first.height)  # pyright: ignore[reportArgumentType]


def _is_lossy(original: Original) -> bool:
    if original.format != "WEBP":
        return original.format in ("JPEG", "MPO", "AVIF")
    with original.path.open("rb") as file:
        return b"VP8L" not in file.read(4096)  # the chunk of lossless pixels


def _squeezed(original: Original, again: Image.Image, quality: int) -> tuple[Image.Image, str]:
    """The second making with the same loss as the file, and how that was done in words."""
    buffer = io.BytesIO()
    plain = again.convert("RGB")
    if original.format in ("JPEG", "MPO"):
        with Image.open(original.path) as header:
            tables: Any = getattr(header, "quantization", None)
            sampling = JpegImagePlugin.get_sampling(header)
        options = {"qtables": tables} if tables else {"quality": quality}
        plain.save(buffer, "JPEG", **options, subsampling=sampling if sampling >= 0 else "4:2:0")
        return open_picture(buffer.getvalue()), "JPEG with loss; the second making was compressed with the file's own tables first"
    plain.save(buffer, original.format, quality=quality)
    words = f"{original.format} with loss; the second making was compressed with quality {quality} first"
    return open_picture(buffer.getvalue()), f"{words}, and a mean difference up to {LOSSY_MEAN:g} counts as equal"


# ---- what has changed -------------------------------------------------------------------------------------------------


def changed(before: str, now: str) -> list[str]:
    """Sentences about every key of two parameters texts that differs and may be a cause."""
    found: list[str] = []
    for row in differences.settings(before, now):
        if row.key in QUIET_KEYS or (row.first is None and row.key in OPTIONAL):
            continue
        found += WORDS.get(row.key, _plainly)(row)
    return found


def _plainly(row: Difference) -> list[str]:
    if row.second is None:
        return [f"{row.key}: {row.first} then; this program does not know it or did not use it."]
    return [f"{row.key}: {'nothing' if row.first is None else row.first} then, {row.second} now."]


def _version(row: Difference) -> list[str]:
    return [f"The program: {row.first} then, {row.second} now."]


def _model_hash(row: Difference) -> list[str]:
    return [f"The model has another content: hash {row.first} then, {row.second} now."]


def _hashes(what: str) -> Callable[[Difference], list[str]]:
    """Sentences about files that are listed as "name: digest, name: digest"."""

    def said(row: Difference) -> list[str]:
        before, now = (_digests(text) for text in (row.first, row.second))
        found = [f"The {what} {name} is not here or was not used." for name in before if name not in now]
        for name, digest in before.items():
            shared = min(len(digest), len(now.get(name, "")))
            if name in now and digest[:shared] != now[name][:shared]:
                found.append(f"The {what} {name} has another content: hash {digest} then, {now[name]} now.")
        return found + [f"The {what} {name} was not used then." for name in now if name not in before]

    return said


def _digests(text: str | None) -> dict[str, str]:
    parts = (part.rpartition(":") for part in (text or "").split(","))
    return {name.strip(): digest.strip() for name, colon, digest in parts if colon}


WORDS: Mapping[str, Callable[[Difference], list[str]]] = {
    "Version": _version,
    "Model": lambda row: [f"The model was called {row.first} then and is {row.second} here."],
    "Model hash": _model_hash,
    "VAE": lambda row: [f"The VAE: {row.first} then, {row.second or 'the model’s own'} now."],
    "VAE hash": lambda row: [f"The VAE has another content: hash {row.first} then, {row.second or 'none'} now."],
    "Lora hashes": _hashes("LoRA"),
    "TI hashes": _hashes("embedding"),
}
