"""Post-processing for Extras: a frame around the picture, and a mirrored copy, as A1111's own post-processing scripts are written."""

import gradio as gr
from PIL import ImageOps

from modules import scripts_postprocessing, ui_components


class ScriptPostprocessingFrame(scripts_postprocessing.ScriptPostprocessing):
    name = "Frame"
    order = 2000

    def ui(self):
        with ui_components.InputAccordion(False, label="Frame") as enable:
            width = gr.Slider(minimum=1, maximum=64, step=1, value=4, label="Width", elem_id="extras_frame_width")
            copy = gr.Checkbox(label="Mirrored copy", value=False)
        return {"enable": enable, "width": width, "copy": copy}

    def process_firstpass(self, pp, enable, width, copy):
        if enable:
            pp.shared.target_width = pp.image.width + 2 * width

    def process(self, pp: scripts_postprocessing.PostprocessedImage, enable, width, copy):
        if not enable:
            return
        pp.image = ImageOps.expand(pp.image.convert("RGB"), width, "gold")
        pp.info["Frame"] = f"{width} of {pp.shared.target_width}"
        if copy and not pp.nametags:
            pp.extra_images.append(pp.create_copy(ImageOps.mirror(pp.image), nametags=["mirrored"], disable_processing=True))
