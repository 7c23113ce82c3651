"""Fields of a body that are none of the request's own: A1111's older names, and what concerns the asking more than the picture.

Pure declarations; `modules.server.fields` says what each does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from modules.knobs import Knob

TXT2IMG, IMG2IMG = "txt2img", "img2img"


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A1111's further fields with its API defaults: other names for things, and what concerns the request more than the picture."""

    restore_faces: Annotated[bool | None, Knob("Restore faces", help="For this run, in place of the setting face_restoration.")] = None
    tiling: Annotated[bool | None, Knob("Tiling", help="For this run, in place of the setting.")] = None
    do_not_save_samples: Annotated[bool | None, Knob("Do not save pictures", help="Follows save_images.")] = False
    do_not_save_grid: Annotated[bool | None, Knob("Do not save the grid", help="Follows save_images.")] = False
    override_settings_restore_afterwards: Annotated[bool | None, Knob("Take override_settings back afterwards")] = True
    disable_extra_networks: Annotated[bool | None, Knob("Disable extra networks", help="Takes their tags out of the prompts.")] = False
    comments: Annotated[dict[str, Any] | None, Knob("Comments", help="Taken and not used.")] = None
    force_task_id: Annotated[str | None, Knob("Task id", help="Names the job; the same id and request give the same job again.")] = None
    sampler_index: Annotated[str | None, Knob("Sampling method (old name)")] = "Euler"
    infotext: Annotated[
        str | None, Knob("Parameters text", help="Counts where the request has nothing; so do its ControlNet units and scripts.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class AcceptedTxt2img(Accepted):
    """Those of txt2img alone."""

    firstphase_width: Annotated[int | None, Knob("First pass width", 0, 16384, help="With it, width and height are the target.")] = 0
    firstphase_height: Annotated[int | None, Knob("First pass height", 0, 16384, help="With it, width and height are the target.")] = 0


@dataclass(frozen=True, kw_only=True)
class AcceptedImg2img(Accepted):
    """Those of img2img alone."""

    mask_blur: Annotated[int | None, Knob("Mask blur", 0, 256, help="Sets mask_blur_x and mask_blur_y.")] = None
    latent_mask: Annotated[str | None, Knob("Latent mask", help="Taken as the mask when there is no other.")] = None
    include_init_images: Annotated[bool | None, Knob("Repeat the pictures in the answer")] = False


ACCEPTED: dict[str, type[Accepted]] = {TXT2IMG: AcceptedTxt2img, IMG2IMG: AcceptedImg2img}
