"""`MapRow`: what is known about a preprocessor without running it. No torch, no numpy. Start reading at `MapRow`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

ANNOTATORS = "ControlNetPreprocessor"  # kind of model folder; --controlnet-annotator-models-path adds one
Gives = Literal["map", "picture", "inpaint", "reference", "ip-adapter"]
LACKING = 0.5  # what the well-known extension calls the value of a slider that a preprocessor does not have
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Slider:
    """A value of a preprocessor. low, high: its bounds; what lies outside means `value`."""

    name: str
    value: float
    low: float
    high: float
    step: float = 0.01

    def to_data(self) -> dict[str, Any]:
        """As the extension's API writes it: {name, value, min, max, step}."""
        return {"name": self.name, "value": self.value, "min": self.low, "max": self.high, "step": self.step}

    def closed(self, asked: float) -> float:
        """The value asked for, or the preprocessor's own when it lies outside."""
        return asked if self.low <= asked <= self.high else self.value


RESOLUTION = Slider(name="Resolution", value=512, low=64, high=2048, step=8)


@dataclass(frozen=True, kw_only=True)
class Needed:
    """Weights that a preprocessor reads. name: of the .safetensors file, or of the folder of a transformers model.

    instead: other names that will do, looked for after it. megabytes: about its size as published; published: where and as what.
    """

    name: str
    megabytes: int
    published: str
    instead: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        return not self.name.endswith(".safetensors")

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.instead)


@dataclass(frozen=True, kw_only=True)
class MapRow:
    """A preprocessor. name: the extension's; label: its name on a page; types: the control types that it belongs to.

    first: it is what its types begin with. resolution: it works at a size of its own, the shorter side of its map; without it the map has
    the picture's size. a, b: its thresholds. model_free: a unit with it needs no ControlNet model. needs: weights; none means that it
    works at once. gives: a "map" for a ControlNet, the "picture" itself, the picture and a mask for an "inpaint" network, or the picture
    for what works without a map: "reference", "ip-adapter". maker: "module:function" below `modules.control.maps`; options: for it.
    finish: the same for what is done to the finished picture. why_not: why this version does not have it, in words.
    """

    name: str
    types: tuple[str, ...] = ()
    label: str = ""
    aliases: tuple[str, ...] = ()
    first: bool = False
    resolution: Slider | None = RESOLUTION
    a: Slider | None = None
    b: Slider | None = None
    model_free: bool = False
    needs: tuple[Needed, ...] = ()
    gives: Gives = "map"
    maker: str = ""
    options: Mapping[str, Any] = field(default_factory=lambda: NO_OPTIONS)
    finish: str = ""
    masked: bool = False
    why_not: str = ""

    @property
    def shown(self) -> str:
        """Its name on a page."""
        return self.label or self.name

    @property
    def works_at_once(self) -> bool:
        """Nothing has to be put anywhere first."""
        return not self.needs and not self.why_not

    @property
    def sliders(self) -> tuple[Slider, ...]:
        """Those that it has, in the order of the extension's: resolution, threshold a, threshold b."""
        return tuple(slider for slider in (self.resolution, self.a, self.b) if slider is not None)

    def closed(self, resolution: float, a: float, b: float) -> tuple[int, float, float]:
        """Values as it will take them. What it has no slider for becomes 512 or, for the thresholds, `LACKING`."""
        side = (self.resolution or RESOLUTION).closed(resolution) if self.resolution else RESOLUTION.value
        return int(side), self.a.closed(a) if self.a else LACKING, self.b.closed(b) if self.b else LACKING
