"""`GenerationRequest`: what was asked for, all groups of fields together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from modules.knobs import coerce, knobs_of
from modules.request.basics import Basics
from modules.request.control import Control
from modules.request.guests import Guests
from modules.request.inversion import Inversion
from modules.request.outpaint import Outpaint
from modules.request.repaint import Repaint
from modules.request.sampling import Sampling
from modules.request.second import Hires, Refiner
from modules.request.seeds import Seeds
from modules.request.steering import Steering
from modules.request.styling import Styling

Group = TypeVar("Group")


@dataclass(frozen=True, kw_only=True)
class GenerationRequest(Guests, Control, Styling, Inversion, Outpaint, Repaint, Steering, Refiner, Hires, Sampling, Seeds, Basics):
    """What was asked for. May hold None (take the model's or the settings' value), seed -1 and style names."""

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From plain data (API body, form, job row). Unknown names are ignored, as A1111 does. Raises RequestFault."""
        knobs = knobs_of(cls)
        return cls(**{name: coerce(knobs[name], value) for name, value in data.items() if name in knobs})

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def group(self, kind: type[Group]) -> Group:
        """One group of fields (`Steering`, `Sampling`, ...) as a record of its own."""
        return kind(**{f.name: getattr(self, f.name) for f in dataclasses.fields(kind)})  # pyright: ignore[reportArgumentType]

    @property
    def task(self) -> str:
        """ "txt2img" or "img2img"."""
        return "img2img" if self.init_images else "txt2img"
