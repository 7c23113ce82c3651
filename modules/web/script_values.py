"""The values of scripts' controls: what ui-config.json sets, and under which names a browser keeps them.

Knows components of scripts; knows nothing about their places. Start reading at `keys_of`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.compat.cast import Cast
from modules.compat.pasting import fits
from modules.compat.sketch import choice_values
from modules.web.ui_config import UiConfig

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


def shown_value(control: Any, value: Any) -> Any:
    """An argument as the script had it, as its control holds it: the reverse of `as_argument`."""
    choices = choice_values(control)
    if getattr(control, "type", None) != "index" or not choices:
        return value
    if isinstance(value, list):
        return [choices[n] for n in value if isinstance(n, int) and 0 <= n < len(choices)]
    return choices[value] if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(choices) else None
