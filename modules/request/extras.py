"""What Extras is asked for: pictures that are there already, made larger, their faces restored, their background removed.

Frozen data, no torch. Field names are A1111's. Start reading at `ExtrasRequest`; `ResolvedExtras` is what a job row holds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from modules.faults import RequestFault
from modules.knobs import Knob, coerce, knobs_of

EXTRAS = "extras"
TILES = "tiles"  # a piece of such a job  # the kind of job
SCALE_BY, SCALE_TO = 0, 1
NONE = "None"


@dataclass(frozen=True, kw_only=True)
class ExtrasRequest:
    """Pictures and what is to be done to them. images: references into the input store, or input_dir: a folder of picture files."""

    images: Annotated[list[str], Knob("Pictures", help="References to pictures that were sent.")] = field(default_factory=list[str])
    image_names: Annotated[list[str], Knob("Names of the pictures", help="What their files were called, for the results' names.")] = field(
        default_factory=list[str]
    )
    input_dir: Annotated[
        str,
        Knob("Input directory", elem="batch_input_dir", max_chars=4000, help="Every picture in this folder of the data folder is taken."),
    ] = ""
    output_dir: Annotated[
        str,
        Knob("Output directory", elem="batch_output_dir", max_chars=4000, help="Where results go; empty takes the folder of the settings."),
    ] = ""
    resize_mode: Annotated[int, Knob("Resize mode", 0, 1, step=1, help="0 scale by a factor, 1 scale to a size.")] = SCALE_BY
    upscaling_resize: Annotated[float, Knob("Resize", 0.001, 999, ui=(1, 8), step=0.05, help="Both sides times this.")] = 4.0
    max_side_length: Annotated[int, Knob("Max side length", 0, step=1, help="The longer side is brought down to it; 0 for no limit.")] = 0
    upscaling_resize_w: Annotated[int, Knob("Width", 1, 65535, ui=(64, 4096), step=8, help="Pixels.")] = 512
    upscaling_resize_h: Annotated[int, Knob("Height", 1, 65535, ui=(64, 4096), step=8, help="Pixels.")] = 512
    upscaling_crop: Annotated[bool, Knob("Crop to fit", help="Cut off what sticks out of the size; else the picture covers it.")] = True
    upscaler_1: Annotated[str, Knob("Upscaler 1", choices="upscalers", max_chars=500, help="None leaves the size as it is.")] = NONE
    upscaler_2: Annotated[str, Knob("Upscaler 2", choices="upscalers", max_chars=500, help="Blended into the first.")] = NONE
    extras_upscaler_2_visibility: Annotated[
        float, Knob("Upscaler 2 visibility", 0, 1, step=0.001, elem="upscaler_2_visibility", help="0 is the first alone.")
    ] = 0.0
    gfpgan_visibility: Annotated[float, Knob("GFPGAN visibility", 0, 1, step=0.001, help="Restores faces; 0 is off.")] = 0.0
    codeformer_visibility: Annotated[float, Knob("CodeFormer visibility", 0, 1, step=0.001, help="Restores faces; 0 is off.")] = 0.0
    codeformer_weight: Annotated[
        float | None, Knob("CodeFormer weight", 0, 1, step=0.001, help="0 changes most, 1 least; empty takes the setting.")
    ] = None
    background_removal: Annotated[
        str, Knob("Remove background", choices="background_removers", max_chars=500, help="Makes what is behind the subject transparent.")
    ] = NONE
    postprocessing: Annotated[
        dict[str, Any], Knob("Post-processing scripts", help="Name of a script -> its values by name; empty for none.")
    ] = field(default_factory=dict[str, Any])
    override_settings: Annotated[dict[str, Any], Knob("Override settings", help="Settings for this run only.")] = field(
        default_factory=dict[str, Any]
    )
    save_images: Annotated[bool, Knob("Save pictures", help="Write the results under outputs/.")] = True

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From plain data (API body, form, job row). Unknown names are ignored, as A1111 does. Raises RequestFault."""
        knobs = knobs_of(cls)
        return cls(**{name: coerce(knobs[name], value) for name, value in data.items() if name in knobs})

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Source:
    """One picture to work on. name: what its file was called, "" when nobody said; reference into the input store, or path of a file."""

    name: str = ""
    reference: str = ""
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class ResolvedExtras:
    """Nothing left open. title: what the job is called in lists. n_iter: how many pictures. output_dir: absolute, "" for the settings'."""

    title: str
    request: ExtrasRequest
    sources: tuple[Source, ...]
    settings: dict[str, Any]
    output_dir: str = ""
    n_iter: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def batch(self) -> bool:
        """Several pictures were given as such, so that results may be called like them."""
        return bool(self.request.input_dir) or len(self.sources) > 1

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From a job row. Raises RequestFault when the row was written by a version with other fields."""
        try:
            values = dict(data)
            values["request"] = ExtrasRequest(**data["request"])
            values["sources"] = tuple(Source(**row) for row in data["sources"])
            values["warnings"] = tuple(data["warnings"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise RequestFault("request", f"was written by another version of the program: {error}") from error
