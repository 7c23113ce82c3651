"""Inversion: an img2img run that begins with the noise its picture would have come from, found by walking the sampler backwards.

The parameters text has A1111's keys of "img2img alternative test". What the fields do lies in `modules.processing.inversion`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob
from modules.request.basics import PROMPT_LIMIT


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """Off while invert_steps is 0."""

    invert_steps: Annotated[
        int, Knob("Decode steps", 0, 1000, ui=(0, 150), step=1, infotext="Decode steps", help="Steps of the way back to noise; 0: none.")
    ] = 0
    invert_prompt: Annotated[
        str, Knob("Original prompt", infotext="Decode prompt", max_chars=PROMPT_LIMIT, multiline=True, help="What the picture shows.")
    ] = ""
    invert_negative_prompt: Annotated[
        str, Knob("Original negative prompt", infotext="Decode negative prompt", max_chars=PROMPT_LIMIT, multiline=True)
    ] = ""
    invert_cfg_scale: Annotated[
        float,
        Knob(
            "Decode CFG scale",
            0,
            30,
            ui=(0, 15),
            step=0.1,
            infotext="Decode CFG scale",
            help="On the way back. 1: the original prompt alone; 0: the negative one alone; not between them.",
        ),
    ] = 1.0
    invert_randomness: Annotated[
        float, Knob("Randomness", 0, 1, step=0.01, infotext="Randomness", help="Share of the seed's own noise that is mixed in.")
    ] = 0.0
    invert_sigma_adjustment: Annotated[
        bool,
        Knob(
            "Sigma adjustment for finding noise for image",
            infotext="Sigma Adjustment",
            help="Tells the network the noise that a step begins with, not the one it ends with, and takes the noise found as it is.",
        ),
    ] = False
    invert_rounds: Annotated[
        int,
        Knob("Decode rounds", 1, 20, step=1, infotext="Decode rounds", help="How often each step back is corrected; 3 is nearly exact."),
    ] = 1
