"""Variation of a seed: noise turned towards another seed's, and noise of another size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob
from modules.request.basics import SEED_LIMIT


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """subseed_strength 0 and sizes of 0 or less change nothing."""

    subseed: Annotated[
        int, Knob("Variation seed", -1, SEED_LIMIT, help="The seed to turn towards; -1 takes a random one.", infotext="Variation seed")
    ] = -1
    subseed_strength: Annotated[
        float,
        Knob(
            "Variation strength",
            0,
            1,
            step=0.01,
            infotext="Variation seed strength",
            help="0 is the seed's own picture, 1 the other one's.",
        ),
    ] = 0.0
    seed_resize_from_w: Annotated[
        int, Knob("Resize seed from width", -1, 16384, ui=(0, 2048), step=8, help="The width the seed is known from; 0 for none.")
    ] = 0
    seed_resize_from_h: Annotated[
        int, Knob("Resize seed from height", -1, 16384, ui=(0, 2048), step=8, help="The height the seed is known from; 0 for none.")
    ] = 0
