"""Stage 1d: whether a request's picture can be walked back to its noise, and with what. No torch. Start reading at `inversion_of`."""

from __future__ import annotations

from modules.families import Variant
from modules.faults import RequestFault
from modules.request import Checkpoint, GenerationRequest, Inversion

INVERTS = ("StableDiffusion", "StableDiffusionXL")  # classes whose networks see nothing but latents and text, by noise levels


def inversion_of(request: GenerationRequest, checkpoint: Checkpoint, variant: Variant) -> tuple[Inversion | None, list[str]]:
    """(how the noise is found, warnings); None when that was not asked for, or the kind of model cannot.

    Raises RequestFault for a CFG scale between those that are possible.
    """
    asked = request.group(Inversion)
    if asked.invert_steps == 0 or not request.init_images:
        return None, []
    if 0 < asked.invert_cfg_scale < 1:
        raise RequestFault("invert_cfg_scale", "must be 0 (the negative prompt alone) or at least 1", got=asked.invert_cfg_scale)
    if variant.tasks.get("txt2img", "").removesuffix("Pipeline") not in INVERTS:
        return None, [f"The noise of a picture cannot be found with {checkpoint.model_name}; the seed's was used."]
    return asked, []
