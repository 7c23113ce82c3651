"""One Knob, one control: builds Gradio components from the declarations of a dataclass's fields.

Knows nothing about single fields or tabs. Start reading at `Controls.make`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.knobs import KnobField
from modules.web.ui_config import UiConfig

EXACT_IN_A_BROWSER = 2**53  # larger whole numbers lose digits in JavaScript, so they are kept as text
Choices = Mapping[str, Callable[[], Sequence[str]]]


class Controls:
    """Makes the controls of one tab. choices: the lists that Knobs name ("samplers", ...), as functions that read them."""

    def __init__(self, tab: str, ui_config: UiConfig, choices: Choices) -> None:
        self._tab = tab
        self._ui_config = ui_config
        self._choices = choices

    def elem_id(self, field: KnobField) -> str:
        """A1111's id of the control, such as txt2img_batch_count."""
        return f"{self._tab}_{field.knob.elem or field.name}"

    def make(self, field: KnobField, *, value: Any = None, radio: bool = False, box: bool = False, **options: Any) -> Component:
        """The control of a field, placed where it is called. value: its start unless ui-config.json sets one (default: the field's).

        radio: choices side by side instead of a list; box: a number without a slider; options go to the component as they are. A
        number that may be left out is a box that begins empty. Every control can be changed by the person.
        """
        choices = self._choices_of(field)
        changed = self._ui_config.of(self._tab, field, choices or ())
        start = changed.get("value", field.default if value is None else value)
        shared: dict[str, Any] = {
            "label": field.knob.label,
            "info": field.knob.help or None,
            "elem_id": self.elem_id(field),
            "interactive": True,
            "visible": changed.get("visible", True),
            **options,
        }
        if choices is not None and radio:
            return gr.Radio(choices=choices, value=start or choices[0], **shared)
        if choices is not None:
            return _dropdown(field, choices, start, shared)
        if field.kind is bool:
            return gr.Checkbox(value=bool(start), **shared)
        if field.kind in (int, float):
            return _number(field, start, changed, shared, box=box)
        return gr.Textbox(value=start or "", max_length=field.knob.max_chars, **shared)

    def _choices_of(self, field: KnobField) -> list[str] | None:
        names = field.knob.choices
        if names is None:
            return None
        return list(names if isinstance(names, tuple) else self._choices[names]())


def _dropdown(field: KnobField, choices: list[str], start: Any, shared: dict[str, Any]) -> Component:
    """allow_custom_value: a name kept by a browser may be gone by now; the request's own check says so in words."""
    several = field.kind is list
    value = (start or []) if several else (start or (choices[0] if choices else None))
    return gr.Dropdown(choices=choices, value=value, multiselect=several, allow_custom_value=True, **shared)


def _number(field: KnobField, start: Any, changed: dict[str, Any], shared: dict[str, Any], *, box: bool) -> Component:
    low, high = field.knob.range
    if high is not None and high > EXACT_IN_A_BROWSER:
        return gr.Textbox(value=str(start), lines=1, max_lines=1, max_length=20, **shared)
    low, high = changed.get("minimum", low), changed.get("maximum", high)
    step = changed.get("step", field.knob.step)
    if start is None and field.optional:  # a number box cannot begin empty: it would say 0
        return gr.Textbox(value="", lines=1, max_lines=1, max_length=20, **shared)
    if box or low is None or high is None:
        return gr.Number(value=start, minimum=low, maximum=high, step=step or 1, precision=0 if field.kind is int else None, **shared)
    return gr.Slider(minimum=low, maximum=high, step=step, value=low if start is None else start, buttons=[], **shared)
