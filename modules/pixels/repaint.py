"""From an init picture and a mask to what the network paints on, and from what it painted to the result.

Knows the order of the steps of img2img and inpainting; each step lies in a file of its own. Knows nothing about models or latents.
Start reading at `prepare`, then `finish`. The order follows A1111 1.10 (its contract: sizes first, then fill, colours last).
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageOps

from modules.pixels.colour import match_colours
from modules.pixels.crop import Box, cut_out, paste_back, region
from modules.pixels.incoming import WHITE, flatten
from modules.pixels.mask import BLANK, OTHER_SIZE, blur, invert, is_blank, overlay_mask, read_mask
from modules.pixels.masked_content import MASKED_CONTENT, MaskedContent, fill
from modules.pixels.resizing import SMOOTH, Enlarge, ResizeMode, Size, resize


@dataclass(frozen=True, kw_only=True)
class Repainting:
    """What was asked. size: (width, height) the network draws. Blurs are sigmas in pixels; padding in pixels of the init picture.

    rounded: a mask taken from transparency is 0 or 255, and the latent mask 0 or 1; False for soft inpainting.
    """

    size: Size
    resize_mode: ResizeMode = ResizeMode.JUST_RESIZE
    only_masked: bool = False
    padding_px: int = 0
    masked_content: MaskedContent = MASKED_CONTENT[1]
    inverted: bool = False
    rounded: bool = True
    blur_x: float = 4
    blur_y: float = 4
    background: str = WHITE


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """image: RGB to be encoded, of the size drawn (in mode LATENT its own size). mask: "L" of the size drawn, None for img2img.

    original: RGB that shows where the result is not painted; of the result's size, as is overlay_mask ("L", white = painted).
    box: where in `original` the painted part belongs, None for all of it. trim: the part of the result that is kept, None for all.
    notes: sentences for the result.
    """

    image: Image.Image
    size: Size
    original: Image.Image
    mask: Image.Image | None = None
    overlay_mask: Image.Image | None = None
    box: Box | None = None
    trim: Box | None = None
    notes: tuple[str, ...] = ()

    @property
    def result_size(self) -> Size:
        """(width, height) of what `finish` gives: of the init picture with "only masked", else of what was drawn."""
        return self.trimmed(self.original).size

    @property
    def result_mask(self) -> Image.Image | None:
        """The overlay mask of what `finish` gives."""
        return None if self.overlay_mask is None else self.trimmed(self.overlay_mask)

    def trimmed(self, image: Image.Image) -> Image.Image:
        """What is kept of a picture of the size of `original`."""
        return image if self.trim is None else image.crop(self.trim)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """image: the result, RGB. painted: the same before the original was laid over it, for the mask composite."""

    image: Image.Image
    painted: Image.Image


def prepare_mask(mask: Image.Image, asked: Repainting) -> Image.Image:
    """The mask as it is meant: one channel, turned round if asked, blurred. Same size as what was sent."""
    plain = read_mask(mask, rounded=asked.rounded)
    return blur(invert(plain) if asked.inverted else plain, asked.blur_x, asked.blur_y)


def prepare(image: Image.Image, mask: Image.Image | None, asked: Repainting, *, enlarge: Enlarge | None = None) -> Prepared:
    """What the network paints on. image, mask: as read from their files (any mode; white or opaque mask = painted).

    enlarge: the upscaler for pictures that grow, None for Lanczos. A blank mask with "only masked" is img2img, with a note.
    """
    flat = flatten(image, asked.background)
    if mask is None:
        return _without_mask(flat, asked, enlarge)
    meant = prepare_mask(mask, asked)
    if not asked.only_masked:
        return _whole(flat, meant, asked, enlarge)
    notes = ()
    if meant.size != flat.size:
        notes = (OTHER_SIZE.format(_text(meant.size), _text(flat.size)),)
        meant = resize(meant, flat.size, resample=SMOOTH)
    box = region(meant, asked.padding_px, asked.size)
    if box is None:
        return _without_mask(flat, asked, enlarge, (*notes, BLANK))
    cut = cut_out(flat, box, asked.size, enlarge=enlarge)
    small_mask = cut_out(meant, box, asked.size, resample=SMOOTH)
    return Prepared(
        image=_content(cut, small_mask, asked), size=asked.size, original=flat, mask=small_mask, overlay_mask=meant, box=box, notes=notes
    )


def _without_mask(flat: Image.Image, asked: Repainting, enlarge: Enlarge | None, notes: tuple[str, ...] = ()) -> Prepared:
    resized = resize(flat, asked.size, asked.resize_mode, enlarge=enlarge)
    keeps_size = asked.resize_mode is ResizeMode.LATENT
    return Prepared(image=flat if keeps_size else resized, size=asked.size, original=resized, notes=notes)


def _whole(flat: Image.Image, mask: Image.Image, asked: Repainting, enlarge: Enlarge | None) -> Prepared:
    resized = resize(flat, asked.size, asked.resize_mode, enlarge=enlarge)
    resized_mask = resize(mask, asked.size, asked.resize_mode, resample=SMOOTH)
    if asked.resize_mode is ResizeMode.LATENT:
        image = _content(flat, resize(mask, flat.size, resample=SMOOTH), asked)
    else:
        image = _content(resized, resized_mask, asked)
    return Prepared(image=image, size=asked.size, original=resized, mask=resized_mask, overlay_mask=overlay_mask(resized_mask))


def _content(image: Image.Image, mask: Image.Image, asked: Repainting) -> Image.Image:
    return fill(image, mask) if asked.masked_content.fills and not is_blank(mask) else image


def finish(
    drawn: Image.Image, prepared: Prepared, *, colour_correction: bool = False, overlay: bool = True, enlarge: Enlarge | None = None
) -> Finished:
    """The result from what the network drew (RGB; a size other than asked for, as of latents rounded down, is stretched back).

    Order: colours matched to the prepared picture, pasted back into the whole, original laid over what was not to be painted.
    With overlay, every pixel whose overlay mask is 0 is exactly the original's.
    """
    drawn = resize(drawn.convert("RGB"), prepared.size)
    if colour_correction:
        drawn = match_colours(drawn, prepared.image)
    painted = drawn if prepared.box is None else paste_back(drawn, prepared.box, prepared.original, enlarge=enlarge)
    if not overlay or prepared.overlay_mask is None:
        return Finished(image=prepared.trimmed(painted), painted=prepared.trimmed(painted))
    kept = ImageOps.invert(prepared.overlay_mask)
    whole = Image.composite(prepared.original, painted, kept)
    return Finished(image=prepared.trimmed(whole), painted=prepared.trimmed(painted))


def mask_composite(finished: Finished, prepared: Prepared) -> Image.Image | None:
    """RGBA picture of the painted part alone, transparent elsewhere (A1111's return_mask_composite); None without a mask."""
    mask = prepared.result_mask
    if mask is None:
        return None
    result = finished.painted.convert("RGBA")
    result.putalpha(mask)
    return result


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
