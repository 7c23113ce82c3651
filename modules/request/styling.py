"""The look of another picture, taken over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob


@dataclass(frozen=True, kw_only=True)
class Styling:
    """Without style_image nothing here counts. The content is the prompt's, or the picture's that an img2img run begins with."""

    style_image: Annotated[str | None, Knob("Style picture", max_chars=200, help="Its look is taken over.")] = None
    style_strength: Annotated[
        float,
        Knob("Style strength", 0, 1, step=0.05, infotext="Style strength", help="How much the picture looks at the style picture."),
    ] = 0.6
    style_statistics: Annotated[
        float,
        Knob("Style colours", 0, 1, step=0.05, infotext="Style colours", help="How far colour and contrast move to the style picture's."),
    ] = 0.5
    style_adapter: Annotated[
        str | None,
        Knob(
            "IP-Adapter",
            choices="ip_adapters",
            infotext="IP-Adapter",
            help="A file from models/ControlNet that reads the style picture; without one attention alone does it.",
        ),
    ] = None
    composition_strength: Annotated[
        float,
        Knob("Composition strength", 0, 1, step=0.05, infotext="Composition strength", help="With an IP-Adapter: how much of the layout."),
    ] = 0.0
