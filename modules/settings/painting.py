"""Painting on pictures and enlarging them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class Painting:
    """Settings of these pages, A1111's keys."""

    ESRGAN_tile: Annotated[
        int,
        Knob("Tile size for ESRGAN upscalers", 0, 512, step=16, section="Upscaling", help="Smaller tiles take less memory; 0 is no tiles."),
    ] = 192
    ESRGAN_tile_overlap: Annotated[
        int, Knob("Tile overlap for ESRGAN upscalers", 0, 48, step=1, section="Upscaling", help="Low values may show seams.")
    ] = 8
    inpainting_mask_weight: Annotated[
        float,
        Knob(
            "Inpainting conditioning mask strength",
            0,
            1,
            step=0.01,
            infotext="Conditional mask weight",
            section="img2img",
            help="For inpainting models: how much of the masked part is hidden from them.",
        ),
    ] = 1.0
    initial_noise_multiplier: Annotated[
        float,
        Knob("Noise multiplier for img2img", 0, 10, ui=(0, 1.5), step=0.001, infotext="Noise multiplier", section="img2img"),
    ] = 1.0
    img2img_extra_noise: Annotated[
        float,
        Knob(
            "Extra noise multiplier for img2img and hires fix",
            0,
            1,
            step=0.01,
            infotext="Extra noise",
            section="img2img",
            help="0 is off; should be lower than the denoising strength.",
        ),
    ] = 0.0
    img2img_color_correction: Annotated[
        bool, Knob("Apply color correction to img2img results to match original colors.", section="img2img", infotext="Color correction")
    ] = False
    img2img_fix_steps: Annotated[
        bool,
        Knob(
            "With img2img, do exactly the amount of steps the slider specifies.",
            section="img2img",
            infotext="Img2img exact steps",
            help="Otherwise fewer steps are done with less denoising.",
        ),
    ] = False
    img2img_background_color: Annotated[
        str,
        Knob(
            "With img2img, fill transparent parts of the input image with this color.",
            section="img2img",
            infotext="Img2img background",
            max_chars=40,
        ),
    ] = "#ffffff"
    return_mask: Annotated[bool, Knob("For inpainting, include the greyscale mask in results for web", section="img2img")] = False
    return_mask_composite: Annotated[bool, Knob("For inpainting, include masked composite in results for web", section="img2img")] = False
    overlay_inpaint: Annotated[
        bool,
        Knob(
            "Overlay original for inpaint",
            section="img2img",
            infotext="Overlay original",
            help="What is not masked stays exactly as it was.",
        ),
    ] = True
    upscaler_for_img2img: Annotated[
        str, Knob("Upscaler for img2img", choices="upscalers", section="Upscaling", infotext="Img2img upscaler", max_chars=500)
    ] = "None"
    face_restoration: Annotated[
        bool, Knob("Restore faces", section="Face restoration", help="Needs the model's files, see below; else a warning says which.")
    ] = False
    face_restoration_model: Annotated[str, Knob("Face restoration model", choices=("CodeFormer", "GFPGAN"), section="Face restoration")] = (
        "CodeFormer"
    )
    code_former_weight: Annotated[
        float, Knob("CodeFormer weight", 0, 1, step=0.01, section="Face restoration", help="0 changes most, 1 least.")
    ] = 0.5
