"""How jobs follow one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob

_PAGE = "Queue"


@dataclass(frozen=True, kw_only=True)
class Queueing:
    """Settings of this page."""

    read_ahead: Annotated[
        bool,
        Knob(
            "Read the next job's model ahead",
            section=_PAGE,
            help="While a job runs, files of the next one's model are read into free memory. Stops when memory gets short.",
        ),
    ] = True
