"""What a model can do and how large its pictures may be: the checks that the first pass and the later ones share. No torch."""

from __future__ import annotations

from modules.families import Family, Variant
from modules.faults import RequestFault
from modules.request import Checkpoint

MAX_PIXELS_AT_ONCE = 64_000_000
FAR_FROM_NATIVE = 2.0  # times the area of the training pictures
_MEGA = 1024**2


def can_do(task: str, checkpoint: Checkpoint, family: Family, variant: Variant, field: str = "sd_model_checkpoint") -> None:
    """Raises RequestFault when this kind of model cannot do a task. field: by which it was chosen."""
    if task not in variant.tasks:
        kind = " ".join(word for word in (family.title, variant.title) if word)
        others = ", ".join(variant.tasks) or "nothing here"
        raise RequestFault(
            field, f"{checkpoint.model_name} is a model of the kind {kind}; it is for {others}, not for {task}. Choose another"
        )


def check_room(field: str, width: int, height: int, count: int) -> None:
    """Raises RequestFault when so many pictures of that size (pixels) at once are over the limit."""
    if width * height * count > MAX_PIXELS_AT_ONCE:
        raise RequestFault(
            field,
            f"{count} pictures of {width}x{height} at once are over the limit of {MAX_PIXELS_AT_ONCE} pixels; make fewer or smaller ones",
        )


def beyond(width: int, height: int, checkpoint: Checkpoint, family: Family) -> str:
    """The most a model was made for, where that is known and a size is beyond it; else "".

    A known limit counts only for a model as large as the published ones: a small one of the same layout has its own size.
    """
    most = family.pixels_of(checkpoint.variant)[1]
    published = checkpoint.native_px == family.variant(checkpoint.variant).native_px
    return f"at most {most / _MEGA:.3g} megapixels" if published and most is not None and width * height > most else ""


def outside(width: int, height: int, checkpoint: Checkpoint, family: Family) -> str:
    """What a model was made for, when a size is outside of it; else ""."""
    native, area = checkpoint.native_px, width * height
    fewest, most = family.pixels_of(checkpoint.variant)
    if found := beyond(width, height, checkpoint, family):
        return found
    if native == family.variant(checkpoint.variant).native_px:
        if fewest is not None and area < fewest:
            return f"at least {fewest / _MEGA:.2g} megapixels"
        if most is not None and fewest is not None:
            return ""
    far = area > FAR_FROM_NATIVE * native**2 or area * FAR_FROM_NATIVE < native**2
    return f"{native}x{native}" if far or max(width, height) > native * 2 or max(width, height) * 2 < native else ""
