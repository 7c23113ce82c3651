"""What is to be looked for and how it is painted: one unit; and units in the words of the ADetailer extension's API.

Plain data, no pictures. Start reading at `Unit`; `read_units` takes both kinds of words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Annotated, Any

from modules.faults import RequestFault
from modules.knobs import Knob, coerce, knobs_of

AUTOMATIC = "Automatic"
EVERYWHERE, INSIDE, OUTSIDE = "everywhere", "inside the drawn mask", "outside the drawn mask"
LATER = ("none", "left to right", "centre first", "largest first")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The names of these fields are those of the API."""

    find: Annotated[
        str, Knob("What to find", max_chars=2000, help="Words such as: face, hand, red hat. Several with commas; each is looked for alone.")
    ] = "face"
    detector: Annotated[
        str, Knob("Detector", max_chars=500, help="Automatic takes the first that can find it. More of them: docs/plugins.md.")
    ] = AUTOMATIC
    places: Annotated[
        str,
        Knob(
            "Places",
            max_chars=5000,
            help="Instead of looking: left, top, right, bottom in percent of the picture, such as 40 10 60 35; several with semicolons.",
        ),
    ] = ""
    confidence: Annotated[float, Knob("Confidence", 0, 1, step=0.01, help="Less sure finds are left out.")] = 0.3
    most: Annotated[int, Knob("At most", 0, 100, ui=(0, 10), step=1, help="The largest so many; 0: all.")] = 0
    smallest: Annotated[float, Knob("Smallest", 0, 1, step=0.001, help="Share of the picture's area.")] = 0.0
    largest: Annotated[float, Knob("Largest", 0, 1, step=0.001, help="Share of the picture's area.")] = 1.0
    grow: Annotated[int, Knob("Grow", -128, 128, step=4, help="Pixels that the found part becomes larger on each side, or smaller.")] = 4
    offset_x: Annotated[int, Knob("Move right", -200, 200, step=1, help="Pixels.")] = 0
    offset_y: Annotated[int, Knob("Move up", -200, 200, step=1, help="Pixels.")] = 0
    order: Annotated[str, Knob("Order", choices=LATER, help="Which is painted first; none: the surest.")] = LATER[0]
    prompt: Annotated[
        str,
        Knob(
            "Prompt of the part",
            max_chars=100_000,
            multiline=True,
            help="Empty: the picture's own, which [PROMPT] stands for. [SEP] between them gives each find its own, [SKIP] leaves one out.",
        ),
    ] = ""
    negative_prompt: Annotated[str, Knob("Negative prompt of the part", max_chars=100_000, multiline=True)] = ""
    denoising: Annotated[float, Knob("Denoising strength", 0, 1, step=0.01, help="How much the part may change.")] = 0.4
    blur: Annotated[int, Knob("Mask blur", 0, 64, step=1, help="How soft its edge is, in pixels.")] = 4
    padding: Annotated[int, Knob("Padding", 0, 256, step=4, help="Pixels around the part that the model sees too.")] = 32
    whole: Annotated[bool, Knob("Whole picture", help="Paints in the whole picture instead of at full size.")] = False
    width: Annotated[int, Knob("Width", 0, 2048, step=8, help="At which the part is painted; 0: the model's own size.")] = 0
    height: Annotated[int, Knob("Height", 0, 2048, step=8, help="At which the part is painted; 0: the model's own size.")] = 0
    steps: Annotated[int, Knob("Steps", 0, 150, step=1, help="0: as many as the picture had.")] = 0
    cfg_scale: Annotated[float, Knob("CFG scale", 0, 30, step=0.5, help="0: the picture's.")] = 0.0
    merged: Annotated[bool, Knob("All in one", help="Everything found is painted at once.")] = False
    around: Annotated[bool, Knob("Around them", help="Everything else is painted instead.")] = False
    which: Annotated[
        str, Knob("Which of them", max_chars=500, help="Their numbers in order, such as 1 3; with a minus those left out. Empty: all.")
    ] = ""
    where: Annotated[
        str,
        Knob("Where they lie", choices=(EVERYWHERE, INSIDE, OUTSIDE), help="By at least half, in the mask drawn on img2img's canvas."),
    ] = EVERYWHERE


@dataclass(frozen=True, kw_only=True)
class More:
    """What ADetailer may ask for a unit and the page does not have. Values of None are the picture's own."""

    sampler_name: str | None = None
    scheduler: str | None = None
    noise_multiplier: float | None = None
    checkpoint: str | None = None
    vae: str | None = None
    clip_skip: int | None = None
    restore_face: bool = False


# ADetailer's name -> ours, where the value means the same.
SAME = {
    "ad_prompt": "prompt", "ad_negative_prompt": "negative_prompt", "ad_confidence": "confidence", "ad_mask_k": "most",
    "ad_mask_min_ratio": "smallest", "ad_mask_max_ratio": "largest", "ad_dilate_erode": "grow", "ad_x_offset": "offset_x",
    "ad_y_offset": "offset_y", "ad_mask_blur": "blur", "ad_denoising_strength": "denoising", "ad_inpaint_only_masked_padding": "padding",
}  # fmt: skip
# Switch -> (ADetailer's names, ours) that count while it is on.
SWITCHED = {
    "ad_use_inpaint_width_height": (("ad_inpaint_width", "width"), ("ad_inpaint_height", "height")),
    "ad_use_steps": (("ad_steps", "steps"),),
    "ad_use_cfg_scale": (("ad_cfg_scale", "cfg_scale"),),
    "ad_use_sampler": (("ad_sampler", "sampler_name"), ("ad_scheduler", "scheduler")),
    "ad_use_noise_multiplier": (("ad_noise_multiplier", "noise_multiplier"),),
    "ad_use_checkpoint": (("ad_checkpoint", "checkpoint"),),
    "ad_use_vae": (("ad_vae", "vae"),),
    "ad_use_clip_skip": (("ad_clip_skip", "clip_skip"),),
}
STARTS = {"ad_inpaint_width": 512, "ad_inpaint_height": 512, "ad_steps": 28, "ad_cfg_scale": 7.0, "ad_noise_multiplier": 1.0,
          "ad_clip_skip": 1}  # fmt: skip
HANDLED = {"ad_model", "ad_model_classes", "ad_tab_enable", "ad_inpaint_only_masked", "ad_mask_merge_invert", "ad_mask_filter_method",
           "ad_restore_face", "ad_use_autodetect", "is_api"}  # fmt: skip
USELESS = {"ad_controlnet_model": "None", "ad_controlnet_module": "None", "ad_controlnet_weight": 1.0, "ad_controlnet_guidance_start": 0.0,
           "ad_controlnet_guidance_end": 1.0}  # fmt: skip


def read_units(given: list[Any]) -> tuple[list[tuple[Unit, More]], list[str]]:
    """(units with what goes beyond them, sentences about what was not understood). Raises RequestFault for wrong values."""
    found: list[tuple[Unit, More]] = []
    said: list[str] = []
    for one in given:
        if not isinstance(one, dict):
            raise RequestFault("units", "must be a list of objects", got=type(one).__name__)
        theirs = any(str(name).startswith("ad_") for name in one)
        values, notes = _translated(one) if theirs else (dict(one), [])
        said += notes
        if values is None:
            continue
        own = {name: coerce(field, values.pop(name)) for name, field in knobs_of(Unit).items() if name in values}
        more = {f.name: values.pop(f.name) for f in fields(More) if f.name in values}
        said += [f"The detailer has no value {name!r}; it was passed over." for name in values]
        found.append((Unit(**own), More(**more)))
    return found, said


def _translated(one: dict[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """Our values for ADetailer's; None for a unit that is off."""
    model = str(one.get("ad_model", "None"))
    if model.lower() == "none" or one.get("ad_tab_enable", True) is False:
        return None, []
    values: dict[str, Any] = {ours: one[theirs] for theirs, ours in SAME.items() if theirs in one}
    for switch, pairs in SWITCHED.items():
        if one.get(switch):
            values |= {ours: value for theirs, ours in pairs if (value := one.get(theirs, STARTS.get(theirs))) is not None}
    values["find"] = str(one.get("ad_model_classes") or "") or words_of(model)
    values["whole"] = one.get("ad_inpaint_only_masked", True) is False
    values["merged"] = str(one.get("ad_mask_merge_invert", "None")) != "None"
    values["around"] = str(one.get("ad_mask_merge_invert", "None")) == "Merge and Invert"
    values["restore_face"] = bool(one.get("ad_restore_face"))
    known = {*SAME, *SWITCHED, *HANDLED, *(theirs for pairs in SWITCHED.values() for theirs, _ in pairs)}
    idle = {name for name, value in USELESS.items() if one.get(name, value) in (value, None)}
    left = [str(name) for name in one if name not in known | idle]
    return values, [f"ADetailer's {name} is not offered by the detailer; it was passed over." for name in left]


def words_of(model: str) -> str:
    """What a detection model of ADetailer's finds, by its file's name: "face_yolov8n.pt" -> "face"."""
    stem = re.sub(r"\.(pt|onnx|safetensors)$", "", model.lower())
    if stem.startswith("mediapipe"):
        return "face"
    parts = [part for part in re.split(r"[_\-. ]+", stem) if part and not re.fullmatch(r"yolo\w*|v?\d+\w?|[nsmlx]|seg|\w*world\w*", part)]
    return " ".join(parts) or "person"
