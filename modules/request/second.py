"""What may follow a first pass: the hires pass, and another checkpoint for the last steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob
from modules.request.basics import PROMPT_LIMIT

SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULER = "Use same checkpoint", "Use same sampler", "Use same scheduler"


@dataclass(frozen=True, kw_only=True)
class Hires:
    """The second, larger pass. Names of None, "" or "Use same ..." take the first pass's. denoising_strength: also img2img's."""

    enable_hr: Annotated[bool, Knob("Hires. fix", help="Paint the picture again at a larger size.", elem="hr")] = False
    denoising_strength: Annotated[
        float | None,
        Knob("Denoising strength", 0, 1, step=0.01, infotext="Denoising strength", help="How much may change: 0 nothing, 1 everything."),
    ] = None
    hr_scale: Annotated[float, Knob("Upscale by", 1, 16, ui=(1, 4), step=0.05, infotext="Hires upscale")] = 2.0
    hr_upscaler: Annotated[str | None, Knob("Upscaler", choices="hr_upscalers", infotext="Hires upscaler")] = None
    hr_second_pass_steps: Annotated[
        int,
        Knob(
            "Hires steps",
            0,
            1000,
            ui=(0, 150),
            step=1,
            infotext="Hires steps",
            elem="hires_steps",
            help="0 takes as many as the first pass.",
        ),
    ] = 0
    hr_resize_x: Annotated[int, Knob("Resize width to", 0, 16384, ui=(0, 2048), step=8, help="0: by the factor above.")] = 0
    hr_resize_y: Annotated[int, Knob("Resize height to", 0, 16384, ui=(0, 2048), step=8, help="0: by the factor above.")] = 0
    hr_checkpoint_name: Annotated[
        str | None, Knob("Hires checkpoint", choices="hr_checkpoints", infotext="Hires checkpoint", elem="hr_checkpoint")
    ] = None
    hr_sampler_name: Annotated[
        str | None, Knob("Hires sampling method", choices="hr_samplers", infotext="Hires sampler", elem="hr_sampler")
    ] = None
    hr_scheduler: Annotated[str | None, Knob("Hires schedule type", choices="hr_schedulers", infotext="Hires schedule type")] = None
    hr_prompt: Annotated[
        str, Knob("Hires prompt", multiline=True, infotext="Hires prompt", max_chars=PROMPT_LIMIT, help="Empty: the prompt.")
    ] = ""
    hr_negative_prompt: Annotated[
        str, Knob("Hires negative prompt", multiline=True, infotext="Hires negative prompt", max_chars=PROMPT_LIMIT, elem="hr_neg_prompt")
    ] = ""
    hr_cfg: Annotated[
        float | None, Knob("Hires CFG Scale", 0, 100, ui=(1, 30), step=0.1, infotext="Hires CFG Scale", help="Empty takes the CFG scale.")
    ] = None
    firstpass_image: Annotated[
        str | None, Knob("First pass image", help="Input picture that takes the first pass's place: upscale only.", max_chars=200)
    ] = None


@dataclass(frozen=True, kw_only=True)
class Refiner:
    """Another checkpoint that takes over on the way."""

    refiner_checkpoint: Annotated[
        str | None, Knob("Refiner", choices="refiners", infotext="Refiner", elem="checkpoint", help="The checkpoint that takes over.")
    ] = None
    refiner_switch_at: Annotated[
        float | None,
        Knob(
            "Switch at", 0, 1, ui=(0.01, 1), step=0.01, infotext="Refiner switch at", elem="switch_at", help="After this share of the way."
        ),
    ] = None
