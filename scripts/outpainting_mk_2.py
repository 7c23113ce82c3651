"""Outpainting mk2: the picture made larger on its sides, one after another, each new part beginning as noise that matches the picture.

The painting is the program's own: fields `outpaint_*` of the request. Here are A1111's arguments for it.
"""

import gradio as gr

import modules.scripts as scripts
from modules.processing import process_images

SIDES = ["left", "right", "up", "down"]
MOST_OVERLAP_PX = 256


class Script(scripts.Script):
    """Only on img2img."""

    def title(self):
        return "Outpainting mk2"

    def show(self, is_img2img):
        return is_img2img

    def ui(self, is_img2img):
        info = gr.HTML("<p>Works best with many steps (40 and more), an ancestral sampler and a denoising strength of 0.8 and more.</p>")
        pixels = gr.Slider(label="Pixels to expand", minimum=8, maximum=256, step=8, value=128, elem_id=self.elem_id("pixels"))
        mask_blur = gr.Slider(label="Mask blur", minimum=0, maximum=64, step=1, value=8, elem_id=self.elem_id("mask_blur"))
        direction = gr.CheckboxGroup(label="Outpainting direction", choices=SIDES, value=list(SIDES), elem_id=self.elem_id("direction"))
        noise_q = gr.Slider(
            label="Fall-off exponent (lower=higher detail)", minimum=0.0, maximum=4.0, step=0.01, value=1.0, elem_id=self.elem_id("noise_q")
        )
        color_variation = gr.Slider(
            label="Color variation", minimum=0.0, maximum=1.0, step=0.01, value=0.05, elem_id=self.elem_id("color_variation")
        )
        return [info, pixels, mask_blur, direction, noise_q, color_variation]

    def run(self, p, _, pixels, mask_blur, direction, noise_q, color_variation):
        for side in SIDES:
            setattr(p, f"outpaint_{side}", int(pixels) if side in chosen(direction) else 0)
        p.outpaint_begin, p.outpaint_in_turns = "matched noise", True
        p.outpaint_falloff, p.outpaint_color_variation = float(noise_q), float(color_variation)
        p.mask_blur = int(mask_blur)
        p.outpaint_overlap = min(2 * int(mask_blur), MOST_OVERLAP_PX)
        return process_images(p)


def chosen(direction):
    """The sides, as words. Raises ValueError for none and for words that are no side."""
    sides = [str(one).lower() for one in ([direction] if isinstance(direction, str) else direction or [])]
    if unknown := [one for one in sides if one not in SIDES]:
        raise ValueError(f"{unknown[0]!r} is no side; choose among {', '.join(SIDES)}")
    if not sides:
        raise ValueError("no side was chosen; choose left, right, up or down")
    return sides
