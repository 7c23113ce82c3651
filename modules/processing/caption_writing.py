"""How a caption is written: what a person asks, else what a preset or the model's generation_config.json says, else what suits its kind.

Imports no torch. Start reading at `writing_of`; `usual_writing` is what a form begins with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.caption import CAPTIONERS, Kind, presets
from modules.caption.installed import Installed
from modules.faults import RequestFault
from modules.request.caption import CaptionRequest, Writing

SAMPLING = ("top_k", "top_p", "temperature")
NEUTRAL: Mapping[str, Any] = {
    "min_length": 0, "do_sample": False, "top_k": 50, "top_p": 1.0, "temperature": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0,
    "early_stopping": True,
}  # fmt: skip
# Field -> its names in generation_config.json, the exact ones first, and its bounds.
IN_FILES: Mapping[str, tuple[tuple[str, ...], float, float]] = {
    "min_length": (("min_new_tokens", "min_length"), 0, 512),
    "max_length": (("max_new_tokens", "max_length"), 1, 512),
    "num_beams": (("num_beams",), 1, 10),
    "top_k": (("top_k",), 0, 1000),
    "top_p": (("top_p",), 0.01, 1),
    "temperature": (("temperature",), 0.01, 10),
    "repetition_penalty": (("repetition_penalty",), 0.1, 10),
    "length_penalty": (("length_penalty",), -10, 10),
}


def usual_writing(model: Installed, kind: Kind, preset: str = "") -> dict[str, Any]:
    """Field -> value where a request leaves it open. preset: name of a file beside the model, "" for none. Raises RequestFault."""
    file = presets.read(model.path, preset) if preset else model.generation
    return {**NEUTRAL, "num_beams": kind.num_beams, "max_length": kind.max_length, **said(file)}


def writing_of(request: CaptionRequest, model: Installed) -> tuple[Writing, list[str]]:
    """(how it is written, warnings). Raises RequestFault where it does not fit together or there is no such preset."""
    usual = usual_writing(model, CAPTIONERS.get(model.kind), request.preset.strip())
    asked: dict[str, Any] = {name: value for name in (*NEUTRAL, "num_beams", "max_length") if (value := getattr(request, name)) is not None}
    many = request.num_return_sequences
    if "num_beams" not in asked:
        usual["num_beams"] = 1 if asked.get("do_sample") else max(usual["num_beams"], many)
    if "max_length" in asked and "min_length" not in asked:
        usual["min_length"] = min(usual["min_length"], asked["max_length"])
    if "min_length" in asked and "max_length" not in asked:
        usual["max_length"] = max(usual["max_length"], asked["min_length"])
    writing = Writing(**{**usual, **asked}, num_return_sequences=many)
    if writing.min_length > writing.max_length:
        raise RequestFault("min_length", f"must not be above max_length, {writing.max_length}", got=writing.min_length)
    if many > writing.num_beams and not (writing.do_sample and writing.num_beams == 1):
        raise RequestFault(
            "num_return_sequences", f"must not be above num_beams, {writing.num_beams}, unless words are drawn with one beam", got=many
        )
    idle = [name for name in SAMPLING if name in asked and not writing.do_sample]
    return writing, [f"{' and '.join(idle)} changed nothing: words are drawn only with do_sample."] if idle else []


def said(generation: Mapping[str, Any]) -> dict[str, Any]:
    """What a generation_config.json says about how to write, within our bounds; what makes no sense is left out."""
    found: dict[str, Any] = {name: generation[name] for name in ("do_sample", "early_stopping") if isinstance(generation.get(name), bool)}
    for name, (keys, low, high) in IN_FILES.items():
        value = next((generation[key] for key in keys if _is_number(generation.get(key))), None)
        if value is not None:
            whole = isinstance(low, int) and name not in ("length_penalty",)
            found[name] = int(min(max(value, low), high)) if whole else float(min(max(value, low), high))
    if found.get("min_length", 0) > found.get("max_length", 512):
        del found["min_length"]
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
