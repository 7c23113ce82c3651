"""Loopback: every picture becomes the picture to begin with for the next run, while the denoising strength moves along a curve."""

import math

import gradio as gr

import modules.scripts as scripts
from modules import images, processing
from modules.processing import Processed
from modules.shared import opts, state

CURVES = ("Aggressive", "Linear", "Lazy")


class Script(scripts.Script):
    """Only on img2img."""

    def title(self):
        return "Loopback"

    def show(self, is_img2img):
        return is_img2img

    def ui(self, is_img2img):
        loops = gr.Slider(minimum=1, maximum=32, step=1, label="Loops", value=4, elem_id=self.elem_id("loops"))
        final = gr.Slider(
            minimum=0, maximum=1, step=0.01, label="Final denoising strength", value=0.5, elem_id=self.elem_id("final_denoising_strength")
        )
        curve = gr.Dropdown(label="Denoising strength curve", choices=list(CURVES), value="Linear", elem_id=self.elem_id("denoising_curve"))
        append = gr.Dropdown(
            label="Append interrogated prompt at each iteration",
            choices=["None"],
            value="None",
            elem_id=self.elem_id("append_interrogation"),
        )
        return [loops, final, curve, append]

    def run(self, p, loops, final_denoising_strength, denoising_curve, append_interrogation):
        if append_interrogation not in (None, "", "None"):
            raise ValueError(f"appending a prompt by {append_interrogation} is not possible here")
        processing.fix_seed(p)
        loops, batch_count = max(1, int(loops)), int(p.n_iter)
        p.extra_generation_params = {
            **p.extra_generation_params,
            "Final denoising strength": final_denoising_strength,
            "Denoising curve": denoising_curve,
        }
        p.batch_size = p.n_iter = 1
        p.do_not_save_grid = True
        begun, first_strength, first_seed = p.init_images, p.denoising_strength, int(p.seed)
        state.job_count = loops * batch_count
        grids, shown, infotexts = [], [], []
        for n in range(batch_count):
            p.init_images, p.denoising_strength = begun, first_strength
            history = []
            for loop in range(loops):
                if state.interrupted or state.stopping_generation:
                    break
                p.n_iter = p.batch_size = 1
                p.seed = first_seed + n * loops + loop
                state.job = f"Iteration {loop + 1}/{loops}, batch {n + 1}/{batch_count}"
                p.denoising_strength = strength(loop, loops, first_strength, final_denoising_strength, denoising_curve)
                found = processing.process_images(p)
                if not found.images:
                    break
                p.init_images = [found.images[0]]
                history.append(found.images[0])
                infotexts += found.infotexts[:1]
            shown += history
            if len(history) > 1:
                grids.append(images.image_grid(history, rows=1))
        if opts.return_grid and grids:
            return Processed(
                p,
                [*grids, *shown],
                first_seed,
                infotexts[0],
                index_of_first_image=len(grids),
                infotexts=[*infotexts[:1] * len(grids), *infotexts],
            )
        return Processed(p, shown, first_seed, infotexts[0] if infotexts else "", infotexts=infotexts)


def strength(loop, loops, first, final, curve):
    """The denoising strength of a loop: the first one's at the beginning, the final one at the end."""
    if loops == 1:
        return first
    progress = loop / (loops - 1)
    if curve == "Aggressive":
        progress = math.sin(progress * math.pi / 2)
    elif curve == "Lazy":
        progress = 1 - math.cos(progress * math.pi / 2)
    return max(0.0, min(1.0, first + (final - first) * progress))
