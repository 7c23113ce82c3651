"""ControlNet units in the parameters text: "ControlNet 0", "ControlNet 1", ..., each a list of eleven fields in the extension's order.

Fields beyond those follow where they differ from their defaults; pictures have keys of our own, by their sha256. Knows nothing about
which models there are. Start reading at `pairs`, then `units_from`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.request import REFERENCE
from modules.request.control import NONE, UNIT_LIMIT, ControlUnit, ResolvedUnit

KEY = "ControlNet"
ELEVEN = (
    "module", "model", "weight", "resize_mode", "processor_res", "threshold_a", "threshold_b", "guidance_start", "guidance_end",
    "pixel_perfect", "control_mode",
)  # fmt: skip
PICTURES = {"image": "image", "mask": "mask", "effective_region_mask": "region"}
BEYOND = tuple(name for name in knobs_of(ControlUnit) if name not in (*ELEVEN, *PICTURES, "enabled"))
# How a value is written that the unit left to its preprocessor: the extension's words for a slider that is not there.
LEFT_OPEN = {"processor_res": 512, "threshold_a": 0.5, "threshold_b": 0.5}
_UNIT = re.compile(rf"{KEY} ([0-9])")
_BRACKET = re.compile(r"\s*\[[0-9a-f]{4,64}\]\s*$", re.IGNORECASE)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def pairs(units: Sequence[ResolvedUnit]) -> dict[str, object]:
    """Keys and values of the units of a job. A name with a comma or a colon in it cannot be told, as with the extension."""
    found: dict[str, object] = {}
    for n, row in enumerate(units):
        unit, key = row.unit, f"{KEY} {n}"
        told = {_label(name): _written(name, getattr(unit, name)) for name in ELEVEN}
        told["Model"] = _model(row)
        known = knobs_of(ControlUnit)
        told |= {_label(name): _written(name, value) for name in BEYOND if (value := getattr(unit, name)) != known[name].default}
        if any("," in value or ":" in value for value in told.values()):
            continue
        found[key] = ", ".join(f"{label}: {value}" for label, value in told.items())
        for name, word in PICTURES.items():
            if reference := getattr(unit, name):
                found[f"{key} {word}"] = str(reference).removeprefix(REFERENCE)
    return found


def units_from(parsed: Mapping[str, str]) -> list[dict[str, Any]]:
    """The units of a text, in their places, those between that it leaves out being off. What makes no sense is left out."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in parsed.items():
        if (match := _UNIT.fullmatch(key)) and (unit := _unit(value, parsed, key)) is not None:
            found[int(match[1])] = unit
    if not found:
        return []
    off = ControlUnit(enabled=False).to_data()
    return [found.get(n, off) for n in range(min(max(found) + 1, UNIT_LIMIT))]


def references(parsed: Mapping[str, str]) -> set[str]:
    """Of all pictures of the units of a text."""
    return {str(unit[name]) for unit in units_from(parsed) for name in PICTURES if unit[name]}


def _unit(text: str, parsed: Mapping[str, str], key: str) -> dict[str, Any] | None:
    names = {_label(name): name for name in (*ELEVEN, *BEYOND)}
    rows = [piece.partition(":") for piece in text.split(",")]
    given: dict[str, Any] = {names[label.strip()]: value.strip() for label, colon, value in rows if colon and label.strip() in names}
    if "module" not in given and "model" not in given:
        return None
    if "processor_res" in given:  # older files have it as a number with a point
        given["processor_res"] = given["processor_res"].partition(".")[0]
    if "advanced_weighting" in given:
        given["advanced_weighting"] = _numbers(given["advanced_weighting"])
    for name, word in PICTURES.items():
        if _DIGEST.fullmatch(parsed.get(f"{key} {word}", "")):
            given[name] = REFERENCE + parsed[f"{key} {word}"]
    try:
        return ControlUnit.from_data({"enabled": True, **given}).to_data()
    except RequestFault:
        return None


def _label(name: str) -> str:
    """control_mode -> Control Mode."""
    return name.replace("_", " ").title()


def _written(name: str, value: Any) -> str:
    if name in LEFT_OPEN and value < 0:
        value = LEFT_OPEN[name]
    return " ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def _model(row: ResolvedUnit) -> str:
    """name [eight digits], as in the API's list of models."""
    if row.file is None:
        return row.unit.model or NONE
    name = _BRACKET.sub("", row.unit.model) or row.file.name
    return f"{name} [{row.file.sha256[:8]}]" if row.file.sha256 else name


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return None
