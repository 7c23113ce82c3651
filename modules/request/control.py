"""ControlNet units: what else steers a run, each by a picture. As asked for, and as the job row holds them.

Names, words and ranges are those of the well-known ControlNet extension. Knows nothing about which models and preprocessors there are.
Start reading at `ControlUnit.from_data`, then `units_of`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from modules.faults import RequestFault
from modules.knobs import Knob, coerce, knobs_of
from modules.request.files import SideFile

UNIT_LIMIT = 10
NONE = "None"
NO_MODULE = "none"
BALANCED, PROMPT, CONTROL = "Balanced", "My prompt is more important", "ControlNet is more important"
CONTROL_MODES = (BALANCED, PROMPT, CONTROL)
JUST_RESIZE, CROP, FILL = "Just Resize", "Crop and Resize", "Resize and Fill"
RESIZE_MODES = (JUST_RESIZE, CROP, FILL)
BOTH, LOW, HIGH = "Both", "Low res only", "High res only"
HR_OPTIONS = (BOTH, LOW, HIGH)
UNION_TYPES = ("Unknown", "OpenPose", "Depth", "Soft Edge", "Hard Edge", "Normal Map", "Segmentation", "Tile", "Inpaint")
# Other words that clients write, and what they mean; numbers are places in the lists above.
ALIASES: dict[str, dict[str, str]] = {
    "resize_mode": {
        "Inner Fit (Scale to Fit)": CROP,
        "Scale to Fit (Inner Fit)": CROP,
        "Outer Fit (Shrink to Fit)": FILL,
        "Envelope (Outer Fit)": FILL,
    },
    "model": {"": NONE, "none": NONE},
    "module": {"": NO_MODULE, "None": NO_MODULE},
}
WEIGHTS_LIMIT = 64
PICTURES = ("image", "mask", "effective_region_mask")  # fields that name pictures


@dataclass(frozen=True, kw_only=True)
class ControlUnit:
    """One unit. image, mask, effective_region_mask: references of pictures in the input store, None for none.

    processor_res: pixels; it and the thresholds mean the preprocessor's own where they lie outside its range (-1).
    advanced_weighting: a factor for each layer that the control goes into, in order, in place of what control_mode says.
    """

    enabled: Annotated[bool, Knob("Enable", help="A unit that is off changes nothing.")] = True
    module: Annotated[
        str,
        Knob("Preprocessor", choices="control_modules", max_chars=200, infotext="Module", help="Makes the control map from the picture."),
    ] = NO_MODULE
    model: Annotated[str, Knob("Model", choices="control_models", max_chars=500, infotext="Model", help="What reads the control map.")] = (
        NONE
    )
    weight: Annotated[float, Knob("Control Weight", 0, 2, step=0.05, infotext="Weight", help="How much the unit counts.")] = 1.0
    image: Annotated[str | None, Knob("Control picture", max_chars=200, help="Empty in img2img: the picture that the run begins with.")] = (
        None
    )
    mask: Annotated[str | None, Knob("Mask of the control picture", max_chars=200, help="White is what the unit is about.")] = None
    resize_mode: Annotated[
        str, Knob("Resize Mode", choices=RESIZE_MODES, infotext="Resize Mode", help="How the picture is brought to the size of the run.")
    ] = CROP
    processor_res: Annotated[
        int, Knob("Resolution", ui=(64, 2048), step=8, infotext="Processor Res", help="Shorter side that the preprocessor works at.")
    ] = -1
    threshold_a: Annotated[float, Knob("Threshold A", infotext="Threshold A", help="What it means depends on the preprocessor.")] = -1.0
    threshold_b: Annotated[float, Knob("Threshold B", infotext="Threshold B", help="What it means depends on the preprocessor.")] = -1.0
    guidance_start: Annotated[
        float, Knob("Starting Control Step", 0, 1, step=0.01, infotext="Guidance Start", help="Share of the steps before which it is off.")
    ] = 0.0
    guidance_end: Annotated[
        float, Knob("Ending Control Step", 0, 1, step=0.01, infotext="Guidance End", help="Share of the steps after which it is off.")
    ] = 1.0
    pixel_perfect: Annotated[
        bool, Knob("Pixel Perfect", infotext="Pixel Perfect", help="The preprocessor works at the resolution that suits the run.")
    ] = False
    control_mode: Annotated[
        str, Knob("Control Mode", choices=CONTROL_MODES, infotext="Control Mode", help="Who has the last word, the prompt or the unit.")
    ] = BALANCED
    hr_option: Annotated[str, Knob("Hires-Fix", choices=HR_OPTIONS, infotext="Hr Option", help="In which pass of two the unit counts.")] = (
        BOTH
    )
    low_vram: Annotated[bool, Knob("Low VRAM", help="The model lies on the device only while it is used.")] = False
    save_detected_map: Annotated[bool, Knob("Save Detected Map", help="The control map is shown after the pictures.")] = True
    union_control_type: Annotated[
        str, Knob("Union Control Type", choices=UNION_TYPES, help="What the map shows, for a model that reads several kinds.")
    ] = UNION_TYPES[0]
    inpaint_crop_input_image: Annotated[
        bool, Knob("Crop input image based on A1111 mask", help="With Only masked, the control picture is cut as the picture is.")
    ] = True
    effective_region_mask: Annotated[
        str | None, Knob("Effective Region Mask", max_chars=200, help="The unit counts where it is white.")
    ] = None
    advanced_weighting: Annotated[list[float] | None, Knob("Advanced weighting", help="A factor for each layer.")] = None

    @classmethod
    def from_data(cls, data: Any, place: str = "control_units[0]") -> Self:
        """From plain data; unknown names are ignored, other words and numbers of clients understood.

        place: of the unit in the request, for messages. Raises RequestFault naming place and field.
        """
        if not isinstance(data, dict):
            raise RequestFault(place, "must be an object", got=data)
        knobs = knobs_of(cls)
        try:
            values = {name: coerce(knobs[name], _worded(name, value)) for name, value in data.items() if name in knobs}
            unit = cls(**values)
            unit._check()
        except RequestFault as fault:
            raise RequestFault(f"{place}.{fault.field}", fault.why, got=fault.extra["got"], allowed=fault.extra["allowed"]) from fault
        return unit

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def _check(self) -> None:
        """What fields say together. Raises RequestFault."""
        if self.guidance_start > self.guidance_end:
            raise RequestFault("guidance_start", f"must not lie after guidance_end ({self.guidance_end:g})", got=self.guidance_start)
        weights = self.advanced_weighting or []
        if len(weights) > WEIGHTS_LIMIT or not all(
            isinstance(w, int | float) and not isinstance(w, bool) and abs(w) < 100 for w in weights
        ):
            raise RequestFault("advanced_weighting", f"must be a list of at most {WEIGHTS_LIMIT} numbers", got=str(weights))


@dataclass(frozen=True, kw_only=True)
class ResolvedUnit:
    """A unit of a job. kind: what runs it: "controlnet", "union", "t2i_adapter", "ip_adapter" or "reference".

    architecture: "sd1", "sd2", "sdxl", "sd3", "flux", of the model file; "" for a unit without one. file: its model; encoder: what an
    IP-Adapter reads pictures through.
    """

    unit: ControlUnit
    kind: str
    architecture: str = ""
    file: SideFile | None = None
    encoder: SideFile | None = None

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From a job row. Raises KeyError, TypeError, RequestFault."""
        files = {name: SideFile(**data[name]) for name in ("file", "encoder") if data.get(name)}
        return cls(unit=ControlUnit.from_data(data["unit"]), kind=data["kind"], architecture=data["architecture"], **files)


@dataclass(frozen=True, kw_only=True)
class Control:
    """The units of a request, each the plain data of a `ControlUnit`."""

    control_units: Annotated[list[dict[str, Any]], Knob("ControlNet units", help="Each an object; see the ControlNet page.")] = field(
        default_factory=list[dict[str, Any]]
    )


def units_of(asked: Control) -> list[tuple[int, ControlUnit]]:
    """(place in the list, unit) of those that are on. Raises RequestFault naming place and field."""
    if len(asked.control_units) > UNIT_LIMIT:
        raise RequestFault("control_units", f"holds {len(asked.control_units)} units; the most is {UNIT_LIMIT}", allowed=UNIT_LIMIT)
    units = [ControlUnit.from_data(data, f"control_units[{n}]") for n, data in enumerate(asked.control_units)]
    return [(n, unit) for n, unit in enumerate(units) if unit.enabled]


def _worded(name: str, value: Any) -> Any:
    """The field's own word for what a client wrote: a number of the list, or another name."""
    lists = {"resize_mode": RESIZE_MODES, "control_mode": CONTROL_MODES, "hr_option": HR_OPTIONS}
    if name in lists and isinstance(value, int) and not isinstance(value, bool):
        return lists[name][value if 0 <= value < len(lists[name]) else 0]
    if name == "union_control_type" and isinstance(value, str):
        plain = {word.replace(" ", "").casefold(): word for word in UNION_TYPES}
        return plain.get(value.replace(" ", "").replace("_", "").casefold(), value)
    if value is None and name in ("module", "model"):
        return ALIASES[name][""]
    if value == "" and name in ("image", "mask", "effective_region_mask"):
        return None
    return ALIASES.get(name, {}).get(value, value) if isinstance(value, str) else value
