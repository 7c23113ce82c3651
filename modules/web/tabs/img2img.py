"""The img2img tab: pictures to begin with on canvases, what is asked of them, and one job a picture for a batch.

The canvases are drawn by the page's script, which hands over references to the input store. What this tab shares with txt2img is
in `generate`. Start reading at `Img2Img.settings`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from modules.faults import Fault, RequestFault
from modules.jobs import Job
from modules.request import GenerationRequest, Outpaint
from modules.users import USER
from modules.web import control_units
from modules.web.events import js
from modules.web.form import data_of
from modules.web.form_fields import CHECKPOINT, IMG2IMG, MASK_MODES, OUTPAINT, SOFT
from modules.web.overrides import options_of
from modules.web.painted import begin_of, pictures_of
from modules.web.picture_batch import entries_of, request_data, same_seed
from modules.web.quicksettings import edits_pictures
from modules.web.tabs import canvases
from modules.web.tabs.generate import Generate

FOLDERS = ("batch_output_dir", "batch_mask_dir", "batch_png_info_dir")
INTERROGATORS = {  # A1111's ids
    "interrogate": "Interrogate CLIP: say what the picture shows, in the prompt",
    "deepbooru": "Interrogate DeepBooru: tags of the picture, in the prompt",
}
BATCH_SECONDS = 2.0  # an event stays short; the page's script asks for the rest
SKIPPED_SHOWN = 5


class Img2Img(Generate):
    """The built tab."""

    fields = IMG2IMG
    more_tools = INTERROGATORS

    def hidden(self) -> None:
        """As every tab, and what the canvases wrote."""
        super().hidden()
        self.pieces.make("begin", visible="hidden", elem_id="img2img_begin")
        self._more = gr.Button("The rest of the batch", visible="hidden", elem_id="img2img_more")

    def settings(self) -> None:
        """Canvases, then what is asked of the picture."""
        pieces = self.pieces
        with gr.Tabs(elem_id="mode_img2img", overflow_behavior="wrap"):
            for mode, (title, elem) in canvases.SUB_TABS.items():
                with gr.Tab(title, id=f"img2img_{mode}", elem_id=elem):
                    if mode == "batch":
                        self._batch()
                    else:
                        gr.HTML(canvases.sub_tab(mode), apply_default_css=False, elem_id=f"img2img_canvas_{mode}")
        with gr.Column(elem_id="img2img_inpaint_controls"):
            self._inpaint()
        self._outpaint()
        pieces.make("denoising_strength")
        pieces.make("resize_mode", radio=True, elem_id="resize_mode", elem_classes=["dr-choices"])
        pieces.sampler()
        self._size()
        with gr.Row(elem_classes=["dr-pair"]):
            pieces.make("cfg_scale", min_width=120)
            pieces.make("image_cfg_scale", min_width=120)
        pieces.seed()
        pieces.refiner()
        pieces.control()
        pieces.style()
        pieces.advanced()
        pieces.overrides()

    def _outpaint(self) -> None:
        pieces = self.pieces
        with pieces.part("outpaint_show", "outpaint", "outpaint_finalres"):
            for pair in (OUTPAINT[:2], OUTPAINT[2:4]):
                with gr.Row(elem_classes=["dr-pair"]):
                    pieces.several(pair, min_width=120)
            pieces.make("outpaint_begin", radio=True, elem_classes=["dr-choices"])
            pieces.make("outpaint_overlap")
            with gr.Row(elem_classes=["dr-pair"]):
                pieces.several(("outpaint_falloff", "outpaint_color_variation"), min_width=120)
            pieces.make("outpaint_in_turns")

    def _inpaint(self) -> None:
        pieces = self.pieces
        with gr.Row(elem_classes=["dr-pair"]):
            pieces.make("mask_blur", min_width=120)
            pieces.make("inpaint_full_res_padding", min_width=120)
        pieces.make("mask_alpha")
        with gr.Row(elem_classes=["dr-pair"]):
            pieces.make("inpainting_mask_invert", radio=True, min_width=120, elem_classes=["dr-choices"])
            pieces.make("inpaint_full_res", radio=True, min_width=120, elem_classes=["dr-choices"])
        pieces.make("inpainting_fill", radio=True, elem_classes=["dr-choices"])
        with pieces.part("soft_inpainting", "soft"):
            for pair in (SOFT[:2], SOFT[2:4], SOFT[4:]):
                with gr.Row(elem_classes=["dr-pair"]):
                    pieces.several(pair, min_width=120)

    def _size(self) -> None:
        """Sides or a factor; both are there, the script shows the chosen ones and what comes out."""
        pieces = self.pieces
        with gr.Column(elem_id="img2img_size", elem_classes=["dr-size"]):
            with gr.Row(elem_classes=["dr-size-head"]):
                pieces.make("size_from", radio=True, show_label=False, container=False, elem_classes=["dr-choices"])
                gr.HTML("", apply_default_css=False, elem_id="img2img_scale_resolution_preview", elem_classes=["dr-note"])
            with gr.Row(elem_id="img2img_dimensions", elem_classes=["dr-dimensions"]):
                pieces.sides(self.native_px())
                detect = pieces.tool("detect_image_size_btn", "Take the size of the picture", "detect-size")
                pieces.counts()
            pieces.make("scale_by", elem_id="img2img_scale")
        sides = [pieces.placed["width"], pieces.placed["height"]]
        detect.click(
            fn=None, inputs=sides, outputs=sides, js=js("pictureSize"), queue=False, show_progress="hidden", api_visibility="private"
        )

    def _batch(self) -> None:
        pieces = self.pieces
        with gr.Tabs(elem_id="img2img_batch_source"):
            with gr.Tab("Upload", id="img2img_batch_upload", elem_id="img2img_batch_upload_tab"):
                gr.HTML(canvases.UPLOADS, apply_default_css=False, elem_id="img2img_batch_upload")
            with gr.Tab("From directory", id="img2img_batch_from_dir", elem_id="img2img_batch_from_dir_tab"):
                pieces.make("batch_input_dir", placeholder="such as outputs/txt2img-images/2026-01-31")
        pieces.make("batch_output_dir", placeholder="empty: outputs/img2img-images")
        pieces.make("batch_mask_dir", placeholder="empty: no masks")
        with pieces.part("batch_use_png_info", "batch_use_png_info"):
            pieces.make("batch_png_info_dir", placeholder="empty: the pictures themselves")
            pieces.make("batch_png_info_props")

    # ---- runs -------------------------------------------------------------------------------------------------------

    def start(self, key: str, values: Sequence[Any], owner: str, scripts: Mapping[str, Any]) -> tuple[list[Job], dict[str, Any], list[str]]:
        """One job, or as many of a batch's as fit into a short event; the ticket's "next" says where to go on."""
        form = dict(zip(self.fields.names, values, strict=True))
        begin = begin_of(form["begin"])
        if begin["mode"] != "batch":
            return self.submitted(key, self.asked_for(values, scripts), values, owner)
        if control_units.turns_of(form[control_units.FIELD]):
            raise RequestFault(control_units.FIELD, "go through the batch's own pictures here; remove the pictures of the unit's batch")
        return self._start_batch(key, begin, form, self._data(form, values, scripts), owner)

    def asked_for(self, values: Sequence[Any], scripts: Mapping[str, Any]) -> GenerationRequest:
        """The request of a form with the pictures of its canvases. Raises Fault."""
        form = dict(zip(self.fields.names, values, strict=True))
        begin, data = begin_of(form["begin"]), self._data(form, values, scripts)
        if not str(begin["mode"]).startswith("inpaint"):
            data.pop("soft_inpainting", None)
        inverted = form["inpainting_mask_invert"] == MASK_MODES[1]
        transparency = float(form["mask_alpha"] or 0)
        request = GenerationRequest.from_data(data)  # what is wrong with the form is said before work on pictures
        grows = any(request.group(Outpaint).sides)
        found = pictures_of(self.app, begin, transparency=transparency, blur=request.mask_blur_x, inverted=inverted, grows=grows)
        return GenerationRequest.from_data({**data, **found})

    def _data(self, form: Mapping[str, Any], values: Sequence[Any], scripts: Mapping[str, Any]) -> dict[str, Any]:
        data = {**data_of(values, self.fields, options_of(self.app)), **scripts}
        if not self._edits(form[CHECKPOINT]):
            data.pop("image_cfg_scale", None)
        return data

    def _start_batch(
        self, key: str, begin: dict[str, Any], form: dict[str, Any], data: dict[str, Any], owner: str
    ) -> tuple[list[Job], dict[str, Any], list[str]]:
        if begin.get("source") == "folder" or any(form[name] for name in FOLDERS):
            self.app.allowance.require(owner, USER, "work with folders of this machine")
        entries = entries_of(self.app, begin, form)
        if data.get("seed") == -1:
            data["seed"] = same_seed(key)
        jobs: list[Job] = []
        skipped: list[str] = []
        place = max(0, int(begin.get("from") or 0))
        end = time.monotonic() + BATCH_SECONDS
        while place < len(entries) and (time.monotonic() < end or not (jobs or skipped)):
            entry = entries[place]
            try:
                request = GenerationRequest.from_data(request_data(self.app, entry, data, form))
                jobs.append(self.app.submit(request, owner=owner, key=f"{key}-{place:05}"))
            except RequestFault as fault:
                if not (jobs or place or _of_the_picture(fault)):
                    raise
                skipped.append(f"{entry.name} was left out: {fault.why}.")
            place += 1
        if not jobs and place >= len(entries) and len(skipped) == len(entries):
            raise RequestFault("init_images", f"none of the {len(entries)} pictures can be used. {skipped[0]}")
        more = {"of": len(entries), "batch": True, **({"next": place} if place < len(entries) else {})}
        hidden = len(skipped) - SKIPPED_SHOWN
        return jobs, more, [*skipped[:SKIPPED_SHOWN], *([f"And {hidden} more."] if hidden > 0 else [])]

    def _edits(self, title: Any) -> bool:
        try:
            return edits_pictures(self.app.library.default_checkpoint(str(title or "")))
        except Fault:
            return False

    def build(self) -> None:
        """Place everything here and wire it."""
        super().build()
        self.wire_more(self._more)


def _of_the_picture(fault: RequestFault) -> bool:
    """Whether a fault is about one picture of a batch and not about the form, so that the others can go on."""
    return fault.field in ("init_images", "mask", "image") or (fault.field == "batch_mask_dir" and "named" in fault.why)
