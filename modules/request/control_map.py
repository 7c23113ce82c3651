"""What a preprocessor is asked without a run: control maps of pictures. As asked for, and as the job row holds it.

Knows nothing about which preprocessors there are. Start reading at `MapRequest`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from modules.faults import RequestFault
from modules.knobs import Knob, coerce, knobs_of
from modules.request.control import CROP, NO_MODULE, RESIZE_MODES

MAPS_JOB = "control-map"  # the kind of job
MOST_PICTURES = 100


@dataclass(frozen=True, kw_only=True)
class MapRequest:
    """images, masks: references of pictures in the input store; a mask belongs to the picture of its place.

    The fields of a unit mean the same here. width, height: of the run that the map is for, which pixel_perfect asks for.
    """

    module: Annotated[str, Knob("Preprocessor", choices="control_modules", max_chars=200)] = NO_MODULE
    images: Annotated[list[str], Knob("Pictures")] = field(default_factory=list[str])
    masks: Annotated[list[str], Knob("Masks")] = field(default_factory=list[str])
    processor_res: Annotated[int, Knob("Resolution")] = -1
    threshold_a: Annotated[float, Knob("Threshold A")] = -1.0
    threshold_b: Annotated[float, Knob("Threshold B")] = -1.0
    pixel_perfect: Annotated[bool, Knob("Pixel Perfect")] = False
    resize_mode: Annotated[str, Knob("Resize Mode", choices=RESIZE_MODES)] = CROP
    width: Annotated[int | None, Knob("Width", 1, 16384)] = None
    height: Annotated[int | None, Knob("Height", 1, 16384)] = None

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From plain data; unknown names are ignored. Raises RequestFault."""
        knobs = knobs_of(cls)
        return cls(**{name: coerce(knobs[name], value) for name, value in data.items() if name in knobs})

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class ResolvedMap:
    """Nothing left open. module: a preprocessor's own name; size: of the run for which the map is to be pixel-perfect, None for no such
    wish; masks: "" where a picture has none.
    """

    title: str
    module: str
    images: tuple[str, ...]
    masks: tuple[str, ...]
    resolution: int
    a: float
    b: float
    resize_mode: str = CROP
    size: tuple[int, int] | None = None
    n_iter: int = 1
    warnings: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From a job row. Raises RequestFault when the row was written by a version with other fields."""
        try:
            values = dict(data)
            for name in ("images", "masks", "warnings"):
                values[name] = tuple(data[name])
            values["size"] = tuple(data["size"]) if data["size"] else None
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise RequestFault("request", f"was written by another version of the program: {error}") from error
