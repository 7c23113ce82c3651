"""The ControlNet units of a form: from the text that the page's script writes to a request's, and back from texts and jobs.

Knows which fields a unit has, nothing about models and preprocessors. Start reading at `units_of`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from modules.app import App
from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.request.control import ControlUnit

FIELD = "control_units"
PICTURES = {"image": "The picture", "mask": "The mask", "effective_region_mask": "The region"}
OFF = {"enabled": False}
BATCH = "batch"  # of a unit on a page: [{reference, name}], one run each; a request has one picture a unit
MOST_RUNS = 200
PASTED = "pasted"  # the page's script keeps the pictures of its units when a text is pasted, see control.js


def units_of(text: Any) -> list[dict[str, Any]]:
    """The units of what the page's script wrote: a list of objects, in which only what differs from the start must stand.

    Those that are off keep their place, so that words about a unit have its number on the page, and bring nothing else.
    Raises RequestFault("control_units") when it is something else.
    """
    try:
        found = json.loads(text) if text else []
    except (TypeError, ValueError):
        found = None
    units = found.get(PASTED) if isinstance(found, dict) else found
    if not isinstance(units, list) or not all(isinstance(unit, dict) for unit in units):
        raise RequestFault(FIELD, "is not what the page writes there; reload the page", got=str(text)[:80])
    last = max((n for n, unit in enumerate(units) if unit.get("enabled")), default=-1)
    return [_plain(unit) if unit.get("enabled") else dict(OFF) for unit in units[: last + 1]]


def turns_of(text: Any) -> list[list[dict[str, Any]]]:
    """The units of each run when units that are on have several pictures; empty when none has. Raises RequestFault("control_units").

    Units with several pictures go through them together, one run a picture; the others keep theirs in every run.
    """
    plain = units_of(text)
    held = json.loads(text)[: len(plain)] if plain and isinstance(json.loads(text), list) else []
    several = {n: list(unit[BATCH]) for n, unit in enumerate(held) if unit.get("enabled") and unit.get(BATCH)}
    if not several:
        return []
    counts = {n: len(pictures) for n, pictures in several.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"unit {n} has {count}" for n, count in counts.items())
        raise RequestFault(FIELD, f"need as many pictures each when they go through several: {told}")
    count = next(iter(counts.values()))
    if count > MOST_RUNS:
        raise RequestFault(FIELD, f"go through {MOST_RUNS} pictures at once at most, these are {count}")
    return [
        [{**unit, "image": str(several[n][turn]["reference"])} if n in several else unit for n, unit in enumerate(plain)]
        for turn in range(count)
    ]


def text_of(units: Sequence[Mapping[str, Any]]) -> str:
    """The opposite, for the units of a job; "" without any."""
    return json.dumps([_asked(unit) for unit in units]) if units else ""


def pasted(app: App, units: Sequence[Mapping[str, Any]]) -> str:
    """The value that a parameters text sets: its units, with the pictures that are kept here; units it leaves out were off.

    A picture that it does not name, or that is not here, stays as it is on the page.
    """
    return json.dumps({PASTED: [{name: value for name, value in _asked(unit).items() if _stays(app, name, value)} for unit in units]})


def missing_pictures(app: App, units: Sequence[Mapping[str, Any]]) -> list[str]:
    """In words, which pictures of units are not kept any more."""
    return [
        f"{words} of ControlNet unit {n} is not kept here any more; give it again."
        for n, unit in enumerate(units)
        for name, words in PICTURES.items()
        if unit.get(name) and not _stays(app, name, unit[name])
    ]


def _stays(app: App, name: str, value: Any) -> bool:
    """Whether a unit's value is of use: every one but a picture that is not here."""
    if name not in PICTURES:
        return True
    try:
        app.inputs.path(str(value))
    except RequestFault:
        return False
    return True


def _asked(unit: Mapping[str, Any]) -> dict[str, Any]:
    """On a page a unit is off until it is switched on; in a request it is on unless it says otherwise."""
    return {"enabled": True, **_plain(unit)}


def _plain(unit: Mapping[str, Any]) -> dict[str, Any]:
    """What a request knows of a unit; the page adds a control type and the picture's size."""
    known = knobs_of(ControlUnit)
    return {name: value for name, value in unit.items() if name in known}
