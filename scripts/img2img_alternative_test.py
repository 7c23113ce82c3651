"""img2img alternative test: paints from the noise that the picture would have come from, so that a changed prompt changes little else.

How the noise is found is the program's own: fields `invert_*` of the request. Here are A1111's arguments for it.
"""

import gradio as gr

import modules.scripts as scripts
from modules.processing import process_images


class Script(scripts.Script):
    """Only on img2img."""

    def title(self):
        return "img2img alternative test"

    def show(self, is_img2img):
        return is_img2img

    def ui(self, is_img2img):
        info = gr.HTML(
            "<ul><li>Say in the original prompt what the picture shows; in the prompt above, what it is to show.</li>"
            "<li>A CFG scale of 1 to 2 keeps most of the picture.</li></ul>"
        )
        override_sampler = gr.Checkbox(
            label="Override `Sampling method` to Euler?(this method is built for it)", value=True, elem_id=self.elem_id("override_sampler")
        )
        override_prompt = gr.Checkbox(
            label="Override `prompt` to the same value as `original prompt`?(and `negative prompt`)",
            value=True,
            elem_id=self.elem_id("override_prompt"),
        )
        original_prompt = gr.Textbox(label="Original prompt", lines=1, elem_id=self.elem_id("original_prompt"))
        original_negative = gr.Textbox(label="Original negative prompt", lines=1, elem_id=self.elem_id("original_negative_prompt"))
        override_steps = gr.Checkbox(
            label="Override `Sampling Steps` to the same value as `Decode steps`?", value=True, elem_id=self.elem_id("override_steps")
        )
        steps = gr.Slider(label="Decode steps", minimum=1, maximum=150, step=1, value=50, elem_id=self.elem_id("st"))
        override_strength = gr.Checkbox(label="Override `Denoising strength` to 1?", value=True, elem_id=self.elem_id("override_strength"))
        cfg = gr.Slider(label="Decode CFG scale", minimum=0.0, maximum=15.0, step=0.1, value=1.0, elem_id=self.elem_id("cfg"))
        randomness = gr.Slider(label="Randomness", minimum=0.0, maximum=1.0, step=0.01, value=0.0, elem_id=self.elem_id("randomness"))
        sigma_adjustment = gr.Checkbox(
            label="Sigma adjustment for finding noise for image", value=False, elem_id=self.elem_id("sigma_adjustment")
        )
        return [
            info, override_sampler, override_prompt, original_prompt, original_negative, override_steps, steps, override_strength, cfg,
            randomness, sigma_adjustment,
        ]  # fmt: skip

    def run(
        self, p, _, override_sampler, override_prompt, original_prompt, original_negative, override_steps, steps, override_strength, cfg,
        randomness, sigma_adjustment,
    ):  # fmt: skip
        if override_sampler:
            p.sampler_name = "Euler"
        if override_prompt:
            p.prompt, p.negative_prompt = original_prompt or p.prompt, original_negative or p.negative_prompt
        if override_steps:
            p.steps = int(steps)
        if override_strength:
            p.denoising_strength = 1.0
        p.invert_steps, p.invert_cfg_scale = int(steps), float(cfg)
        p.invert_prompt, p.invert_negative_prompt = original_prompt or "", original_negative or ""
        p.invert_randomness, p.invert_sigma_adjustment = float(randomness), bool(sigma_adjustment)
        return process_images(p)
