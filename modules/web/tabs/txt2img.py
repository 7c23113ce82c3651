"""The txt2img tab: the form, its short events, and where the page's script puts progress and results.

Knows the form's layout and what its buttons do. A run is a job of the App that the script follows; nothing here waits.
Start reading at `Txt2Img.build`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.app import App
from modules.faults import Fault, UnknownJob
from modules.jobs import Job
from modules.knobs import knobs_of
from modules.request import GenerationRequest, Result
from modules.web import fragments
from modules.web.controls import Controls
from modules.web.events import BROWSER, QUIET, THEN, fault_data, js, owner_of
from modules.web.form import FIELDS, NAMES, request_of, values_from
from modules.web.messages import fault_box, notice_box, picture_cards, warning_box
from modules.web.model_cards import NETWORKS
from modules.web.serving import serve_in_place

KNOBS = knobs_of(GenerationRequest)
ASK_FOR_TEXT = "Paste a picture's parameters text into the prompt box first; there is no earlier picture to take them from either."
PROMPT_TOOLS = (
    ("paste", "Read parameters from the prompt box, or take the latest picture's when it is empty"),
    ("clear_prompt", "Clear the prompts"),
    ("style_apply", "Put the styles into the prompt"),
)


class Txt2Img:
    """The built tab. form: name -> component for every name in NAMES, in that order; message: where words to the person go."""

    def __init__(self, app: App, controls: Controls, checkpoint: Component) -> None:
        self._app = app
        self._controls = controls
        self._checkpoint = checkpoint
        self.form: dict[str, Component] = {}

    def build(self) -> None:
        """Place everything here and wire it."""
        self._ticket = gr.Textbox(visible="hidden", elem_id="txt2img_ticket", label="Job")
        self._fetch = gr.Button("Show the result", visible="hidden", elem_id="txt2img_fetch")
        with gr.Row(elem_id="txt2img_toprow"):
            with gr.Column(elem_id="txt2img_prompt_container"):
                prompt = self._prompt("prompt", 3, "What should be in the picture? Ctrl+Enter makes it")
                negative = self._prompt("negative_prompt", 2, "Negative prompt: what should not be in it")
            with gr.Column(elem_id="txt2img_actions_column", min_width=200):
                tools = self._actions()
                styles = self._make("styles", container=False, show_label=False, info=None)
        gr.HTML(NETWORKS, apply_default_css=False, elem_id="txt2img_networks")
        with gr.Row(elem_id="txt2img_body"):
            with gr.Column(elem_id="txt2img_settings", min_width=300):
                placed = self._settings()
            with gr.Column(elem_id="txt2img_results", min_width=300):
                self._results()
        placed |= {"prompt": prompt, "negative_prompt": negative, "styles": styles}
        self.form = {name: placed[name] for name in FIELDS} | {NAMES[-1]: self._checkpoint}
        self._wire_run()
        self._wire_tools(tools)

    # ---- places -----------------------------------------------------------------------------------------------------

    def _make(self, name: str, **options: Any) -> Component:
        return self._controls.make(KNOBS[name], **options)

    def _prompt(self, name: str, lines: int, placeholder: str) -> Component:
        return self._make(name, lines=lines, max_lines=12, placeholder=placeholder, container=False, show_label=False)

    def _actions(self) -> dict[str, gr.Button]:
        buttons: dict[str, gr.Button] = {}
        self._generate = gr.Button("Generate", variant="primary", elem_id="txt2img_generate")
        with gr.Row(elem_id="txt2img_generate_box"):
            gr.Button("Interrupt", elem_id="txt2img_interrupt", size="sm", min_width=60)
            gr.Button("Skip", elem_id="txt2img_skip", size="sm", min_width=60)
            buttons |= {name: self._tool(name, text) for name, text in PROMPT_TOOLS}
        return buttons

    def _tool(self, name: str, text: str) -> gr.Button:
        """A small button that shows an icon (from the style sheet) and is named by its text."""
        classes = ["tool", f"icon-{name.replace('_', '-')}"]
        return gr.Button(text, elem_id=f"txt2img_{name}", elem_classes=classes, size="sm", min_width=34, scale=0)

    def _settings(self) -> dict[str, Component]:
        placed: dict[str, Component] = {}
        with gr.Row(elem_classes=["dr-pair"]):
            placed["sampler_name"] = self._make("sampler_name", min_width=120)
            placed["scheduler"] = self._make("scheduler", min_width=120)
        placed["steps"] = self._make("steps")
        with gr.Row(elem_id="txt2img_dimensions"):
            with gr.Column(elem_id="txt2img_column_size", min_width=200):
                side = self.native_px()
                placed["width"] = self._make("width", value=side)
                placed["height"] = self._make("height", value=side)
            swap = self._tool("res_switch_btn", "Swap width and height")
            with gr.Column(elem_id="txt2img_column_batch", min_width=160):
                placed["n_iter"] = self._make("n_iter")
                placed["batch_size"] = self._make("batch_size")
        placed["cfg_scale"] = self._make("cfg_scale")
        with gr.Row(elem_id="txt2img_seed_row"):
            placed["seed"] = self._make("seed", min_width=100)
            random_seed = self._tool("random_seed", "Random seed each time")
            reuse = self._tool("reuse_seed", "Use the seed of the picture shown")
        sides = [placed["width"], placed["height"]]
        swap.click(**BROWSER, js="(w, h) => [h, w]", inputs=sides, outputs=sides)
        random_seed.click(**BROWSER, js="() => '-1'", outputs=placed["seed"])
        reuse.click(**BROWSER, js=js("shownSeed"), inputs=placed["seed"], outputs=placed["seed"])
        return placed

    def _results(self) -> None:
        with gr.Column(elem_id="txt2img_gallery_container"):
            self._gallery = gr.Gallery(
                elem_id="txt2img_gallery", label="Pictures", show_label=False, columns=4, object_fit="contain", height="100%",
                buttons=["download", "fullscreen"], interactive=False,
            )  # fmt: skip
            gr.HTML(fragments.OVER_GALLERY, apply_default_css=False, elem_id="txt2img_overlay")
        gr.HTML(fragments.IMAGE_BUTTONS, apply_default_css=False, elem_id="txt2img_image_buttons")
        self.message = gr.HTML("", apply_default_css=False, elem_id="txt2img_message")
        self._info = gr.HTML("", apply_default_css=False, elem_id="html_info_txt2img")
        gr.HTML(fragments.QUEUE, apply_default_css=False, elem_id="txt2img_queue")

    def native_px(self) -> int | None:
        """The side in pixels that the model in use was made for; None without a model."""
        try:
            return self._app.library.default_checkpoint(self._app.settings.current.sd_model_checkpoint).native_px
        except Fault:
            return None

    # ---- events -----------------------------------------------------------------------------------------------------

    def _wire_run(self) -> None:
        inputs = [self._ticket, *self.form.values()]
        sent = self._generate.click(self._submit, inputs, [self._ticket, self.message], js=js("beforeSubmit"), **QUIET)
        sent.then(None, self._ticket, None, js=js("afterSubmit"), **THEN)
        shown = self._fetch.click(self._results_of, self._ticket, [self._gallery, self._info, self.message], js=js("wantedResult"), **QUIET)
        shown.then(None, None, None, js=js("afterResult"), **THEN)

    def _wire_tools(self, tools: dict[str, gr.Button]) -> None:
        prompts = [self.form["prompt"], self.form["negative_prompt"]]
        tools["clear_prompt"].click(**BROWSER, js="() => ['', '']", outputs=prompts)
        tools["style_apply"].click(self._apply_styles, [*prompts, self.form["styles"]], [*prompts, self.form["styles"]], **QUIET)
        tools["paste"].click(self._paste, self.form["prompt"], [*self.form.values(), self.message], **QUIET)

    def _submit(self, request: gr.Request, key: str, *values: Any) -> tuple[str, str]:
        """(ticket as JSON, message). The key was made by the browser; the same key gives the same job."""
        try:
            job = self._app.submit(request_of(values), owner=owner_of(request), key=key[:200] or None)
        except Exception as error:  # noqa: BLE001 - the person gets every failure in words, the log the rest
            return json.dumps({"key": key, "fault": True}), fault_box(fault_data(error))
        return json.dumps({"key": key, "id": job.id}), ""

    def _results_of(self, wanted: str) -> tuple[Any, Any, Any]:
        """(pictures, their texts, message) of a finished job. wanted: JSON {id, again}; again: the page was reloaded."""
        try:
            asked = json.loads(wanted)
            job = self._app.jobs.get(asked["id"])
            result = Result.from_data(job.result) if job.result else Result(pictures=())
        except UnknownJob:  # the browser remembers a job of a data folder that is gone
            return gr.skip(), gr.skip(), gr.skip()
        except Exception as error:  # noqa: BLE001 - as above
            return gr.skip(), gr.skip(), fault_box(fault_data(error))
        here = tuple(p for p in result.pictures if Path(p.path).is_file())
        message = gr.skip() if asked.get("again") else _message_of(job, result, len(here))
        if not here:
            return gr.skip(), gr.skip(), message
        paths = [serve_in_place(p.path) for p in here]
        return gr.Gallery(value=paths, selected_index=0), picture_cards(replace(result, pictures=here)), message

    def _paste(self, text: str) -> list[Any]:
        """The form's values from the text in the prompt box, or of the latest picture when the box is empty."""
        if not text.strip():
            latest = self._app.jobs.list(states=("done",), lane="device", limit=1)
            text = next((job.result["pictures"][0]["infotext"] for job in latest if job.result), "")
        if not text:
            return [*(gr.skip() for _ in NAMES), notice_box([ASK_FOR_TEXT])]
        return self.fill(text)

    def fill(self, text: str) -> list[Any]:
        """Updates for every component of the form, then the message. A model found by the text becomes the setting."""
        filled = values_from(self._app, text)
        if NAMES[-1] in filled.values:
            self._app.settings.set({NAMES[-1]: filled.values[NAMES[-1]]})
        updates: Sequence[Any] = [filled.values[name] if name in filled.values else gr.skip() for name in NAMES]
        return [*updates, notice_box(filled.notices, "Taken over, but")]

    def _apply_styles(self, prompt: str, negative: str, names: list[str]) -> tuple[str, str, list[str]]:
        prompt, negative, unknown = self._app.styles.apply(prompt, negative, names or [])
        return prompt, negative, unknown


def _message_of(job: Job, result: Result, count: int) -> str:
    """What to say about a finished job of which `count` picture files are there."""
    parts: list[str] = []
    if job.fault and job.state in ("failed", "parked"):
        parts.append(fault_box(job.fault))
    if result.interrupted:
        words = "Stopped before the end; these are the pictures so far." if count else "Stopped before the first picture was done."
        parts.append(notice_box([words]))
    elif job.state == "canceled" and job.result is None:
        parts.append(notice_box(["Taken out of the queue before it began."]))
    warnings = list(result.warnings)
    if gone := len(result.pictures) - count:
        warnings.append(f"{gone} of {len(result.pictures)} files were moved or deleted since.")
    return "".join([*parts, warning_box(warnings)])
