"""The Extras tab: pictures that are there already, enlarged and finished; the picture before and after side by side.

Knows the form and hands it over as a job. Pictures come as references into the input store, which the page's script has put there;
progress and results are drawn by that script too. Start reading at `Extras.build`.
"""

from __future__ import annotations

import json
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.app import App
from modules.faults import RequestFault
from modules.knobs import KnobField, knobs_of
from modules.request.extras import NONE, SCALE_BY, SCALE_TO, ExtrasRequest
from modules.upscale.finishing import names_of
from modules.upscale.table import upscaler_files, upscalers
from modules.web.controls import Controls
from modules.web.events import BROWSER, QUIET, THEN, fault_data, js, owner_of
from modules.web.messages import fault_box
from modules.web.ui_config import UiConfig

TAB = "extras"
KNOBS = knobs_of(ExtrasRequest)
MODES = {SCALE_BY: "Scale by", SCALE_TO: "Scale to"}
FIELDS = (
    "resize_mode", "upscaling_resize", "max_side_length", "upscaling_resize_w", "upscaling_resize_h", "upscaling_crop",
    "upscaler_1", "upscaler_2", "extras_upscaler_2_visibility", "gfpgan_visibility", "codeformer_visibility", "codeformer_weight",
    "background_removal", "input_dir", "output_dir",
)  # fmt: skip
MENUS = ("upscaler_1", "upscaler_2")
FOLDERS = ("input_dir", "output_dir")
STARTS = {"upscaler_1": "Lanczos", "upscaling_resize": 2, "codeformer_weight": 0.5}
BODY_LIMIT = 2_000_000
ACCEPTED = "image/png,image/jpeg,image/webp,image/avif,image/gif,image/bmp,image/tiff,.tif,.tiff"
MANY = 'multiple aria-label="Pictures"'
ONE = 'aria-label="Picture"'


def _drop(elem_id: str, words: str, kind: str) -> str:
    return f"""
<div id="{elem_id}" class="dr-drop" tabindex="0" role="group" aria-label="{words}">
  <input type="file" accept="{ACCEPTED}" {kind} hidden>
  <div class="dr-drop-empty"><p>{words}</p><p class="dr-quiet">paste with Ctrl+V, or</p>
    <button type="button" class="dr-button" data-do="extras-choose">Choose {"files" if kind == MANY else "a file"}</button></div>
  <div class="dr-drop-held" hidden></div>
  <div class="dr-drop-state dr-quiet" role="status"></div>
</div>"""


PRESETS = '<button type="button" class="dr-button" data-do="extras-presets">Presets…</button>'
SAID = '<div class="dr-estimate" role="status"></div>'
RESULTS = """
<div id="dr_extras">
  <div id="extras_progress" hidden>
    <div class="dr-line"><span class="dr-what" role="status"></span><span class="dr-left"></span></div>
    <div class="dr-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"><i></i></div>
  </div>
  <div id="extras_said"></div>
  <div id="extras_gallery" class="dr-slide-frame" hidden></div>
  <div class="dr-extras-empty"><p>Give it a picture, choose what is to be done, and press Generate.</p>
    <p class="dr-quiet">The result stands beside the picture as it was.</p></div>
  <div class="dr-image-buttons dr-extras-buttons" hidden></div>
  <ul class="dr-extras-strip" aria-label="Results" hidden></ul>
  <pre id="html_info_extras" class="dr-infotext" hidden></pre>
</div>
"""


class Extras:
    """The built tab. form: name -> component for each of FIELDS, in that order."""

    def __init__(self, app: App, ui_config: UiConfig) -> None:
        self._app = app
        lists = {"upscalers": self._upscalers, "background_removers": lambda: [NONE, *names_of("background removal")]}
        self._controls = Controls(TAB, ui_config, lists)
        self.form: dict[str, Component] = {}

    def hidden(self) -> None:
        """What the script needs before the tab is opened; placed outside of the tabs, which are drawn late."""
        self._ticket = gr.Textbox(visible="hidden", elem_id="extras_ticket", label="Job")
        self._pictures = gr.Textbox(visible="hidden", elem_id="extras_pictures", label="Pictures")
        self._fresh = gr.Button("Renew the lists", visible="hidden", elem_id="extras_fresh")
        self._put = gr.Button("Set the form", visible="hidden", elem_id=f"{TAB}_put")

    def build(self) -> None:
        """Place everything here and wire it."""
        placed: dict[str, Component] = {}
        with gr.Row(elem_id="extras_body"):
            with gr.Column(elem_id="extras_settings", min_width=280):
                self._sources(placed)
                self._sizes(placed)
                self._tools(placed)
            with gr.Column(elem_id="extras_results", min_width=280):
                with gr.Row(elem_id="extras_generate_box"):
                    self._generate = gr.Button("Generate", variant="primary", elem_id="extras_generate")
                    gr.Button("Interrupt", elem_id="extras_interrupt", min_width=60)
                    gr.HTML(PRESETS, apply_default_css=False, elem_id="extras_presets")
                gr.HTML(SAID, apply_default_css=False, elem_id="extras_estimate")
                self._message = gr.HTML("", apply_default_css=False, elem_id="extras_message")
                gr.HTML(RESULTS, apply_default_css=False, elem_id="extras_frame")
        self.form = {name: placed[name] for name in FIELDS}
        self._wire()

    def _make(self, name: str, **options: Any) -> Component:
        return self._controls.make(KNOBS[name], value=STARTS.get(name), **options)

    def _sources(self, placed: dict[str, Component]) -> None:
        with gr.Tabs(elem_id="mode_extras"):
            with gr.Tab("Single Image", id="extras_single", elem_id="extras_single_tab"):
                gr.HTML(_drop("extras_image", "Drop a picture here", ONE), apply_default_css=False, elem_id="extras_single_frame")
            with gr.Tab("Batch Process", id="extras_batch", elem_id="extras_batch_process_tab"):
                gr.HTML(_drop("extras_image_batch", "Drop pictures here", MANY), apply_default_css=False, elem_id="extras_batch_frame")
            with gr.Tab("Batch from Directory", id="extras_dir", elem_id="extras_batch_directory_tab"):
                placed["input_dir"] = self._make("input_dir", placeholder="such as outputs/txt2img-images/2026-01-31")
                placed["output_dir"] = self._make("output_dir", placeholder="empty: outputs/extras-images")

    def _sizes(self, placed: dict[str, Component]) -> None:
        field = KNOBS["resize_mode"]
        placed["resize_mode"] = gr.Radio(
            choices=list(MODES.values()), value=MODES[field.default], show_label=False, container=False, interactive=True,
            label=field.knob.label, elem_id="extras_resize_mode", elem_classes=["dr-choices"],
        )  # fmt: skip
        with gr.Row(elem_classes=["dr-pair", "dr-by-factor"]):
            placed["upscaling_resize"] = self._make("upscaling_resize", min_width=160)
            placed["max_side_length"] = self._make("max_side_length", min_width=120)
        with gr.Row(elem_classes=["dr-pair", "dr-by-size"]):
            placed["upscaling_resize_w"] = self._make("upscaling_resize_w", min_width=120)
            placed["upscaling_resize_h"] = self._make("upscaling_resize_h", min_width=120)
        with gr.Row(elem_classes=["dr-by-size"]):
            placed["upscaling_crop"] = self._make("upscaling_crop")

    def _tools(self, placed: dict[str, Component]) -> None:
        with gr.Row(elem_classes=["dr-pair"]):
            placed["upscaler_1"] = self._make("upscaler_1", min_width=120)
            placed["upscaler_2"] = self._make("upscaler_2", min_width=120)
        placed["extras_upscaler_2_visibility"] = self._make("extras_upscaler_2_visibility", elem_classes=["dr-second"])
        with gr.Accordion("Faces and background", open=False, elem_id="extras_finishing"):
            with gr.Row(elem_classes=["dr-pair"]):
                placed["gfpgan_visibility"] = self._make("gfpgan_visibility", min_width=120)
                placed["codeformer_visibility"] = self._make("codeformer_visibility", min_width=120)
            with gr.Row(elem_classes=["dr-pair"]):
                placed["background_removal"] = self._make("background_removal", min_width=120)
                placed["codeformer_weight"] = self._controls.make(_filled(KNOBS["codeformer_weight"]), min_width=120)

    def _upscalers(self) -> list[str]:
        return upscalers(upscaler_files(self._app.folders)[0]).names()

    # ---- events -----------------------------------------------------------------------------------------------------

    def _wire(self) -> None:
        form, names = list(self.form.values()), list(self.form)
        inputs = [self._ticket, self._pictures, *form]
        sent = self._generate.click(self._submit, inputs, [self._ticket, self._message], js=js("beforeExtras"), **QUIET)
        sent.then(None, self._ticket, None, js=js("afterExtras"), **THEN)
        changes = [component.change for component in form]  # pyright: ignore[reportAttributeAccessIssue]
        gr.on(changes, inputs=form, outputs=None, js=js("saveExtras", names), trigger_mode="always_last", **BROWSER)
        menus = [self.form[name] for name in MENUS]
        loaded = self._fresh.click(self._renew, None, menus, **QUIET)
        begin = [[name, getattr(one, "label", name), getattr(one, "value", None), one.elem_id] for name, one in self.form.items()]
        loaded.then(None, form, form, js=js("loadExtras", begin), **THEN)
        self._put.click(inputs=None, outputs=form, js=js("putting", TAB, names), **BROWSER)

    def _renew(self) -> list[Any]:
        """The upscalers as they are now."""
        return [gr.Dropdown(choices=self._upscalers()) for _ in MENUS]

    def _submit(self, request: gr.Request, key: str, pictures: str, *values: Any) -> tuple[str, str]:
        """(ticket as JSON, message). The key was made by the browser; the same key gives the same job."""
        try:
            asked = request_of(pictures, dict(zip(FIELDS, values, strict=True)))
            job = self._app.submit_extras(asked, owner=owner_of(request), key=key[:200] or None)
        except Exception as error:  # noqa: BLE001 - the person gets every failure in words, the log the rest
            return json.dumps({"key": key, "fault": True}), fault_box(fault_data(error))
        return json.dumps({"key": key, "id": job.id}), ""


def _filled(field: KnobField) -> KnobField:
    """As a slider: the page always has a value for it."""
    return KnobField(field.name, field.kind, False, STARTS[field.name], field.knob)


def request_of(pictures: str, form: dict[str, Any]) -> ExtrasRequest:
    """The request of a form. pictures: JSON {mode: "single", "batch" or "dir", pictures: [{reference, name}]} of the page's script.

    Raises RequestFault naming the field.
    """
    try:
        if len(pictures) > BODY_LIMIT:
            raise ValueError("too long")
        asked = json.loads(pictures or "{}")
        held = [(str(one["reference"]), str(one.get("name", ""))) for one in asked.get("pictures", [])]
        mode = asked.get("mode", "single")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestFault("images", f"could not be understood ({error}); choose the pictures again") from error
    data = {name: value for name, value in form.items() if value is not None and (mode == "dir" or name not in FOLDERS)}
    data["resize_mode"] = next((number for number, words in MODES.items() if words == form["resize_mode"]), form["resize_mode"])
    if mode != "dir":
        data |= {"images": [reference for reference, _ in held], "image_names": [name for _, name in held]}
    elif not str(data.get("input_dir", "")).strip():
        raise RequestFault("input_dir", "a folder is needed")
    return ExtrasRequest.from_data(data)
