"""The row above the tabs: settings that stay at hand, the button that looks for new models, and the program's notices.

A change here is stored as the setting at once. What goes along with the checkpoint stands here, the controls of all other settings
in `quick_controls`. Start reading at `QuickSettings.build`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.app import App
from modules.families import FAMILIES
from modules.faults import Fault
from modules.knobs import knobs_of
from modules.request import Checkpoint
from modules.settings import Settings
from modules.users import ADMIN, viewer_of
from modules.web.events import QUIET, fault_data
from modules.web.form import CHECKPOINT
from modules.web.messages import fault_box, notice_box
from modules.web.quick_controls import QuickControls

FOLLOWING = ("width", "height", "steps", "cfg_scale")
# Menus of the forms that are renewed -> the list they show.
RENEWED = {
    "styles": "styles", "hr_upscaler": "hr_upscalers", "hr_checkpoint_name": "hr_checkpoints", "refiner_checkpoint": "refiners",
    "style_adapter": "ip_adapters",
}  # fmt: skip
EDITING = "InstructPix2Pix"
KNOB = knobs_of(Settings)[CHECKPOINT].knob
NO_MODEL = "There is no model. Put one into models/Stable-diffusion and press the button beside the list, or fetch one on the Models tab."


class QuickSettings:
    """The built row. checkpoint: the dropdown; notices: what the person should know before anything is made."""

    def __init__(self, app: App, notices: Callable[[], list[str]], choices: Mapping[str, Callable[[], Sequence[str]]]) -> None:
        self._app = app
        self._notices_of = notices
        self._lists: list[Callable[[], Sequence[str]]] = []
        self._controls = QuickControls(app, choices)

    def build(self) -> None:
        """Place the row here."""
        with gr.Row(elem_id="quicksettings"):
            for name in self._controls.names:
                if name == CHECKPOINT:
                    self._place_checkpoint(visible=True)
                else:
                    self._controls.place(name)
            if CHECKPOINT not in self._controls.names:  # the forms pass it on all the same
                self._place_checkpoint(visible="hidden")
        self.notices = gr.HTML("", apply_default_css=False, elem_id="dr_notices")

    def _place_checkpoint(self, *, visible: Any) -> None:
        self.checkpoint: Component = gr.Dropdown(
            choices=self._titles(), value=self._title(), label=KNOB.label, elem_id=f"setting_{CHECKPOINT}", interactive=True,
            allow_custom_value=True, min_width=200, scale=0, visible=visible,
        )  # fmt: skip
        self._refresh = gr.Button(
            "Look for new models", elem_id=f"refresh_{CHECKPOINT}", elem_classes=["tool", "icon-refresh"], size="sm", min_width=34, scale=0,
        )  # fmt: skip

    def wire(self, forms: Sequence[Mapping[str, Component]], choices: Mapping[str, Callable[[], Sequence[str]]]) -> dict[str, Any]:
        """Connect to the forms. Returns the event of a page that is being opened: fn, inputs, outputs.

        choices: the lists that Knobs name; those that change while the program runs are renewed in the forms' menus.
        """
        following = [form[name] for form in forms for name in FOLLOWING]
        renewed = [(form[name], choices[of]) for form in forms for name, of in RENEWED.items() if name in form]
        self._lists = [read for _, read in renewed]
        outputs = [self.checkpoint, *following, self.notices]
        inputs = [self.checkpoint, *following]
        menus = [menu for menu, _ in renewed] + self._controls.components
        self._controls.wire(self.notices, self._said)
        self.checkpoint.input(self.choose, inputs, outputs, **QUIET)  # pyright: ignore[reportAttributeAccessIssue]
        self._refresh.click(self._look_again, inputs, [*outputs, *menus], **QUIET)
        return {"fn": self._fresh, "inputs": inputs, "outputs": [*outputs, *menus]}

    def _titles(self) -> list[str]:
        return [c.title for c in self._app.library.checkpoints()]

    def _current(self) -> Checkpoint | None:
        try:
            return self._app.library.default_checkpoint(self._app.settings.current.sd_model_checkpoint)
        except Fault:
            return None

    def _title(self) -> str | None:
        current = self._current()
        return current.title if current else (self._app.settings.current.sd_model_checkpoint or None)

    def choose(self, request: gr.Request, title: str, *values: Any) -> list[Any]:
        """Store the chosen checkpoint; who may not change settings has it for their own jobs, with which the form sends it.

        values: of the controls FOLLOWING; they go along while they are still the former model's own.
        """
        before = self._current()
        try:
            chosen = self._app.library.find_checkpoint(title or "")
            if viewer_of(request).may(ADMIN):
                self._app.settings.set({CHECKPOINT: chosen.title})
        except Exception as error:  # noqa: BLE001 - told to the person in words
            return [gr.skip(), *(gr.skip() for _ in values), fault_box(fault_data(error)) + self._facts()]
        return [gr.Dropdown(choices=self._titles(), value=chosen.title), *followed(before, chosen, values), self._all_notices()]

    def _fresh(self, title: str | None, *values: Any) -> list[Any]:
        """What may have changed since the page was built or last open. title: the checkpoint the browser remembers."""
        now = self._current()
        before = next((c for c in self._app.library.checkpoints() if title and _stem(c.title) == _stem(title)), None)
        dropdown = gr.Dropdown(choices=self._titles(), value=self._title())
        menus = [gr.Dropdown(choices=list(read())) for read in self._lists]
        return [dropdown, *followed(before, now, values), self._all_notices(), *menus, *self._controls.fresh()]

    def _look_again(self, title: str | None, *values: Any) -> list[Any]:
        self._app.library.refresh()
        return self._fresh(title, *values)

    def _said(self, error: Exception | None) -> str:
        return self._all_notices() if error is None else fault_box(fault_data(error)) + self._facts()

    def _all_notices(self) -> str:
        refused = [f"{path} cannot be used as a model: {why}" for path, why in self._app.library.refused().items()]
        if len(refused) > 1:
            refused = [f"{len(refused)} files in models/Stable-diffusion cannot be used; the Models tab says why, under Not usable."]
        missing = [] if self._app.library.checkpoints() else [NO_MODEL]
        return notice_box([*missing, *self._notices_of(), *self._controls.notices, *refused]) + self._facts()

    def _facts(self) -> str:
        """What the page's script needs to know. bar: what should stand in this row by now, which settings_bar.js sees to."""
        now = self._current()
        facts = {
            "period_ms": self._app.settings.current.live_preview_refresh_period,
            "edits": now is not None and edits_pictures(now),
            "bar": self._bar(),
        }
        return f'<i id="dr_facts" hidden data-facts="{escape(json.dumps(facts))}"></i>'

    def _bar(self) -> list[str]:
        known = knobs_of(Settings)
        return [name for name in dict.fromkeys(map(str, self._app.settings.current.quicksettings_list)) if name in known]


def asked_of(tabs: Sequence[str]) -> list[list[str]]:
    """[tab, field] of the values that the event of `wire` is given, in its order."""
    return [[tabs[0], CHECKPOINT], *([tab, name] for tab in tabs for name in FOLLOWING)]


def edits_pictures(checkpoint: Checkpoint) -> bool:
    """Whether this model was made for editing: it looks at the picture itself, with a scale of its own for that."""
    return EDITING in FAMILIES.get(checkpoint.family).variant(checkpoint.variant).tasks.get("img2img", "")


def _stem(title: str) -> str:
    """A title without its hash, which appears once it has been computed."""
    return title.rpartition(" [")[0] or title


def followed(before: Checkpoint | None, now: Checkpoint | None, values: Sequence[Any]) -> list[Any]:
    """New values for the controls FOLLOWING, form after form, when another model is chosen; what a person has changed stays as it is."""
    if before is None or now is None:
        return [gr.skip() for _ in values]
    old, new = _own_values(before), _own_values(now)
    found: list[Any] = []
    for start in range(0, len(values), len(FOLLOWING)):
        given = dict(zip(FOLLOWING, values[start : start + len(FOLLOWING)], strict=True))
        kept = {name for name in FOLLOWING if given[name] != old[name]}
        if kept & {"width", "height"}:  # a size is one choice
            kept |= {"width", "height"}
        found += [gr.skip() if name in kept or old[name] == new[name] else new[name] for name in FOLLOWING]
    return found


def _own_values(checkpoint: Checkpoint) -> dict[str, Any]:
    defaults = FAMILIES.get(checkpoint.family).defaults_of(checkpoint.variant)
    return {"width": checkpoint.native_px, "height": checkpoint.native_px, "steps": defaults["steps"], "cfg_scale": defaults["cfg_scale"]}
