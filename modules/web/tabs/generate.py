"""What txt2img and img2img share: their events, and where the page's script puts progress and results.

A run is a job of the App that the script follows; nothing here waits. Knows nothing about single fields.
Start reading at `Generate.build`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.app import App
from modules.faults import Fault, RequestFault
from modules.grids.asked import names_grid
from modules.jobs import Job
from modules.request import GenerationRequest
from modules.users import ADMIN, viewer_of
from modules.web import control_units, fragments, grid, refill
from modules.web.controls import Controls
from modules.web.events import BROWSER, QUIET, THEN, fault_data, js, owner_of, visible
from modules.web.form import Filled, data_of, values_from
from modules.web.form_fields import CHECKPOINT, Form
from modules.web.messages import fault_box, notice_box
from modules.web.overrides import options_of
from modules.web.picture_batch import same_seed
from modules.web.script_panel import ScriptPanel
from modules.web.tabs.generate_parts import Pieces
from modules.web.tabs.results import results_of

NO_MODEL_PX = 512  # what sizes start at while there is no model
ASK_FOR_TEXT = "Paste a picture's parameters text into the prompt box first; there is no earlier picture to take them from either."
PROMPT_TOOLS = (
    ("paste", "Read parameters from the prompt box, or take the latest picture's when it is empty"),
    ("clear_prompt", "Clear the prompts"),
    ("style_apply", "Put the styles into the prompt"),
)


class Generate:
    """A built tab. form: name -> component for every name of `fields`, in order; message: where words to the person go."""

    fields: Form
    more_tools: Mapping[str, str] = {}  # elem_id -> words, of buttons that this tab alone has; the page's script makes them work

    def __init__(self, app: App, controls: Controls, checkpoint: Component) -> None:
        self.app = app
        self.pieces = Pieces(controls, self.fields)
        self._checkpoint = checkpoint
        self.form: dict[str, Component] = {}
        self.panel: ScriptPanel | None = None

    @property
    def tab(self) -> str:
        """ "txt2img" or "img2img", the prefix of its ids."""
        return self.fields.tab

    def hidden(self) -> None:
        """What the page's script presses and reads, placed outside the tab so that it is there before the tab was ever opened."""
        self.ticket = gr.Textbox(visible="hidden", elem_id=f"{self.tab}_ticket", label="Job")
        self._fetch = gr.Button("Show the result", visible="hidden", elem_id=f"{self.tab}_fetch")
        self.pieces.make("style_image", visible="hidden")
        self.pieces.make("control_units", visible="hidden")
        self._fill = gr.Button("Fill the form", visible="hidden", elem_id=f"{self.tab}_fill")
        self._plan = gr.Button("Say what a grid takes", visible="hidden", elem_id=f"{self.tab}_xyz_plan")
        self._planned = gr.Textbox(visible="hidden", elem_id=f"{self.tab}_xyz_planned", label="What a grid takes")
        self._forecast = gr.Button("Say what this takes", visible="hidden", elem_id=f"{self.tab}_forecast")
        self._forecasted = gr.Textbox(visible="hidden", elem_id=f"{self.tab}_forecasted", label="What this takes")

    def build(self) -> None:
        """Place everything here and wire it."""
        with gr.Row(elem_id=f"{self.tab}_toprow"):
            with gr.Column(elem_id=f"{self.tab}_prompt_container"):
                self.pieces.prompt("prompt", 3, "What should be in the picture? Ctrl+Enter makes it")
                self.pieces.prompt("negative_prompt", 2, "Negative prompt: what should not be in it")
            with gr.Column(elem_id=f"{self.tab}_actions_column", min_width=200):
                tools = self._actions()
                gr.HTML(fragments.ESTIMATE, apply_default_css=False, elem_id=f"{self.tab}_estimate")
                self.pieces.make("styles", container=False, show_label=False, info=None)
        gr.HTML(self.networks(), apply_default_css=False, elem_id=f"{self.tab}_networks")
        with gr.Row(elem_id=f"{self.tab}_body"):
            with gr.Column(elem_id=f"{self.tab}_settings", min_width=300):
                self.settings()
                if self.panel is not None:
                    self.panel.build()
            with gr.Column(elem_id=f"{self.tab}_results", min_width=300):
                self._results()
        self.form = {name: self.pieces.placed[name] for name in self.fields.fields} | {CHECKPOINT: self._checkpoint}
        self._wire_run()
        self._wire_tools(tools)

    # ---- what a tab has of its own ----------------------------------------------------------------------------------

    def settings(self) -> None:
        """Place the column of settings."""
        raise NotImplementedError

    def networks(self) -> str:
        """HTML of the drawer under the prompts; the drawer itself is one, and goes along with the tab."""
        return fragments.NETWORKS_SLOT

    def queue(self) -> str:
        """HTML of the queue, which goes along as well."""
        return fragments.QUEUE_SLOT

    def start(self, key: str, values: Sequence[Any], owner: str, scripts: Mapping[str, Any]) -> tuple[list[Job], dict[str, Any], list[str]]:
        """Queue what a form asks for: (jobs, more for the ticket, notices). scripts: the request's fields about them. Raises Fault."""
        return self.submitted(key, self.asked_for(values, scripts), values, owner)

    def submitted(
        self, key: str, request: GenerationRequest, values: Sequence[Any], owner: str
    ) -> tuple[list[Job], dict[str, Any], list[str]]:
        """As `start`: the job of a request, or a job for each picture that units of ControlNet go through."""
        turns = control_units.turns_of(values[self.fields.names.index(control_units.FIELD)])
        if not turns:
            job, gathers = grid.submit(self.app, request, owner, key or None)
            return [job], {"grid": True} if gathers else {}, []
        if names_grid(request.script_name):
            raise RequestFault(
                control_units.FIELD, "with several pictures do not go together with an X/Y/Z plot; remove the one or the other"
            )
        seed = same_seed(key) if request.seed == -1 else request.seed
        asked = [GenerationRequest.from_data({**request.to_data(), control_units.FIELD: units, "seed": seed}) for units in turns]
        jobs = [self.app.submit(one, owner=owner, key=f"{key}-{n:05}") for n, one in enumerate(asked)]
        return jobs, {"of": len(jobs), "batch": True}, []

    @property
    def asked(self) -> list[Component]:
        """What a run is asked with: the form, then the scripts' controls."""
        return [*self.form.values(), *(self.panel.inputs if self.panel is not None else ())]

    @property
    def filled(self) -> list[Component]:
        """What a parameters text or an earlier job fills: the form, then the scripts' controls."""
        return [*self.form.values(), *(self.panel.filled if self.panel is not None else ())]

    # ---- places -----------------------------------------------------------------------------------------------------

    def _actions(self) -> dict[str, gr.Button]:
        self._generate = gr.Button("Generate", variant="primary", elem_id=f"{self.tab}_generate")
        with gr.Row(elem_id=f"{self.tab}_generate_box"):
            gr.Button("Interrupt", elem_id=f"{self.tab}_interrupt", size="sm", min_width=60)
            gr.Button("Skip", elem_id=f"{self.tab}_skip", size="sm", min_width=60)
            tools = {name: self.pieces.tool(name, text) for name, text in PROMPT_TOOLS}
            for elem, text in self.more_tools.items():
                gr.Button(text, elem_id=elem, elem_classes=["tool", f"icon-{elem}"], size="sm", min_width=34, scale=0)
            self.pieces.tool("menu", "More: generate forever, presets, the form as it was")
            return tools

    def _results(self) -> None:
        with gr.Column(elem_id=f"{self.tab}_gallery_container"):
            self._gallery = gr.Gallery(
                elem_id=f"{self.tab}_gallery", label="Pictures", show_label=False, columns=4, object_fit="contain", height="100%",
                buttons=["download", "fullscreen"], interactive=False,
            )  # fmt: skip
            gr.HTML(fragments.over_gallery(self.tab), apply_default_css=False, elem_id=f"{self.tab}_overlay")
        gr.HTML(fragments.image_buttons(self.tab), apply_default_css=False, elem_id=f"{self.tab}_image_buttons")
        gr.HTML(grid.PLACE, apply_default_css=False, elem_id=f"{self.tab}_xyz")
        self.message = gr.HTML("", apply_default_css=False, elem_id=f"{self.tab}_message")
        self._info = gr.HTML("", apply_default_css=False, elem_id=f"html_info_{self.tab}")
        gr.HTML(self.queue(), apply_default_css=False, elem_id=f"{self.tab}_queue")

    def native_px(self) -> int:
        """The side in pixels that the model in use was made for."""
        try:
            return self.app.library.default_checkpoint(self.app.settings.current.sd_model_checkpoint).native_px
        except Fault:
            return NO_MODEL_PX

    # ---- events -----------------------------------------------------------------------------------------------------

    def _wire_run(self) -> None:
        inputs = [self.ticket, *self.asked]
        style, control = (self.fields.names.index(name) for name in ("style_image", "control_units"))
        begin = self.fields.names.index("begin") if "begin" in self.fields.fields else -1
        sent = self._generate.click(
            self._submit,
            inputs,
            [self.ticket, self.message],
            js=js("beforeSubmit", self.tab, list(self.form), begin, style, control),
            **QUIET,
        )
        sent.then(None, self.ticket, None, js=js("afterSubmit", self.tab), **THEN)
        shown = self._fetch.click(
            self._show, self.ticket, [self._gallery, self._info, self.message], js=js("wantedResult", self.tab), **QUIET
        )
        shown.then(None, None, None, js=js("afterResult", self.tab), **THEN)
        self._fill.click(self._filled, self.ticket, [*self.filled, self.message], js=js("wantedText", self.tab), **QUIET)

        planned = self._plan.click(
            self._words, self.asked, self._planned, js=js("beforePlan", self.tab, begin, style, control), **QUIET
        )  # fmt: skip
        planned.then(None, self._planned, None, js=js("afterPlan", self.tab), **THEN)
        foreseen = self._forecast.click(
            self._foreseen, self.asked, self._forecasted, js=js("beforePlan", self.tab, begin, style, control), **QUIET
        )  # fmt: skip
        foreseen.then(None, self._forecasted, None, js=js("afterForecast", self.tab), **THEN)

    def wire_more(self, button: gr.Button) -> None:
        """A button that the script presses to go on with what `start` left over; it sends the values of the first time again."""
        inputs = [self.ticket, *self.asked]
        sent = button.click(self._submit, inputs, [self.ticket, self.message], js=js("moreOfBatch", self.tab), **QUIET)
        sent.then(None, self.ticket, None, js=js("afterSubmit", self.tab), **THEN)

    def _wire_tools(self, tools: dict[str, gr.Button]) -> None:
        prompts = [self.form["prompt"], self.form["negative_prompt"]]
        tools["clear_prompt"].click(**BROWSER, js="() => ['', '']", outputs=prompts)
        tools["style_apply"].click(self._apply_styles, [*prompts, self.form["styles"]], [*prompts, self.form["styles"]], **QUIET)
        tools["paste"].click(self._paste, self.form["prompt"], [*self.filled, self.message], **QUIET)

    def _submit(self, request: gr.Request, key: str, *values: Any) -> tuple[str, str]:
        """(ticket as JSON, message). The key was made by the browser; the same key gives the same jobs."""
        try:
            count = len(self.fields.names)
            scripts = self.panel.data(values[count:]) if self.panel is not None else {}
            jobs, more, notices = self.start(key[:200], values[:count], owner_of(request), scripts)
        except Exception as error:  # noqa: BLE001 - the person gets every failure in words, the log the rest
            return json.dumps({"key": key, "fault": True}), fault_box(fault_data(error))
        ids = [{"id": job.id, "key": job.key} for job in jobs]
        return json.dumps({"key": key, "id": jobs[0].id if jobs else None, "jobs": ids, **more}), notice_box(notices)

    def asked_for(self, values: Sequence[Any], scripts: Mapping[str, Any]) -> GenerationRequest:
        """The request of a form, as far as it can be said without queueing anything. Raises Fault."""
        return GenerationRequest.from_data({**data_of(values, self.fields, options_of(self.app)), **scripts})

    def _words(self, request: gr.Request, *values: Any) -> str:
        """What an X/Y/Z grid of the form will take, as JSON."""
        count = len(self.fields.names)
        try:
            asked = self.asked_for(values[:count], self.panel.data(values[count:]) if self.panel is not None else {})
            return json.dumps(grid.words_for(self.app, asked, owner_of(request)))
        except Exception as error:  # noqa: BLE001 - told to the person in words
            return json.dumps({"fault": fault_data(error)["message"]})

    def _foreseen(self, request: gr.Request, *values: Any) -> str:
        """About how long the form's pictures will take, as JSON; {} for what cannot be said or made."""
        count = len(self.fields.names)
        try:
            scripts = self.panel.data(values[count:]) if self.panel is not None else {}
            return json.dumps(grid.forecast(self.app, self.asked_for(values[:count], scripts), owner_of(request)))
        except Fault:  # a form that is half typed; what is wrong is told when it is sent
            return "{}"
        except Exception as error:  # noqa: BLE001 - the log gets it; the page does without
            fault_data(error)
            return "{}"

    def _show(self, request: gr.Request, wanted: str) -> tuple[Any, Any, Any]:
        """(pictures, their texts, message) of finished jobs. wanted: JSON {ids, again}; again: the page was reloaded."""
        try:
            return results_of(self.app, viewer_of(request), json.loads(wanted))
        except Exception as error:  # noqa: BLE001 - as above
            return gr.skip(), gr.skip(), fault_box(fault_data(error))

    def _paste(self, request: gr.Request, text: str) -> list[Any]:
        """The form's values from the text in the prompt box, or of the latest picture when the box is empty."""
        if not text.strip():
            latest = self.app.jobs.list(states=("done",), owner=viewer_of(request).only, lane="device", limit=20)
            pictures = next((job.result["pictures"] for job in latest if job.result and job.result.get("pictures")), [{"infotext": ""}])
            text = pictures[0]["infotext"]
        if not text:
            return [*(gr.skip() for _ in self.filled), notice_box([ASK_FOR_TEXT])]
        return self.fill(request, text)

    def fill(self, request: gr.Request, text: str, size: tuple[int, int] | None = None) -> list[Any]:
        """Updates for each of `filled`, then the message. A model found by the text becomes the setting, for administrators.

        size: (width, height) to set instead of the text's, such as the sent picture's own.
        """
        filled = values_from(self.app, text, self.fields)
        if size is not None:
            filled.values |= {"width": size[0], "height": size[1]}
        return self._updates(request, filled, self.panel.updates(text) if self.panel is not None else [])

    def _updates(self, request: gr.Request, filled: Filled, scripts: list[Any]) -> list[Any]:
        """For each of `filled`, then the message. A model that was found becomes the setting."""
        if CHECKPOINT in filled.values and viewer_of(request).may(ADMIN):
            self.app.settings.set({CHECKPOINT: filled.values[CHECKPOINT]})
        updates: Sequence[Any] = [filled.values[name] if name in filled.values else gr.skip() for name in self.form]
        return [*updates, *scripts, notice_box(filled.notices, "Taken over, but")]

    def _filled(self, request: gr.Request, wanted: str) -> list[Any]:
        """Updates for the form and the message. wanted: JSON {text, width, height}, text "" sets the size alone; or {job: id}."""
        try:
            asked = json.loads(wanted)
            if asked.get("job"):
                job = visible(self.app, request, str(asked["job"]))
                values = refill.values_of(self.app, job, self.fields)
                if self.panel is None:
                    return self._updates(request, values, [])
                values.notices += self.panel.missing(job.request)
                return self._updates(request, values, self.panel.updates_of(job.request))
            size = (int(asked["width"]), int(asked["height"])) if asked.get("width") and asked.get("height") else None
            if asked.get("text"):
                return self.fill(request, asked["text"], size)
            sides: dict[str, int] = dict(zip(("width", "height"), size or (), strict=False))
            rest = self.filled[len(self.form) :]
            return [*(sides.get(name, gr.skip()) for name in self.form), *(gr.skip() for _ in rest), ""]
        except Exception as error:  # noqa: BLE001 - as above
            return [*(gr.skip() for _ in self.filled), fault_box(fault_data(error))]

    def _apply_styles(self, prompt: str, negative: str, names: list[str]) -> tuple[str, str, list[str]]:
        prompt, negative, unknown = self.app.styles.apply(prompt, negative, names or [])
        return prompt, negative, unknown
