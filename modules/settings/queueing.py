"""How jobs follow one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob

_PAGE = "Queue"


@dataclass(frozen=True, kw_only=True)
class Queueing:
    """Settings of this page."""

    join_jobs: Annotated[
        str,
        Knob(
            "Make waiting jobs of a kind as one batch",
            choices=("Automatic", "Always", "Never"),
            section=_PAGE,
            help="Jobs that follow one another and differ in prompt and seed alone. Automatic: on a graphics device, not on the CPU.",
        ),
    ] = "Automatic"
    join_jobs_limit: Annotated[
        int,
        Knob(
            "Pictures of joined jobs at once",
            2,
            64,
            ui=(2, 16),
            step=1,
            section=_PAGE,
            help="More at once take more memory, and the first of them is there later.",
        ),
    ] = 8
    overlap_stages: Annotated[
        str,
        Knob(
            "Work of the CPU beside the device",
            choices=("Automatic", "Off"),
            section=_PAGE,
            help="Where VAE or text encoders work on the CPU: they decode and read prompts while the device draws the next picture.",
        ),
    ] = "Automatic"
    read_ahead: Annotated[
        bool,
        Knob(
            "Read the next job's model ahead",
            section=_PAGE,
            help="While a job runs, files of the next one's model are read into free memory. Stops when memory gets short.",
        ),
    ] = True
