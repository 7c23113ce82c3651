"""Outpainting: an img2img picture made larger on its sides, the new part painted. Pixels are those of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob

OUTPAINT_MOST_PX = 1024
EDGES, MATCHED, LATENT = "edges", "matched noise", "latent noise"
BEGINS = (EDGES, MATCHED, LATENT)


@dataclass(frozen=True, kw_only=True)
class Outpaint:
    """Off while no side grows. Any whole number will do: what is painted is rounded up to the model's multiple, and cut off again."""

    outpaint_left: Annotated[
        int, Knob("Left", 0, OUTPAINT_MOST_PX, ui=(0, 512), step=8, infotext="Outpaint left", help="Pixels to add on the left.")
    ] = 0
    outpaint_right: Annotated[
        int, Knob("Right", 0, OUTPAINT_MOST_PX, ui=(0, 512), step=8, infotext="Outpaint right", help="Pixels to add on the right.")
    ] = 0
    outpaint_up: Annotated[
        int, Knob("Up", 0, OUTPAINT_MOST_PX, ui=(0, 512), step=8, infotext="Outpaint up", help="Pixels to add above.")
    ] = 0
    outpaint_down: Annotated[
        int, Knob("Down", 0, OUTPAINT_MOST_PX, ui=(0, 512), step=8, infotext="Outpaint down", help="Pixels to add below.")
    ] = 0
    outpaint_begin: Annotated[
        str,
        Knob(
            "New area begins as",
            choices=BEGINS,
            infotext="Outpaint begin",
            help="The edge going on, noise with the picture's colours and texture, or the sampler's own noise.",
        ),
    ] = EDGES
    outpaint_overlap: Annotated[
        int,
        Knob("Overlap", 0, 256, ui=(0, 64), step=4, infotext="Outpaint overlap", help="Pixels of the picture that are painted too."),
    ] = 16
    outpaint_in_turns: Annotated[
        bool, Knob("One side after another", infotext="Outpaint in turns", help="Left, right, up, down, each in a run of its own.")
    ] = False

    outpaint_falloff: Annotated[
        float,
        Knob(
            "Fall-off exponent",
            0,
            4,
            step=0.01,
            infotext="Outpaint fall-off",
            help="Of matched noise: 1 has the picture's own share of fine detail, less has more of it.",
        ),
    ] = 1.0
    outpaint_color_variation: Annotated[
        float,
        Knob(
            "Color variation",
            0,
            1,
            step=0.01,
            infotext="Outpaint color variation",
            help="Of matched noise: how far colours go their own ways; at 0 they go together as in the picture.",
        ),
    ] = 0.0

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Pixels added to the left, the right, above and below."""
        return self.outpaint_left, self.outpaint_right, self.outpaint_up, self.outpaint_down
