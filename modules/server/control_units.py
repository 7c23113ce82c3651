"""ControlNet units as A1111's clients send them, {"ControlNet": {"args": [unit, ...]}} under alwayson_scripts, as `control_units`.

Knows the other names of fields and the ways in which pictures of a unit arrive. It is done here and not by an extension because the
pictures lie in the body: they are kept at once, so that a job's row names them and stays small. Start reading at `taken`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modules.faults import RequestFault
from modules.request.control import PICTURES, UNIT_LIMIT, ControlUnit

TITLE, FILMS = "controlnet", "controlnet m2m"
FILMS_REFUSED = "controlnet m2m makes films from films, which this version does not; send its pictures one by one with ControlNet units"
FIELD = "control_units"
OLD_NAMES = {"input_image": "image", "lowvram": "low_vram", "guidance": "guidance_end", "mask_image": "mask"}
Keep = Callable[[Any, str], str]  # (a picture as it was sent, field) -> its reference


def taken(own: dict[str, Any], keep: Keep) -> tuple[dict[str, Any], list[str]]:
    """({"alwayson_scripts": those without ControlNet, "control_units": [...]}, sentences for the answer's warnings); {} without units.

    Units of the field control_units come first. Raises RequestFault naming unit and field, Refused for what is no picture.
    """
    scripts: dict[str, Any] = own.get("alwayson_scripts") or {}
    found = {title: about for title, about in scripts.items() if str(title).casefold() == TITLE}
    listed = own.get(FIELD) or []
    if not isinstance(listed, list):
        raise RequestFault(FIELD, "must be a list of units", got=listed)
    args = [unit for about in found.values() for unit in _args(about)]
    units = [*listed, *({"enabled": False, **unit} if isinstance(unit, dict) else unit for unit in args)]
    silent = [n for n, unit in enumerate(args, len(listed)) if isinstance(unit, dict) and "enabled" not in unit]
    notes = [f"ControlNet unit {n} has no enabled: true, so it changed nothing." for n in silent]
    if len(units) > UNIT_LIMIT:
        raise RequestFault(FIELD, f"holds {len(units)} units; the most is {UNIT_LIMIT}", allowed=UNIT_LIMIT)
    read = [unit_of(unit, f"{FIELD}[{n}]", keep) for n, unit in enumerate(units)]
    changed: dict[str, Any] = {FIELD: read} if read else {}
    if found:
        changed["alwayson_scripts"] = {title: about for title, about in scripts.items() if title not in found}
    return changed, notes


def unit_of(sent: Any, place: str, keep: Keep) -> dict[str, Any]:
    """A unit as it was sent, checked, its pictures kept. place: of it in the request, for messages."""
    if not isinstance(sent, dict):
        raise RequestFault(place, "must be an object", got=sent)
    unit: dict[str, Any] = {OLD_NAMES.get(str(name), str(name)): value for name, value in sent.items() if value is not None}
    image, mask = _picture(unit.get("image"), f"{place}.image")
    unit |= {"image": image, "mask": unit.get("mask") or mask}
    for name in PICTURES:
        unit[name] = keep(unit[name], f"{place}.{name}") if unit.get(name) else None
    return ControlUnit.from_data(unit, place).to_data()


def _args(about: Any) -> list[Any]:
    args = about.get("args") or [] if isinstance(about, dict) else None
    if not isinstance(args, list):
        raise RequestFault("alwayson_scripts", "args of ControlNet must be a list of units", got=about)
    return args


def _picture(sent: Any, place: str) -> tuple[Any, Any]:
    """(picture, mask or None) of {image, mask}, [image, mask], a list with one of them, or the picture itself."""
    if isinstance(sent, dict):
        return sent.get("image"), sent.get("mask")
    if not isinstance(sent, list):
        return sent, None
    if len(sent) == 1:
        return _picture(sent[0], place)
    if len(sent) == 2 and all(isinstance(one, str | None) for one in sent):
        return sent[0], sent[1]
    if not sent:
        return None, None
    raise RequestFault(place, f"holds {len(sent)} pictures; send a unit for each")
