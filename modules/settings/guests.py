"""How much people without an account of their own may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class Guests:
    """Settings of this page."""

    guest_max_pictures: Annotated[
        int, Knob("Guests: most pictures at once", 1, 1000, step=1, section="Guests", help="Batch count times batch size.")
    ] = 8
    guest_max_steps: Annotated[int, Knob("Guests: most sampling steps", 1, 1000, step=1, section="Guests")] = 50
    guest_max_megapixels: Annotated[
        float, Knob("Guests: largest picture, in megapixels", 0.01, 64, step=0.01, section="Guests", help="Width times height.")
    ] = 1.5
    guest_max_jobs: Annotated[int, Knob("Guests: most jobs waiting", 1, 1000, step=1, section="Guests")] = 4
