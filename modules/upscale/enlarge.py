"""Enlarging a picture by a factor or to a size, with one upscaler or two blended: what Extras, img2img and the hires pass call.

Start reading at `upscale`; `enlarge_to` is the plain step for hires, `enlarger` the one for `modules.pixels.resizing`.
Rules and texts of the parameters follow A1111 1.10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from modules.faults import RequestFault, UnknownName
from modules.pixels.resizing import LANCZOS, ResizeMode, Size, resize, resize_by
from modules.registry import Registry
from modules.upscale.network import Network, Tiles, Watch
from modules.upscale.shelf import Shelf
from modules.upscale.sizes import MAX_PIXELS, check_pixels, target_of
from modules.upscale.table import NONE, Upscaler, upscalers

RUNS = 3  # a network is run until the picture is large enough, at most so often


@dataclass(frozen=True, kw_only=True)
class Upscaling:
    """What enlarging needs: the list of upscalers, the networks in memory, how to tile, and who watches."""

    rows: Registry[Upscaler] = field(default_factory=upscalers)
    shelf: Shelf = field(default_factory=Shelf)
    tiles: Tiles = field(default_factory=Tiles)
    watch: Watch = field(default_factory=Watch)


@dataclass(frozen=True, kw_only=True)
class Upscaled:
    """image: RGB, or RGBA when the picture has transparency. info: what the file's "postprocessing" text says. notes: for people."""

    image: Image.Image
    info: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def upscale(
    image: Image.Image, tools: Upscaling, *, factor: float | None = None, size: Size | None = None, name: str = NONE, name_2: str = NONE,
    visibility_2: float = 0, crop: bool = True, max_side: int = 0,
) -> Upscaled:  # fmt: skip
    """The picture enlarged by a factor, or so that it covers a size (then, with crop, cut to exactly that size around its middle).

    name "None" leaves the picture as it is. A second upscaler is blended in by visibility_2 (0 to 1). max_side: the longer side is
    brought down to it when factor would make it longer; 0 for no limit.
    Raises RequestFault (values, too many pixels), UnknownName, ModelFault, OutOfMemory, BlankPicture, Cancelled.
    """
    row, row_2 = _row(tools, name, "upscaler_1"), _row(tools, name_2, "upscaler_2")
    if not 0 <= visibility_2 <= 1:
        raise RequestFault("extras_upscaler_2_visibility", "must be from 0 to 1", got=visibility_2)
    target, cut, info = target_of(image.size, factor, size, crop, max_side)
    if row.name == NONE:
        return Upscaled(image=image)
    check_pixels(target)
    plain = _plain(image)
    notes: list[str] = []
    result = _enlarged(plain, target, row, tools, notes)
    info["Postprocess upscaler"] = row.name
    if row_2.name != NONE and visibility_2 > 0:
        result = Image.blend(result, _enlarged(plain, target, row_2, tools, notes), visibility_2)
        info["Postprocess upscaler 2"] = row_2.name
    if cut and cut != target:
        result = resize(result, cut, ResizeMode.CROP)
    return Upscaled(image=result, info=info, notes=tuple(dict.fromkeys(notes)))


def enlarge_to(image: Image.Image, size: Size, name: str, tools: Upscaling) -> Upscaled:
    """The picture at exactly that size (both sides on their own), through an upscaler where it grows; "None" means Lanczos."""
    check_pixels(size)
    notes: list[str] = []
    result = _enlarged(_plain(image), size, _row(tools, name, "upscaler"), tools, notes)
    return Upscaled(image=result, notes=tuple(dict.fromkeys(notes)))


def enlarger(name: str | None, tools: Upscaling, notes: list[str] | None = None) -> Callable[[Image.Image, float], Image.Image] | None:
    """The upscaler as `pixels.resizing.resize` takes it; None where Lanczos alone does it ("None", "Lanczos", no name)."""
    row = _row(tools, name or NONE, "upscaler_for_img2img")
    if row.path is None and row.resample in (None, LANCZOS):
        return None

    def enlarge(image: Image.Image, factor: float) -> Image.Image:
        found = enlarge_to(image, resize_by(image.size, factor), row.name, tools)
        if notes is not None:
            notes.extend(note for note in found.notes if note not in notes)
        return found.image

    return enlarge


def _row(tools: Upscaling, name: str, field_name: str) -> Upscaler:
    if name not in tools.rows:
        raise UnknownName(field_name, name, tools.rows.names())
    return tools.rows.get(name)


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in ("RGB", "RGBA"):
        return image
    return image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB")


def _enlarged(image: Image.Image, size: Size, row: Upscaler, tools: Upscaling, notes: list[str]) -> Image.Image:
    """At exactly that size; transparency never goes through a network."""
    if row.path is None:
        return image.copy() if image.size == size else image.resize(size, LANCZOS if row.resample is None else row.resample)
    result = _through(tools.shelf.get(row.path), image.convert("RGB"), size, tools, notes)
    result = result if result.size == size else result.resize(size, LANCZOS)
    if image.mode == "RGBA":
        result.putalpha(image.getchannel("A").resize(size, LANCZOS))
    return result


def _through(network: Network, image: Image.Image, size: Size, tools: Upscaling, notes: list[str]) -> Image.Image:
    """Run the network until the picture covers the size, at least once unless the picture is to shrink."""
    for run in range(RUNS):
        large_enough = image.width >= size[0] and image.height >= size[1]
        if large_enough and (run > 0 or image.size != size):
            break
        most = MAX_PIXELS / network.scale**2
        if image.width * image.height > most:
            shrink = (most / (image.width * image.height)) ** 0.5
            image = image.resize(resize_by(image.size, shrink), LANCZOS)
            notes.append(f"{network.name}: the picture was made smaller before the last run, which would have made too many pixels.")
        image = network.run(image, tools.tiles, tools.watch, notes)
        if network.scale == 1:
            break
    return image
