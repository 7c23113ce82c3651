"""Stage 1b: the pictures that a request begins with, with nothing left open: they are there, can be read, and fit together. No torch.

Start reading at `with_pictures`, which comes before sizes are known, then `image_input`. Source: the behaviour of A1111 1.10.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from PIL import Image, ImageColor

from modules.families import Family, Variant
from modules.faults import RequestFault, UnknownName
from modules.inputs import Inputs
from modules.library import Library
from modules.pixels.mask import BLANK, OTHER_SIZE, invert, is_blank, read_mask
from modules.processing.limits import can_do
from modules.processing.resolve_outpaint import IDLE, OWN_SIZE, grown, outpaint_of
from modules.request import Checkpoint, GenerationRequest, Repaint
from modules.settings import Settings
from modules.upscale.table import NONE, upscalers

DEFAULT_DENOISING = 0.75
DEFAULT_IMAGE_CFG = 1.5
EDITS = "InstructPix2Pix"  # classes with this in their name look at a picture while they begin with noise
NOTHING_PAINTED = "The mask is blank, so nothing was painted; the picture is as it was."
ALL_KEPT = "With a denoising strength of 0 the picture hardly changes."


def with_pictures(request: GenerationRequest, inputs: Inputs | None, step: int = 8) -> GenerationRequest:
    """The request with the size and the batch that its pictures ask for: scale_by made a size, several pictures made a batch.

    step: sides of what is painted are multiples of it; pictures that grow are painted on more where they do not fit.
    Raises RequestFault for a mask without a picture, too many pictures, and pictures that are not there or cannot be read.
    """
    if not request.init_images:
        if request.mask is not None:
            raise RequestFault("mask", "needs a picture to lie on; send one in init_images")
        return request
    count = len(request.init_images)
    if count > 1 and count > request.batch_size:
        why = f"holds {count} pictures for a batch of {request.batch_size}; send one, or as many as the batch size says"
        raise RequestFault("init_images", why, allowed=request.batch_size)
    if not all(isinstance(name, str) for name in request.init_images):
        raise RequestFault("init_images", "must be a list of pictures")
    changes: dict[str, int] = {"batch_size": count} if count > 1 else {}
    sizes = [_open(inputs, name, "init_images").size for name in request.init_images]
    if request.scale_by is not None:
        changes["width"], changes["height"] = (max(1, int(side * request.scale_by)) for side in sizes[0])
    return dataclasses.replace(request, **{**changes, **grown(request, sizes, step)})


def image_input(
    request: GenerationRequest, settings: Settings, library: Library, inputs: Inputs | None, checkpoint: Checkpoint, family: Family
) -> tuple[Repaint | None, float | None, list[str]]:
    """(what the run begins with, denoising strength, warnings); (None, None, []) for txt2img. request: as `with_pictures` gave it.

    Values of None are the settings' and the model's own, where they count. Raises RequestFault, UnknownName.
    """
    if not request.init_images:
        return None, None, []
    variant = family.variant(checkpoint.variant)
    can_do("img2img", checkpoint, family, variant)
    _check_colour(settings.img2img_background_color)
    check_upscaler(settings.upscaler_for_img2img, library)
    denoising = DEFAULT_DENOISING if request.denoising_strength is None else request.denoising_strength
    multiplier = settings.initial_noise_multiplier if request.initial_noise_multiplier is None else request.initial_noise_multiplier
    found = dataclasses.replace(
        request.group(Repaint),
        scale_by=None,
        image_cfg_scale=_image_cfg(request, variant),
        initial_noise_multiplier=None if multiplier == 1 else multiplier,
        **_idle(request),
    )
    grows = outpaint_of(request) is not None
    warnings = _about_mask(found, inputs, grows) if found.mask is not None else []
    if grows and request.scale_by not in (None, 1):
        warnings.append(OWN_SIZE)
    return found, denoising, [*warnings, *([ALL_KEPT] if denoising == 0 and not settings.img2img_fix_steps else [])]


def _idle(request: GenerationRequest) -> dict[str, Any]:
    """Fields that mean nothing beside the others, at their defaults, so that requests for the same picture are the same."""
    grows = outpaint_of(request) is not None
    masked = request.mask is not None or grows
    soft = request.soft_inpainting and masked
    names = [f.name for f in dataclasses.fields(Repaint)]
    idle = [name for name in names if name.startswith("soft_") and not soft]
    if grows:
        idle += [*IDLE, *(["inpainting_mask_invert"] if request.mask is None else [])]
    elif not masked:
        idle += [name for name in names if name.startswith(("mask_", "inpaint"))]
    elif not request.inpaint_full_res:
        idle.append("inpaint_full_res_padding")
    return {f.name: f.default for f in dataclasses.fields(Repaint) if f.name in idle}


def edits(variant: Variant) -> bool:
    """Does this kind of model follow instructions about a picture that it looks at?"""
    return EDITS in variant.tasks.get("img2img", "")


def _image_cfg(request: GenerationRequest, variant: Variant) -> float | None:
    if not edits(variant):
        return None
    return DEFAULT_IMAGE_CFG if request.image_cfg_scale is None else request.image_cfg_scale


def _about_mask(image: Repaint, inputs: Inputs | None, grows: bool) -> list[str]:
    """What will not be as somebody might think."""
    first, mask = _open(inputs, image.init_images[0], "init_images"), _open(inputs, str(image.mask), "mask")
    said: list[str] = []
    if mask.size != first.size:
        said.append(OTHER_SIZE.format(f"{mask.width}x{mask.height}", f"{first.width}x{first.height}"))
    meant = read_mask(mask, rounded=image.mask_round and not image.soft_inpainting)
    if not grows and is_blank(invert(meant) if image.inpainting_mask_invert else meant):
        said.append(BLANK if image.inpaint_full_res else NOTHING_PAINTED)
    return said


def _open(inputs: Inputs | None, reference: str, field: str) -> Image.Image:
    if inputs is None:
        raise RequestFault(field, "cannot be read here: there is no store of input pictures")
    return inputs.open(reference, field)


def _check_colour(colour: str) -> None:
    try:
        ImageColor.getrgb(colour)
    except ValueError as error:
        raise RequestFault("img2img_background_color", "is not a colour; write it like #ffffff", got=colour) from error


def check_upscaler(name: str, library: Library, field: str = "upscaler_for_img2img") -> None:
    """Raises UnknownName for an upscaler for pictures that is not there."""
    known = upscalers((row.name, Path(row.path)) for row in library.rows("upscaler"))
    if name not in ("", NONE) and known.name_of(name) is None:
        raise UnknownName(field, name, known.names())
