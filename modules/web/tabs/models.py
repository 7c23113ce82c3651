"""The Models tab: what is installed, and the forms for work on model files: download, convert, merge, LoRA.

Knows the tab's layout and hands forms to the App as jobs; the cards are drawn by the page's script from /internal/models, so that
twenty thousand of them cost nothing here. Start reading at `Models.build`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.app import App
from modules.knobs import knobs_of
from modules.upkeep.places import FOLDERS
from modules.upkeep.work import KINDS
from modules.web.controls import Controls
from modules.web.events import QUIET, THEN, fault_data, js, owner_of
from modules.web.messages import fault_box
from modules.web.model_cards import INSTALLED, WORKS, known_models
from modules.web.ui_config import UiConfig
from modules.weights.quantisers import NONE, QUANTISERS

# Where each kind of work stands, with its heading and the word on its button.
PAGES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "Download": (("download", "From an address or the hub", "Download"),),
    "Convert": (
        ("convert", "Another form or precision", "Convert"),
        ("quantise", "In 8 or 4 bits", "Quantise"),
        ("unpickle", "Out of a .ckpt or .pt file", "Convert safely"),
    ),
    "Merge": (("merge", "Mix two or three models", "Merge"),),
    "LoRA": (("extract_lora", "The difference between two models as a LoRA", "Extract"), ("merge_lora", "LoRAs into a model", "Merge in")),
}
WORDS = {
    "unpickle": "Such files can hold programs. The file is read in a locked-up process without network that cannot run what is in it.",
    "download": "Nothing is fetched before you press the button. A download that was cut off goes on where it stopped.",
    "extract_lora": "Both models must be of one family, and the base the one that the tuned model was made from.",
    "merge_lora": "Several LoRAs are separated by commas: name:weight, other:0.5.",
}
SEVERAL = re.compile(r"[,\n]+")


class Models:
    """The built tab. `wire` connects it to the rest of the page."""

    def __init__(self, app: App, ui_config: UiConfig) -> None:
        self._app = app
        self._ui_config = ui_config
        self._lists: list[tuple[Component, str]] = []

    def build(self) -> None:
        """Place everything here and wire it."""
        self._picked = gr.Textbox(visible="hidden", elem_id="models_picked", label="Chosen model")
        self._pick = gr.Button("Use this model", visible="hidden", elem_id="models_pick")
        fresh = gr.Button("Renew the lists", visible="hidden", elem_id="models_fresh")
        self._ticket = gr.Textbox(visible="hidden", elem_id="models_ticket", label="Job")
        gr.HTML(WORKS, apply_default_css=False, elem_id="models_works")
        self._message = gr.HTML("", apply_default_css=False, elem_id="models_message")
        with gr.Tabs(elem_id="models_tabs"):
            with gr.Tab("Installed", id="models_installed", elem_id="tab_models_installed"):
                gr.HTML(INSTALLED, apply_default_css=False, elem_id="models_installed")
            for title, works in PAGES.items():
                with gr.Tab(title, id=f"models_{title.lower()}", elem_id=f"tab_models_{title.lower()}"):
                    self._page(works)
        boxes = [component for component, _ in self._lists]
        fresh.click(self._fresh, None, boxes, **QUIET)

    # ---- places -----------------------------------------------------------------------------------------------------

    def _page(self, works: Sequence[tuple[str, str, str]]) -> None:
        with gr.Row(elem_classes=["dr-works"]):
            for kind, heading, button in works:
                with gr.Column(elem_id=f"models_{kind}", elem_classes=["dr-work"], min_width=280):
                    self._form(kind, heading, button)
            if any(kind == "download" for kind, _, _ in works):
                gr.HTML(known_models(), apply_default_css=False, elem_id="models_known")

    def _form(self, kind: str, heading: str, word: str) -> None:
        gr.HTML(f"<h2>{heading}</h2><p>{WORDS.get(kind, '')}</p>", apply_default_css=False)
        knobs = knobs_of(KINDS[kind])
        controls = Controls(f"models_{kind}", self._ui_config, {name: self._reader(name) for name in CHOICES})
        made: dict[str, Component] = {}
        for name, field in knobs.items():
            made[name] = controls.make(field, lines=1) if field.kind is list else controls.make(field)
            if isinstance(field.knob.choices, str):
                self._lists.append((made[name], field.knob.choices))
        button = gr.Button(word, variant="primary", elem_id=f"models_{kind}_start")

        def submit(request: gr.Request, key: str, *values: Any) -> tuple[str, str]:
            return self._submit(request, kind, key, dict(zip(knobs, values, strict=True)))

        inputs = [self._ticket, *made.values()]
        sent = button.click(submit, inputs, [self._ticket, self._message], js=js("beforeWork"), **QUIET)
        sent.then(None, self._ticket, None, js=js("afterWork"), **THEN)

    def _reader(self, name: str) -> Any:
        return lambda: CHOICES[name](self._app)

    def wire(self, choose: Any, inputs: Sequence[Component], outputs: Sequence[Component]) -> None:
        """Let a card choose the model in use. choose(title, *values of inputs) -> values of outputs."""
        self._pick.click(choose, [self._picked, *inputs], list(outputs), js=js("pickedModel"), **QUIET)

    # ---- events -----------------------------------------------------------------------------------------------------

    def _submit(self, request: gr.Request, kind: str, key: str, values: dict[str, Any]) -> tuple[str, str]:
        """(ticket as JSON, message). An emptied box counts as left at its default."""
        knobs = knobs_of(KINDS[kind])
        data = {name: _entries(value) if knobs[name].kind is list else value for name, value in values.items() if value is not None}
        try:
            job = self._app.submit_work(kind, data, owner=owner_of(request), key=key[:200] or None)
        except Exception as error:  # noqa: BLE001 - the person gets every failure in words, the log the rest
            return json.dumps({"key": key, "fault": True}), fault_box(fault_data(error))
        return json.dumps({"key": key, "id": job.id}), ""

    def _fresh(self) -> list[Any]:
        """The choices of every list as they are now."""
        return [gr.Dropdown(choices=CHOICES[name](self._app)) for _, name in self._lists]


def _entries(value: Any) -> Any:
    """The entries of a box for several; anything else is left for the check."""
    return [part.strip() for part in SEVERAL.split(value) if part.strip()] if isinstance(value, str) else value


def _checkpoints(app: App) -> list[str]:
    return [checkpoint.title for checkpoint in app.library.checkpoints()]


def _pickles(app: App) -> list[str]:
    return [row.title for row in app.library.rows("refused") if row.format == "pickle"]


CHOICES: Mapping[str, Any] = {
    "checkpoints": lambda app: ["", *_checkpoints(app)],
    "vaes": lambda app: ["", *(row.title for row in app.library.rows("vae"))],
    "quantisers": lambda app: [NONE, *QUANTISERS.names()],
    "pickles": lambda app: ["", *_pickles(app)],
    "model_kinds": lambda app: ["", *FOLDERS],
}
