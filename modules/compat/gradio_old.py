"""Gradio 6 under the names and habits of 3.41, for scripts that build controls on the page. Gradio itself is left as it is.

Each class is a subclass of Gradio's own that passes over arguments it no longer has (and notes them), knows `_js=`, `.update()` and
`.style()`. Importing this imports Gradio. Start reading at `OldGradio`.
"""

from __future__ import annotations

import inspect
import logging
from abc import ABCMeta
from types import ModuleType
from typing import Any

import gradio as gr
from gradio.blocks import Block

log = logging.getLogger(__name__)
# Old name -> today's.
NAMES = {
    "Box": "Group", "TabItem": "Tab", "FormRow": "Row", "FormColumn": "Column", "FormGroup": "Group", "FormHTML": "HTML",
    "FormColorPicker": "ColorPicker", "ToolButton": "Button", "DropdownMulti": "Dropdown", "DropdownEditable": "Dropdown",
    "InputAccordion": "Checkbox", "ResizeHandleRow": "Row", "Variable": "State",
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {"DropdownMulti": {"multiselect": True}, "DropdownEditable": {"allow_custom_value": True}}
INNER = ("components", "layouts", "blocks", "events", "routes", "utils", "themes", "processing_utils")
EVENT = {"_js": "js"}
TRIGGER = ("__self__", "has_trigger", "event_name", "callback", "connection", "event_specific_args")  # what `gr.on` reads off an event


class _Habits:
    """Mixed into each class."""

    _own: type[Any]
    _more: dict[str, Any]
    _notes: set[str]

    def get_block_name(self) -> str:
        return self._own.__name__.lower()

    get_block_class = get_block_name

    @classmethod
    def get_component_class_id(cls) -> str:
        return cls._own.get_component_class_id()

    @staticmethod
    def update(**changes: Any) -> Any:
        """Gradio 3's way to change a component."""
        return gr.update(**changes)

    def style(self, **_: Any) -> Any:
        return self

    def extra(self) -> Any:
        """Of an InputAccordion."""
        return gr.Row()


def _made(kind: Any, own: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Gradio's own constructor with what it still knows."""
    given = {**kind._more, **_renamed(kwargs)}
    known = inspect.signature(own.__init__).parameters
    dropped = [name for name in given if name not in known]
    kind._notes.update(f"{own.__name__}({name}=) has no effect" for name in dropped)
    own.__init__(kind, *args, **{name: value for name, value in given.items() if name in known})


def _renamed(kwargs: dict[str, Any]) -> dict[str, Any]:
    found = dict(kwargs)
    if "source" in found:
        found["sources"] = [{"canvas": "upload"}.get(found.pop("source"), "upload")]
    if "tooltip" in found:
        found.setdefault("info", found.pop("tooltip"))
    if "show_copy_button" in found and found.pop("show_copy_button"):
        found["buttons"] = ["copy"]
    return found


def _event(call: Any) -> Any:
    """An event's method that knows the old arguments; what it returns knows them too."""

    def listen(*args: Any, **kwargs: Any) -> Any:
        given = {EVENT.get(name, name): value for name, value in kwargs.items()}
        js = given.get("js")
        if isinstance(js, str) and js.isidentifier():
            given["js"] = f"(...values) => window.{js}(...values)"
        if isinstance(given.get("show_progress"), bool):
            given["show_progress"] = "full" if given["show_progress"] else "hidden"
        given.pop("api_name", None)
        known = inspect.signature(call).parameters
        if "api_visibility" in known:
            given["api_visibility"] = "private"
        return _Then(call(*args, **{name: value for name, value in given.items() if name in known}))

    for name in TRIGGER:
        if hasattr(call, name):
            setattr(listen, name, getattr(call, name))
    return listen


class _Then:
    """What an event gives: `.then` and `.success` with the old arguments."""

    def __init__(self, dependency: Any) -> None:
        self._dependency = dependency

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._dependency, name)
        return _event(found) if name in ("then", "success", "failure") else found


class OldGradio(ModuleType):
    """`gradio`, or a module inside it. notes: what was asked for and has no effect."""

    __path__ = ()  # pyright: ignore[reportAssignmentType]

    def __init__(self, name: str = "gradio", notes: set[str] | None = None) -> None:
        super().__init__(name)
        self.__version__ = "3.41.2"
        self.notes: set[str] = set() if notes is None else notes
        self._classes: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in INNER:
            return OldGradio(f"{self.__name__}.{name}", self.notes)
        if name in ("IOComponent", "FormComponent", "Component"):
            return gr.components.Component if name != "FormComponent" else type("FormComponent", (), {})
        if name not in self._classes:
            own = getattr(gr, NAMES.get(name, name), None)
            if own is None:
                raise AttributeError(f"gradio.{name} of 3.41 has no counterpart here")
            is_block = isinstance(own, type) and issubclass(own, Block)
            self._classes[name] = self._class(name, own) if is_block else own
        return self._classes[name]

    def _class(self, name: str, own: type[Any]) -> type[Any]:
        def begin(component: Any, *args: Any, **kwargs: Any) -> None:
            _made(component, own, args, kwargs)

        body: dict[str, Any] = {"_own": own, "_more": MORE.get(name, {}), "_notes": self.notes, "__init__": begin}
        if name == "InputAccordion":
            body |= {"__enter__": _unfold, "__exit__": _fold}
        for event in getattr(own, "EVENTS", ()):
            body[str(event)] = property(_method(own, str(event)))
        return _quiet(type(own))(name, (_Habits, own), body)


def _unfold(component: Any) -> Any:
    """A box whose title is a checkbox: here a checkbox with a box under it."""
    component.fold = gr.Group()
    component.fold.__enter__()
    return component


def _fold(component: Any, *error: Any) -> None:
    component.fold.__exit__(*error)


def _quiet(meta: type[Any]) -> type[Any]:
    """Gradio's metaclass without its habit of writing a stub file beside the source of every new component."""

    def new(cls: Any, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        kind: Any = meta.__new__(cls, name, bases, body) if plain else ABCMeta.__new__(cls, name, bases, body)
        first = body.get("__init__")
        if first is not None:  # Gradio reads off the constructor which properties a component has
            first.__signature__ = inspect.signature(kind._own.__init__)
        return kind

    plain = not issubclass(meta, ABCMeta)
    return type("Quiet", (meta,), {"__new__": new})


def _method(own: type[Any], event: str) -> Any:
    def bound(component: Any) -> Any:
        method = component.__dict__.get(event) or getattr(super(_Habits, component), event)
        return _event(method)

    return bound
