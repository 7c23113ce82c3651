"""The scripts' controls on a generation tab: always-on ones in boxes of their own, then the Script list with the selected one's.

Knows places and how a control's value becomes an argument; the scripts come from the App. Start reading at `ScriptPanel.build`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from modules import infotext
from modules.app import App
from modules.compat.cast import Cast
from modules.compat.house_words import PICTURE
from modules.compat.pasting import pasted
from modules.compat.sketch import as_argument
from modules.compat.troupe import Troupe
from modules.faults import RequestFault
from modules.hooks import Guest
from modules.knobs import KnobField
from modules.request.guests import AXES
from modules.web.controls import Controls
from modules.web.events import BROWSER
from modules.web.script_values import LIST, configure, keys_of, shown_value
from modules.web.ui_config import UiConfig

log = logging.getLogger(__name__)
NONE = "None"
CHOOSE = "(title) => {titles}.map((own) => ({{ __type__: 'update', visible: own === title }}))"


class ScriptPanel:
    """inputs: the components whose values `data` reads, in order; the Script list first. kept: those a browser keeps, by name.

    ready(cast): called when the scripts are there and their controls are not. ui_config: what a person set differently.
    """

    def __init__(
        self,
        app: App,
        troupe: Troupe,
        tab: str,
        controls: Controls,
        ui_config: UiConfig | None = None,
        ready: Callable[[Cast], None] = lambda cast: None,
    ) -> None:
        self._app = app
        self._ui_config = ui_config or UiConfig()
        self._ready = ready
        self.kept: dict[str, Component] = {}
        self._troupe = troupe
        self._tab = tab
        self._controls = controls
        self._cast = Cast(tab=tab)
        self._groups: dict[str, Any] = {}
        self._natives: list[tuple[Guest, list[Component]]] = []
        self.inputs: list[Component] = []

    def build(self) -> None:
        """Place everything here and wire it."""
        with gr.Column(elem_id=f"{self._tab}_script_container", elem_classes=["dr-scripts"]):
            for guest in self._troupe.natives_now():
                if self._tab in guest.tabs and _shown(guest):
                    self._native(guest)
            with gr.Column(min_width=200) as always:
                pass
            with gr.Column(min_width=200) as chosen:
                self._list = gr.Dropdown(label="Script", choices=[NONE], value=NONE, elem_id=f"{self._tab}_script_list", interactive=True)
            self._cast = self._troupe.cast(
                self._tab, around=lambda script: self._place(script, always if script.alwayson else chosen), ready=self._ready
            )
        configure(self._cast, self._ui_config)
        titles = self._cast.titles
        self._list.choices = [(title, title) for title in [NONE, *titles]]
        self._list.visible = bool(titles)
        groups = [self._groups[title] for title in titles]
        if groups:
            self._list.change(**BROWSER, inputs=self._list, outputs=groups, js=CHOOSE.format(titles=titles))
        own = {f"{guest.name}/{n}": one for guest, controls in self._natives for n, one in zip(_shown(guest), controls, strict=True)}
        self.kept = {LIST: self._list, **keys_of(self._cast), **own}
        self.inputs = [self._list, *self._cast.inputs[1:], *(control for _, controls in self._natives for control in controls)]

    def data(self, values: Sequence[Any]) -> dict[str, Any]:
        """The request's fields of these values. Raises RequestFault for a picture that was not uploaded here."""
        title, *rest = values
        count = len(self._cast.inputs) - 1
        flat = [None, *(self._argument(c, v) for c, v in zip(self._cast.inputs[1:], rest[:count], strict=True))]
        always: dict[str, Any] = {str(s.name): {"args": flat[s.args_from : s.args_to]} for s in self._cast.alwayson_scripts if s.controls}
        left = list(rest[count:])
        for guest, controls in self._natives:
            own, left = left[: len(controls)], left[len(controls) :]
            always[guest.name] = {"args": dict(zip(_shown(guest), own, strict=True))}
        found: dict[str, Any] = {"alwayson_scripts": always} if always else {}
        script = next((s for s in self._cast.selectable_scripts if str(s.title()) == title), None)
        if script is not None:
            found |= {"script_name": str(script.title()), "script_args": flat[script.args_from : script.args_to]}
        return found

    @property
    def cast(self) -> Cast:
        """The scripts of the tab with their controls."""
        return self._cast

    @property
    def filled(self) -> list[Component]:
        """What `updates` and `updates_of` give values for, in order."""
        named = [field[0] for field in self._cast.infotext_fields if isinstance(field[0], Component)]
        return list(dict.fromkeys([*self.kept.values(), *named]))

    def updates(self, text: str) -> list[Any]:
        """One for each of `filled`, as a parameters text says; what it does not name stays as it is."""
        parsed = dict(infotext.parse(text))
        self._troupe.tell("infotext_pasted", text, parsed)
        found = {id(component): value for component, value in pasted(self._cast.infotext_fields, parsed)}
        if parsed.get("Script") in self._cast.titles:
            found[id(self._list)] = parsed["Script"]
        return [found.get(id(component), gr.skip()) for component in self.filled]

    def updates_of(self, request: Mapping[str, Any]) -> list[Any]:
        """One for each of `filled`, as a job was asked for."""
        always = {str(name).casefold(): about for name, about in (request.get("alwayson_scripts") or {}).items()}
        title = request.get("script_name")
        found: dict[int, Any] = {id(self._list): title if title in self._cast.titles else NONE}
        for script in self._cast.scripts:
            about = always.get(str(script.name), {}) if script.alwayson else {"args": request.get("script_args") or []}
            if script.alwayson or str(script.title()) == title:
                args = about.get("args", []) if isinstance(about, dict) else about
                for control, value in zip(script.controls or (), args if isinstance(args, list | tuple) else (), strict=False):
                    if not isinstance(value, dict):
                        found[id(control)] = shown_value(control, value)
        for guest, controls in self._natives:
            args = dict(always.get(guest.name.casefold(), {})).get("args")
            for name, control in zip(_shown(guest), controls, strict=True):
                if isinstance(args, dict) and name in args:
                    found[id(control)] = args[name]
        return [found.get(id(component), gr.skip()) for component in self.filled]

    def missing(self, request: Mapping[str, Any]) -> list[str]:
        """In words, which scripts a job was asked for are not here."""
        here = {str(script.name).casefold() for script in self._cast.scripts} | {guest.name.casefold() for guest, _ in self._natives}
        titles = [str(name) for name in request.get("alwayson_scripts") or {} if str(name).casefold() not in here and name != AXES]
        if (title := request.get("script_name")) and title not in self._cast.titles:
            titles.insert(0, str(title))
        return [f"The script {title!r} is not here, or switched off; it is left out." for title in titles]

    @contextmanager
    def _place(self, script: Any, column: Any) -> Iterator[None]:
        title = str(script.title())
        with column, gr.Group(visible=bool(script.alwayson), elem_id=f"{self._tab}_script_{script.name}".replace(" ", "_")) as group:
            script.group = group
            if not script.alwayson:
                self._groups[title] = group
            yield

    def _native(self, guest: Guest) -> None:
        with gr.Accordion(guest.title or guest.name, open=False, elem_classes=["dr-fold"]):
            made = [
                self._controls.make(field, elem_id=f"script_{self._tab}_{guest.name.replace(' ', '_')}_{name}")
                for name, field in _shown(guest).items()
            ]
        self._natives.append((guest, made))

    def _argument(self, control: Any, value: Any) -> Any:
        """A value as the browser has it, as the script wants it."""
        if isinstance(value, dict) and value.get("path"):
            return {PICTURE: self._picture(str(value["path"]))}
        if isinstance(value, str) and getattr(control, "precision", None) == 0 and value.lstrip("-").isdecimal():
            return int(value)
        return as_argument(control, value)

    def _picture(self, path: str) -> str:
        """The reference of a picture that was put onto a control. Only what Gradio itself received may be read."""
        uploads = (self._app.folders.cache / "page").resolve()
        file = Path(path).resolve()
        if not file.is_relative_to(uploads) or not file.is_file():
            raise RequestFault("script_args", "the picture of a script's control is not here any more; put it in again")
        return self._app.inputs.put(file.read_bytes(), "script_args")


def _shown(guest: Guest) -> dict[str, KnobField]:
    """The knobs of a guest that have a control; lists and objects are for the API."""
    return {name: field for name, field in guest.controls().items() if field.kind not in (list, dict) or field.knob.choices}
