"""What a parameters text says about the controls of scripts, on the page and over the API alike.

Knows controls by what they are called, real ones and sketches; knows nothing about pages or requests. Start reading at `pasted`.
Source: `infotext_fields` of A1111 1.10.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

from modules.compat.cast import Cast
from modules.compat.sketch import as_argument, choice_values

log = logging.getLogger(__name__)
TICKED = {"Checkbox", "InputAccordion"}
NUMBERS = {"Slider", "Number"}


def pasted(fields: Iterable[Any], parsed: Mapping[str, str]) -> list[tuple[Any, Any]]:
    """(control, its value as the control holds it) for what a parameters text says about scripts.

    fields: of `infotext_fields`: (control, key) or (control, function of all keys), PasteFields among them.
    """
    found: list[tuple[Any, Any]] = []
    for field in fields:
        control, key = field[0], field[1]
        try:
            value = key(dict(parsed)) if callable(key) else parsed.get(str(key))
            if value is not None and not isinstance(value, dict):
                value = converted(control, value)
        except Exception as error:
            log.warning("a script's field of parameters texts failed", exc_info=error)
            continue
        if value is not None:
            found.append((control, value))
    return found


def arguments(cast: Cast, parsed: Mapping[str, str]) -> dict[str, list[Any]]:
    """Name of a script -> all its arguments, of those that the text changes; what it does not name is as it begins."""
    told = {id(control): (control, value) for control, value in pasted(cast.infotext_fields, parsed) if not isinstance(value, dict)}
    found: dict[str, list[Any]] = {}
    for script in cast.scripts:
        controls, starts = script.controls or [], cast.defaults_of(script)
        args = [as_argument(*told[id(control)]) if id(control) in told else start for control, start in zip(controls, starts, strict=True)]
        if args != starts:
            found[str(script.name)] = args
    return found


def converted(control: Any, value: Any) -> Any:
    """Text of a parameters text as a control holds it; None when it cannot. Raises ValueError for a number that is none."""
    kinds = _kinds(control)
    if kinds & TICKED:
        return str(value).strip().lower() not in ("false", "0", "")
    if kinds & NUMBERS:
        number = float(str(value))
        value = int(number) if number.is_integer() and isinstance(control.value, int | None) else number
        return value if not fits(control, value) else None
    if isinstance(value, str) and ("CheckboxGroup" in kinds or getattr(control, "multiselect", False)):
        value = [one.strip() for one in value.split(",") if one.strip()]
    return value if not fits(control, value) else None


def fits(control: Any, value: Any) -> str:
    """Why a control cannot hold a value; "" when it can."""
    kinds, choices = _kinds(control), choice_values(control)
    if choices and not getattr(control, "allow_custom_value", False):
        missing = [one for one in (value if isinstance(value, list) else [value]) if one not in choices]
        return f"{missing[0]!r} is not among the choices" if missing else ""
    if kinds & TICKED:
        return "" if isinstance(value, bool) else "must be true or false"
    if kinds & NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return "must be a number"
        low, high = getattr(control, "minimum", None), getattr(control, "maximum", None)
        outside = (low is not None and value < low) or (high is not None and value > high)
        return f"must lie between {low} and {high}" if outside else ""
    return "must be text" if "Textbox" in kinds and not isinstance(value, str) else ""


def _kinds(control: Any) -> set[str]:
    return {kind.__name__ for kind in type(control).__mro__}
