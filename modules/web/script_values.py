"""The values of scripts' controls: what ui-config.json sets, under which names a browser keeps them, what a parameters text sets.

Knows components of scripts; knows nothing about their places. Start reading at `keys_of`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.compat.cast import Cast
from modules.compat.sketch import choice_values
from modules.web.ui_config import UiConfig

log = logging.getLogger(__name__)
KEPT = (gr.Textbox, gr.Checkbox, gr.Slider, gr.Number, gr.Dropdown, gr.Radio, gr.CheckboxGroup, gr.ColorPicker)
LIST = "script_list"


def configure(cast: Cast, ui_config: UiConfig) -> None:
    """Let ui-config.json have its say. Keys: customscript/FILE/TAB/LABEL/value, minimum, maximum, step, visible."""
    for script in cast.scripts:
        file = Path(str(script.filename)).name
        for control in script.controls or ():
            label = str(getattr(control, "label", "") or getattr(control, "elem_id", "") or "")
            for name, value in ui_config.of_script(file, cast.tab, label).items():
                why = _problem(control, name, value)
                if why:
                    ui_config.refused(file, cast.tab, label, name, why)
                else:
                    setattr(control, name, value)


def _problem(control: Any, name: str, value: Any) -> str:
    """Why a value does not fit; "" when it does."""
    if name == "visible":
        return "" if isinstance(value, bool) else "must be true or false"
    if not hasattr(control, name):
        return "this control has no such thing"
    if name != "value":
        return "" if isinstance(value, int | float) and not isinstance(value, bool) else "must be a number"
    return fits(control, value)


def fits(control: Any, value: Any) -> str:
    """Why a control cannot hold a value; "" when it can."""
    choices = choice_values(control)
    if choices and not getattr(control, "allow_custom_value", False):
        missing = [one for one in (value if isinstance(value, list) else [value]) if one not in choices]
        return f"{missing[0]!r} is not among the choices" if missing else ""
    if isinstance(control, gr.Checkbox):
        return "" if isinstance(value, bool) else "must be true or false"
    if isinstance(control, gr.Slider | gr.Number):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "must be a number"
        low, high = getattr(control, "minimum", None), getattr(control, "maximum", None)
        outside = (low is not None and value < low) or (high is not None and value > high)
        return f"must lie between {low} and {high}" if outside else ""
    return "must be text" if isinstance(control, gr.Textbox) and not isinstance(value, str) else ""


def keys_of(cast: Cast) -> dict[str, Component]:
    """Name -> control, of those whose values a browser keeps over a reload. Names hold as long as the script keeps its labels."""
    found: dict[str, Component] = {}
    for script in cast.scripts:
        for n, control in enumerate(script.controls or ()):
            if isinstance(control, KEPT) and getattr(control, "type", None) != "password":
                label = getattr(control, "elem_id", None) or getattr(control, "label", None) or str(n)
                name = f"{script.name}/{label}"
                found[name if name not in found else f"{name}/{n}"] = control
    return found


def pasted(fields: Iterable[Any], parsed: Mapping[str, str]) -> list[tuple[Component, Any]]:
    """(component, its value) for what a parameters text says about scripts.

    fields: of `infotext_fields`: (component, key) or (component, function of all keys), PasteFields among them.
    """
    found: list[tuple[Component, Any]] = []
    for field in fields:
        component, key = field[0], field[1]
        try:
            value = key(dict(parsed)) if callable(key) else parsed.get(str(key))
            if value is not None and not isinstance(value, dict):
                value = converted(component, value)
        except Exception as error:
            log.warning("a script's field of parameters texts failed", exc_info=error)
            continue
        if value is not None and isinstance(component, Component):
            found.append((component, value))
    return found


def converted(component: Any, value: Any) -> Any:
    """Text of a parameters text as a control holds it; None when it cannot."""
    if isinstance(component, gr.Checkbox):
        return str(value).strip().lower() not in ("false", "0", "")
    if isinstance(component, gr.Slider | gr.Number):
        number = float(str(value))
        return int(number) if number.is_integer() and isinstance(component.value, int | None) else number
    if isinstance(value, str) and (isinstance(component, gr.CheckboxGroup) or getattr(component, "multiselect", False)):
        value = [one.strip() for one in value.split(",") if one.strip()]
    return value if not fits(component, value) else None


def shown_value(control: Any, value: Any) -> Any:
    """An argument as the script had it, as its control holds it: the reverse of `as_argument`."""
    choices = choice_values(control)
    if getattr(control, "type", None) != "index" or not choices:
        return value
    if isinstance(value, list):
        return [choices[n] for n in value if isinstance(n, int) and 0 <= n < len(choices)]
    return choices[value] if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(choices) else None
