"""The fields that every generation has: prompts, steps, sampler, guidance, size, count, seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from modules.knobs import Knob

PROMPT_LIMIT = 1_000_000
SEED_LIMIT = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Basics:
    """The core block of A1111's fields, in its order."""

    prompt: Annotated[str, Knob("Prompt", multiline=True, infotext="Prompt", max_chars=PROMPT_LIMIT)] = ""
    negative_prompt: Annotated[
        str, Knob("Negative prompt", multiline=True, infotext="Negative prompt", elem="neg_prompt", max_chars=PROMPT_LIMIT)
    ] = ""
    styles: Annotated[list[str], Knob("Styles", choices="styles", help="Saved pieces of prompt to add.")] = field(default_factory=list[str])
    steps: Annotated[
        int,
        Knob(
            "Sampling steps", 1, 1000, ui=(1, 150), step=1, infotext="Steps", help="More steps take longer; 20 is enough for most samplers."
        ),
    ] = 20
    sampler_name: Annotated[
        str | None, Knob("Sampling method", choices="samplers", infotext="Sampler", elem="sampling", help="How noise becomes a picture.")
    ] = None
    scheduler: Annotated[
        str | None,
        Knob(
            "Schedule type",
            choices="schedulers",
            infotext="Schedule type",
            help="How noise levels are spaced. Automatic takes the sampler's own.",
        ),
    ] = None
    cfg_scale: Annotated[
        float, Knob("CFG Scale", 0, 100, ui=(1, 30), step=0.5, infotext="CFG scale", help="How closely the picture follows the prompt.")
    ] = 7.0
    distilled_cfg_scale: Annotated[
        float | None,
        Knob(
            "Distilled CFG Scale",
            0,
            30,
            ui=(0, 30),
            step=0.1,
            infotext="Distilled CFG Scale",
            help="For models that take guidance as an input (Flux dev); empty takes the model's own.",
        ),
    ] = None
    width: Annotated[int | None, Knob("Width", 8, 16384, ui=(64, 2048), step=8, help="Pixels; empty takes the model's own size.")] = None
    height: Annotated[int | None, Knob("Height", 8, 16384, ui=(64, 2048), step=8, help="Pixels; empty takes the model's own size.")] = None
    n_iter: Annotated[
        int, Knob("Batch count", 1, 1000, ui=(1, 100), step=1, elem="batch_count", help="How many batches to make, one after another.")
    ] = 1
    batch_size: Annotated[
        int, Knob("Batch size", 1, 64, ui=(1, 8), step=1, help="How many pictures to make at once; needs more memory.")
    ] = 1
    seed: Annotated[int, Knob("Seed", -1, SEED_LIMIT, infotext="Seed", help="-1 takes a new random seed each time.")] = -1
    override_settings: Annotated[dict[str, Any], Knob("Override settings", help="Settings for this run only.")] = field(
        default_factory=dict[str, Any]
    )
    save_images: Annotated[bool, Knob("Save pictures", help="Write the pictures under outputs/.")] = True
    send_images: Annotated[bool, Knob("Send pictures", help="API: put the pictures into the answer.")] = True
