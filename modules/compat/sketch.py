"""Gradio as a sketch: what `ui()` builds, noted down without Gradio. For the API's list of controls, and for the worker.

Every name is a class; a component remembers label, value and choices. Start reading at `SketchModule`; `args_of` describes a control.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

# Names of the first arguments of components in Gradio 3.41, by class.
FIRST = {
    "Slider": ("minimum", "maximum", "value"),
    "Dropdown": ("choices", "value"),
    "Radio": ("choices", "value"),
    "CheckboxGroup": ("choices", "value"),
    "DropdownMulti": ("choices", "value"),
    "DropdownEditable": ("choices", "value"),
}
LAYOUT = frozenset({
    "Row", "Column", "Group", "Box", "Accordion", "Tab", "TabItem", "Tabs", "Blocks", "FormRow", "FormColumn", "FormGroup",
    "ResizeHandleRow", "Form",
})  # fmt: skip
SILENT = LAYOUT | {"update", "skip", "Progress", "Error", "Warning", "Info"}
STARTS: dict[str, Any] = {"Checkbox": False, "InputAccordion": False, "Slider": 0, "Textbox": "", "CheckboxGroup": [], "DropdownMulti": []}
MANY = ("CheckboxGroup", "DropdownMulti")


class Sketch:
    """A component, a layout or an event's answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kind = next((c.__name__ for c in type(self).__mro__ if c.__name__ in FIRST or c.__name__ in STARTS), type(self).__name__)
        given = {**dict(zip(FIRST.get(kind, ("value",)), args, strict=False)), **kwargs}
        self.kind = kind
        self.label = given.get("label")
        self.value = given.get("value", STARTS.get(kind))
        self.minimum, self.maximum, self.step = given.get("minimum"), given.get("maximum"), given.get("step")
        self.choices = list(given.get("choices") or [])
        self.type = given.get("type")
        self.multiselect = bool(given.get("multiselect")) or kind in MANY
        self.elem_id = given.get("elem_id")
        self.visible = given.get("visible", True)
        if kind == "Slider" and "value" not in given:
            self.value = self.minimum
        if callable(self.value):
            self.value = self.value()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: Sketch()  # an event, a style

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @classmethod
    def update(cls, **changes: Any) -> dict[str, Any]:
        """Gradio 3's way to change a component."""
        return changes

    def style(self, **_: Any) -> Any:
        """Gradio 3's way to say how it looks."""
        return self

    def extra(self) -> Any:
        """Of an InputAccordion: what stands in its title."""
        return Sketch()


class SketchModule(ModuleType):
    """`gradio`, or a module inside it."""

    __path__ = ()  # pyright: ignore[reportAssignmentType]

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__version__ = "3.41.2"
        self._classes: dict[str, type[Sketch]] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("components", "layouts", "routes", "utils", "processing_utils", "blocks", "events", "themes"):
            return SketchModule(f"{self.__name__}.{name}")
        if name in ("update", "skip"):
            return lambda **changes: changes
        if name in ("Error", "Warning", "Info"):
            return RuntimeError
        return self._classes.setdefault(name, type(name, (Sketch,), {}))


def choice_values(component: Any) -> list[Any]:
    """The values of a component's choices; Gradio keeps pairs of name and value."""
    return [one[1] if isinstance(one, list | tuple) and len(one) == 2 else one for one in getattr(component, "choices", None) or []]


def default_of(component: Any) -> Any:
    """What a script receives when nobody touches the control: an index where it asks for one."""
    return as_argument(component, component.value)


def as_argument(component: Any, value: Any) -> Any:
    """A control's value as the script wants it: choices as their places when it was made with type="index"."""
    choices = choice_values(component)
    if getattr(component, "type", None) != "index" or not choices:
        return value
    if isinstance(value, list):
        return [choices.index(one) for one in value if one in choices]
    return choices.index(value) if value in choices else value if isinstance(value, int) else None


def args_of(component: Any) -> dict[str, Any]:
    """A control as /sdapi/v1/script-info tells it."""
    value = default_of(component)
    plain = value if isinstance(value, str | int | float | bool | list | None) else None
    return {
        "label": component.label or "",
        "value": plain,
        "minimum": component.minimum,
        "maximum": component.maximum,
        "step": component.step,
        "choices": [str(one) for one in choice_values(component)] or None,
    }
