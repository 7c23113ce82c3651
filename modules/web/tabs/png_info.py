"""The PNG Info tab: what a picture file says about itself, and back into the form with it.

The file is read as it was dropped; Gradio decodes nothing. Start reading at `PngInfo.build`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from modules.faults import RequestFault
from modules.pixels.metadata import read_parameters
from modules.web.events import QUIET, THEN, fault_data, js
from modules.web.messages import fault_box, file_text, notice_box
from modules.web.tabs.txt2img import Txt2Img

EMPTY = (
    '<p class="dr-hint dr-empty">Drop a picture, paste one with Ctrl+V, or drag one over from the gallery. Its settings appear here.</p>'
)
NOTHING = "The picture in PNG Info carries no parameters, so nothing was taken over."


class PngInfo:
    """The built tab. Sends what it reads to the form of `txt2img`."""

    def __init__(self, txt2img: Txt2Img) -> None:
        self._txt2img = txt2img

    def build(self) -> None:
        """Place everything here and wire it."""
        with gr.Row(elem_id="pnginfo_body"):
            with gr.Column(elem_id="pnginfo_left", min_width=280):
                image = gr.Image(
                    label="Picture file", type="filepath", image_mode=None, sources=["upload"], elem_id="pnginfo_image",
                    height=420, interactive=True, buttons=["fullscreen"],
                )  # fmt: skip
                send = gr.Button("Send to txt2img", variant="primary", elem_id="txt2img_tab_from_pnginfo")
            with gr.Column(elem_id="pnginfo_right", min_width=280):
                shown = gr.HTML(EMPTY, apply_default_css=False, elem_id="pnginfo_info")
        image.change(_describe, image, shown, **QUIET)
        targets = [*self._txt2img.filled, self._txt2img.message, shown]
        sent = send.click(self._send, image, targets, **QUIET)
        sent.success(None, None, None, js=js("showTab", "txt2img"), **THEN)

    def _send(self, request: gr.Request, upload: dict[str, Any] | None) -> list[Any]:
        try:
            text = read_parameters(Path(upload["path"]))[0] if upload else ""
        except RequestFault as fault:
            return [*(gr.skip() for _ in self._txt2img.filled), fault_box(fault.data()), gr.skip()]
        if not text:
            return [*(gr.skip() for _ in self._txt2img.filled), notice_box([NOTHING]), gr.skip()]
        return [*self._txt2img.fill(request, text), gr.skip()]


def _describe(upload: dict[str, Any] | None) -> str:
    if not upload:
        return EMPTY
    try:
        return file_text(*read_parameters(Path(upload["path"])))
    except RequestFault as fault:
        return fault_box(fault.data())
    except OSError as error:
        return fault_box(fault_data(error))
