"""The txt2img tab: from a prompt to pictures, and a finished picture made again larger.

Knows which pieces stand where; what it shares with img2img is in `generate`. Start reading at `Txt2Img.settings`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from modules.faults import RequestFault
from modules.request import GenerationRequest
from modules.web import fragments
from modules.web.events import QUIET, THEN, fault_data, js, owner_of, visible
from modules.web.form import data_of, values_from
from modules.web.form_fields import HIRES, TXT2IMG
from modules.web.messages import MAP, fault_box
from modules.web.model_cards import NETWORKS
from modules.web.overrides import options_of
from modules.web.tabs.generate import Generate

SINGLE = "Choose a single picture first; a grid or a map cannot be made larger."


class Txt2Img(Generate):
    """The built tab."""

    fields = TXT2IMG

    def networks(self) -> str:
        """The drawer itself; it begins here."""
        return fragments.NETWORKS_SLOT.replace("></div>", f">{NETWORKS}</div>")

    def queue(self) -> str:
        """The queue itself."""
        return fragments.QUEUE

    def hidden(self) -> None:
        """As every tab, and the button that the picture's "Upscale" presses."""
        super().hidden()
        self._enlarge = gr.Button("Make it larger", visible="hidden", elem_id="txt2img_upscale_run")

    def settings(self) -> None:
        """Sampler, hires pass, refiner, size, guidance, seed, and the rest folded away."""
        pieces = self.pieces
        pieces.sampler()
        with gr.Row(elem_id="txt2img_dimensions", elem_classes=["dr-dimensions"]):
            pieces.sides(self.native_px())
            pieces.counts()
        pieces.make("cfg_scale")
        pieces.seed()
        pieces.hires()
        pieces.refiner()
        pieces.control()
        pieces.style()
        pieces.advanced()
        pieces.overrides()

    def build(self) -> None:
        """Place everything here and wire it."""
        super().build()
        inputs = [self.ticket, *self.form.values()]
        sent = self._enlarge.click(self._upscale, inputs, [self.ticket, self.message], js=js("beforeUpscale"), **QUIET)
        sent.then(None, self.ticket, None, js=js("afterSubmit", "txt2img"), **THEN)

    def _upscale(self, request: gr.Request, wanted: str, *values: Any) -> tuple[str, str]:
        """(ticket, message). wanted: JSON {key, source: "job/place"}: the picture that goes through the hires pass of the form."""
        asked = json.loads(wanted)
        try:
            job = self.app.submit(self._larger(request, str(asked["source"]), values), owner=owner_of(request), key=str(asked["key"])[:200])
        except Exception as error:  # noqa: BLE001 - told to the person in words
            return json.dumps({"key": asked["key"], "fault": True}), fault_box(fault_data(error))
        return json.dumps({"key": asked["key"], "id": job.id, "jobs": [{"id": job.id, "key": job.key}]}), ""

    def _larger(self, request: gr.Request, source: str, values: Sequence[Any]) -> GenerationRequest:
        """The request of a finished picture's second pass: what its text says, and the hires settings of the form."""
        job_id, _, place = source.partition("/")
        pictures = (visible(self.app, request, job_id).result or {}).get("pictures", [])
        picture = pictures[int(place)] if place.isdecimal() and int(place) < len(pictures) else None
        if picture is None or picture["kind"] in ("grid", MAP):
            raise RequestFault("firstpass_image", SINGLE)
        path = Path(picture["path"])
        if not path.is_file():
            raise RequestFault("firstpass_image", f"{path.name} was moved or deleted since")
        given = dict(zip(self.fields.names, values, strict=True))
        own = values_from(self.app, picture["infotext"], self.fields).values
        kept = ("denoising_strength", "control_units", *HIRES)
        merged = {**given, **own, **{name: given[name] for name in kept}}
        merged |= {"enable_hr": True, "n_iter": 1, "batch_size": 1}
        data = data_of([merged[name] for name in self.fields.names], self.fields, options_of(self.app))
        data["firstpass_image"] = self.app.inputs.put(path.read_bytes(), "firstpass_image")
        return GenerationRequest.from_data(data)
