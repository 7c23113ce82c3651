"""Imports its neighbour and its package, and runs a nested img2img from inside a hook."""

import copy

import gradio as gr
import marks
from marks.colours import RED
from scripts.b_first import order

from modules import processing, scripts, shared

order.append("a_second")


class Script(scripts.Script):
    def title(self):
        return "Marker"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        with gr.Group():
            nested = gr.Checkbox(label="Paint again", value=False)
        return [nested]

    def postprocess_image(self, p, pp, nested):
        if not nested:
            return
        again = processing.StableDiffusionProcessingImg2Img(
            sd_model=shared.sd_model, outpath_samples=p.outpath_samples, outpath_grids=p.outpath_grids, prompt=p.prompt, negative_prompt="",
            styles=p.styles, seed=p.all_seeds[0], sampler_name=p.sampler_name, batch_size=1, n_iter=1, steps=2, cfg_scale=p.cfg_scale,
            width=p.width, height=p.height, init_images=[pp.image], denoising_strength=0.5, do_not_save_samples=True, do_not_save_grid=True,
        )  # fmt: skip
        again.scripts = copy.copy(p.scripts)
        again.scripts.alwayson_scripts = []
        again.script_args = p.script_args
        pp.image = processing.process_images(again).images[0]
        pp.image.putpixel((1, 1), RED)
        p.extra_generation_params["Marker"] = marks.HERE is not None
