"""Pictures to begin with: img2img, inpainting. Pictures are named by references to the input store ("input:<sha256>")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from modules.knobs import Knob

REFERENCE = "input:"
SOFT = "Soft inpainting"


@dataclass(frozen=True, kw_only=True)
class Repaint:
    """Without init_images the request is txt2img and nothing here counts. Defaults are the page's; the API has its own."""

    init_images: Annotated[list[str], Knob("Pictures to begin with")] = field(default_factory=list[str])
    mask: Annotated[str | None, Knob("Mask", max_chars=200, help="White is painted, black is kept.")] = None
    resize_mode: Annotated[int, Knob("Resize mode", 0, 3, step=1, help="0 just resize, 1 crop, 2 fill, 3 latent upscale.")] = 0
    scale_by: Annotated[
        float | None,
        Knob(
            "Scale", 0.01, 16, ui=(0.05, 4), step=0.05, elem="scale", help="Size as a factor of the picture's own; empty: width and height."
        ),
    ] = None
    image_cfg_scale: Annotated[
        float | None,
        Knob(
            "Image CFG Scale",
            0,
            100,
            ui=(0, 3),
            step=0.05,
            infotext="Image CFG scale",
            help="How closely an editing model keeps to the picture.",
        ),
    ] = None
    mask_blur_x: Annotated[int, Knob("Mask blur X", 0, 256, ui=(0, 64), step=1, help="Pixels.")] = 4
    mask_blur_y: Annotated[int, Knob("Mask blur Y", 0, 256, ui=(0, 64), step=1, help="Pixels.")] = 4
    mask_round: Annotated[bool, Knob("Round the mask", help="The latent mask is 0 or 1.")] = True
    inpainting_fill: Annotated[int, Knob("Masked content", 0, 3, step=1, help="0 fill, 1 original, 2 latent noise, 3 latent nothing.")] = 1
    inpaint_full_res: Annotated[bool, Knob("Only masked", help="Paint the masked part alone, at full size.")] = False
    inpaint_full_res_padding: Annotated[
        int, Knob("Only masked padding, pixels", 0, 4096, ui=(0, 256), step=4, help="How much around the mask is seen.")
    ] = 32
    inpainting_mask_invert: Annotated[int, Knob("Mask mode", 0, 1, step=1, help="0 paint what is masked, 1 what is not.")] = 0
    initial_noise_multiplier: Annotated[
        float | None, Knob("Noise multiplier", 0, 10, ui=(0, 1.5), step=0.001, infotext="Noise multiplier", help="Empty takes the setting.")
    ] = None
    soft_inpainting: Annotated[bool, Knob(SOFT, infotext=f"{SOFT} enabled", help="Blends by how much each place may change.")] = False
    soft_schedule_bias: Annotated[float, Knob("Schedule bias", 0, 8, step=0.1, infotext=f"{SOFT} schedule bias")] = 1.0
    soft_preservation_strength: Annotated[
        float, Knob("Preservation strength", 0, 8, step=0.05, infotext=f"{SOFT} preservation strength")
    ] = 0.5
    soft_transition_contrast_boost: Annotated[
        float, Knob("Transition contrast boost", 1, 32, step=0.5, infotext=f"{SOFT} transition contrast boost")
    ] = 4.0
    soft_mask_influence: Annotated[float, Knob("Mask influence", 0, 1, step=0.05, infotext=f"{SOFT} mask influence")] = 0.0
    soft_difference_threshold: Annotated[float, Knob("Difference threshold", 0, 8, step=0.25, infotext=f"{SOFT} difference threshold")] = (
        0.5
    )
    soft_difference_contrast: Annotated[float, Knob("Difference contrast", 0, 8, step=0.25, infotext=f"{SOFT} difference contrast")] = 2.0
