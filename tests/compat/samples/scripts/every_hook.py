"""An always-on script in the manner of A1111 1.10 and Gradio 3.41 that uses every method it may have, and says which were called."""

import gradio as gr
import torch

from modules import devices, images, script_callbacks, scripts, shared
from modules.processing import StableDiffusionProcessing, opt_f
from modules.shared import opts, state
from modules.ui_components import FormRow, ToolButton

seen = []


class Blur(torch.nn.Module):
    """Inherits from torch when the file is loaded, as many extensions do."""

    @torch.no_grad()
    def forward(self, x):
        return x


class Script(scripts.Script):
    def __init__(self):
        self.blur = Blur()

    def title(self):
        return "Every hook"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        with gr.Box(), gr.Accordion("Every hook", open=False):
            with FormRow():
                enabled = gr.Checkbox(label="Enabled", value=False, elem_id=self.elem_id("enabled"))
                refresh = ToolButton(value="R", elem_id=self.elem_id("refresh"))
            word = gr.Textbox(label="Word", value="dusk", elem_id=self.elem_id("word"), show_copy_button=True).style(container=False)
            kind = gr.Dropdown(label="Kind", choices=["one", "two", "three"], value="two", type="index")
            picture = gr.Image(label="Picture", source="upload", tool="sketch", type="pil")
        refresh.click(fn=lambda: gr.Dropdown.update(choices=["one"]), _js="noSuchFunction", inputs=[], outputs=[kind], show_progress=False)
        self.infotext_fields = [(enabled, lambda d: "Every hook" in d), (word, "Every hook word")]
        self.paste_field_names = ["Every hook word"]
        return [enabled, word, kind, picture]

    def _saw(self, p, name, enabled, *more):
        if enabled:
            seen.append(name)
        return enabled

    def setup(self, p, *args):
        self._saw(p, "setup", *args)

    def before_process(self, p, enabled, word, kind, picture):
        if self._saw(p, "before_process", enabled):
            p.prompt = f"{p.prompt}, {word}"

    def process(self, p, enabled, word, kind, picture):
        if self._saw(p, "process", enabled):
            assert isinstance(p, StableDiffusionProcessing) and isinstance(kind, int)
            p.extra_generation_params["Every hook"] = True
            p.extra_generation_params["Every hook word"] = word
            p.all_seeds = [seed + 100 for seed in p.all_seeds]

    def before_process_batch(self, p, *args, batch_number, prompts, seeds, subseeds):
        if self._saw(p, "before_process_batch", *args):
            prompts[0] = f"{prompts[0]}, batch {batch_number}"

    def after_extra_networks_activate(self, p, *args, extra_network_data, **kwargs):
        self._saw(p, "after_extra_networks_activate", *args)

    def process_batch(self, p, *args, batch_number, prompts, seeds, subseeds):
        self._saw(p, "process_batch", *args)

    def process_before_every_sampling(self, p, *args, x, noise, c, uc):
        if self._saw(p, "process_before_every_sampling", *args):
            assert x.shape[-1] == p.width // opt_f or x.shape[-1] > 0
            x.mul_(0.5)

    def before_hr(self, p, *args):
        self._saw(p, "before_hr", *args)

    def post_sample(self, p, ps, *args):
        if self._saw(p, "post_sample", *args):
            ps.samples = ps.samples * 0.9

    def postprocess_batch(self, p, *args, images, batch_number):
        if self._saw(p, "postprocess_batch", *args):
            images[:, 0] = 1.0

    def postprocess_batch_list(self, p, pp, *args, batch_number):
        if self._saw(p, "postprocess_batch_list", *args):
            pp.images = [image.clamp(0, 1) for image in pp.images]

    def postprocess_image(self, p, pp, *args):
        if self._saw(p, "postprocess_image", *args):
            pp.image.putpixel((0, 0), (1, 2, 3))

    def postprocess_image_after_composite(self, p, pp, *args):
        self._saw(p, "postprocess_image_after_composite", *args)

    def postprocess(self, p, processed, *args):
        if self._saw(p, "postprocess", *args):
            processed.images.append(images.image_grid(processed.images, rows=1))
            processed.infotexts.append("made by every hook")


def on_cfg_denoiser(params):
    if seen:
        seen.append("on_cfg_denoiser")
        assert params.text_cond.shape == params.text_uncond.shape and params.sampling_step < params.total_sampling_steps


def on_cfg_denoised(params):
    if seen:
        seen.append("on_cfg_denoised")
        params.x = params.x * 1.0


def on_before_image_saved(params):
    if seen:
        params.pnginfo["Saved by"] = "every hook"


def on_image_saved(params):
    if seen:
        seen.append(f"on_image_saved {params.filename.rpartition('.')[2]}")


def on_ui_settings():
    shared.opts.add_option("every_hook_strength", shared.OptionInfo(0.25, "Strength", section=("every", "Every hook")).info("a number"))


script_callbacks.on_cfg_denoiser(on_cfg_denoiser)
script_callbacks.on_cfg_denoised(on_cfg_denoised)
script_callbacks.on_before_image_saved(on_before_image_saved)
script_callbacks.on_image_saved(on_image_saved)
script_callbacks.on_ui_settings(on_ui_settings)
known = (devices.cpu, state.interrupted, opts.samples_format)
