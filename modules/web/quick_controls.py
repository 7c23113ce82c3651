"""The settings that stand beside the checkpoint above the tabs: which ones, their controls, and storing what is changed in them.

Which settings these are is a setting itself, `quicksettings_list`, read when the page is built. The checkpoint has a control of
its own (`quicksettings`). Start reading at `QuickControls.place`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.app import App
from modules.backends.attention import ATTENTIONS
from modules.backends.table import BACKENDS
from modules.faults import UnknownName
from modules.hardware.policies import POLICIES
from modules.knobs import KnobField, coerce, knobs_of
from modules.plugins import assets
from modules.processing.side_files import AUTOMATIC, NONE
from modules.settings import Settings
from modules.steering.caches import CACHES
from modules.users import ADMIN, require
from modules.web.controls import Controls
from modules.web.events import QUIET
from modules.web.ui_config import UiConfig
from modules.weights.quantisers import QUANTISERS

SETTING = "setting"  # before the name in element ids, as in A1111
KNOBS = knobs_of(Settings)
SHOWN = (str, int, float, bool, list)
_LATEST: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}  # of several changes at once the last one counts
Lists = Mapping[str, Callable[[], Sequence[str]]]


def lists_of(app: App) -> dict[str, Callable[[], Sequence[str]]]:
    """The lists that Knobs of settings name and no form has: files by name, in A1111's spelling."""
    return {
        "backends": BACKENDS.names,
        "attentions": ATTENTIONS.names,
        "caches": lambda: [NONE, *CACHES.names()],
        "vaes": lambda: [AUTOMATIC, NONE, *(_file(row) for row in app.library.rows("vae") if row.kind == "vae")],
        "modules": lambda: [_file(row) for kind in ("vae", "text_encoder") for row in app.library.rows(kind) if row.kind == kind],
        "memory_policies": lambda: [AUTOMATIC, *POLICIES.names()],
        "quantisers": lambda: [NONE, *QUANTISERS.names()],
        "settings": lambda: list(KNOBS),
        "localizations": lambda: [NONE, *assets.localizations(app.folders, app.scripts.extensions() if app.scripts is not None else ())],
    }


def _file(row: Any) -> str:
    return Path(row.path).name


class QuickControls:
    """The controls of some settings. names: those there are, in order; notices: what quicksettings_list names and there is not."""

    def __init__(self, app: App, lists: Lists) -> None:
        self._app = app
        named = list(dict.fromkeys(str(name) for name in app.settings.current.quicksettings_list))
        self.names = tuple(name for name in named if name in KNOBS and KNOBS[name].kind in SHOWN)
        unknown = [name for name in named if name not in KNOBS]
        self.notices = [f"quicksettings_list names {name[:80]!r}, which is no setting of this version." for name in unknown]
        unlisted = {field.knob.choices for field in KNOBS.values() if isinstance(field.knob.choices, str)} - lists.keys()
        self._lists: Lists = {**dict.fromkeys(unlisted, _nothing), **lists}
        self._controls = Controls(SETTING, UiConfig(), self._lists)
        self._placed: dict[str, Component] = {}

    @property
    def components(self) -> list[Component]:
        """What `fresh` gives news of, in its order."""
        return list(self._placed.values())

    def place(self, name: str) -> None:
        """Put the control of a setting here."""
        classes = [f"dr-quick-{KNOBS[name].kind.__name__}"]
        value = getattr(self._app.settings.current, name)
        self._placed[name] = self._controls.make(KNOBS[name], value=value, box=True, elem_classes=classes, min_width=60, scale=0)

    def wire(self, notices: Component, say: Callable[[Exception | None], str]) -> None:
        """Store every change at once. say(error or None): what `notices` shows then."""
        for name, component in self._placed.items():

            def changed(request: gr.Request, value: Any, name: str = name) -> str:
                return say(self._stored(request, name, value))

            found: Any = component
            begins = [found.submit, found.blur] if isinstance(component, gr.Textbox) else [found.input]
            gr.on(begins, changed, component, notices, **_LATEST)

    def fresh(self) -> list[Any]:
        """Every control as its setting is now, with the choices there are now."""
        now = self._app.settings.current
        return [gr.update(value=getattr(now, name), **self._choices(KNOBS[name])) for name in self._placed]

    def _choices(self, field: KnobField) -> dict[str, Any]:
        names = field.knob.choices
        return {"choices": list(self._lists[names]())} if isinstance(names, str) else {}

    def _stored(self, request: gr.Request, name: str, value: Any) -> Exception | None:
        """None once it is the setting, else why not. A number box that is empty for a moment changes nothing."""
        field = KNOBS[name]
        if value is None and field.kind in (int, float):
            return None
        try:
            checked = coerce(field, value)
            known = self._choices(field).get("choices", [])
            for item in checked if isinstance(checked, list) else [checked]:
                if known and item not in known and item != "":
                    raise UnknownName(name, str(item), known)
            require(request, ADMIN, "change settings")
            self._app.settings.set({name: checked})
        except Exception as error:  # noqa: BLE001 - told to the person in words
            return error
        return None


def _nothing() -> list[str]:
    """A list that this page does not have."""
    return []
