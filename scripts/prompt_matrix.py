"""Prompt matrix: a prompt whose parts stand between "|"; one picture for each choice of the parts behind the first."""

import math

import gradio as gr

import modules.scripts as scripts
from modules import images
from modules.processing import fix_seed, process_images
from modules.shared import opts, state

POSITIVE, NEGATIVE = "positive", "negative"
DELIMITERS = {"comma": ", ", "space": " "}


class Script(scripts.Script):
    """All choices of parts, as one grid with the parts written beside it."""

    def title(self):
        return "Prompt matrix"

    def ui(self, is_img2img):
        gr.HTML("<br />")
        with gr.Row():
            with gr.Column():
                put_at_start = gr.Checkbox(label="Put variable parts at start of prompt", value=False, elem_id=self.elem_id("put_at_start"))
                different_seeds = gr.Checkbox(
                    label="Use different seed for each picture", value=False, elem_id=self.elem_id("different_seeds")
                )
            with gr.Column():
                prompt_type = gr.Radio([POSITIVE, NEGATIVE], label="Select prompt", value=POSITIVE, elem_id=self.elem_id("prompt_type"))
                delimiter = gr.Radio(
                    list(DELIMITERS), label="Select joining char", value="comma", elem_id=self.elem_id("variations_delimiter")
                )
            with gr.Column():
                margin_size = gr.Slider(
                    label="Grid margins (px)", minimum=0, maximum=500, value=0, step=2, elem_id=self.elem_id("margin_size")
                )
        return [put_at_start, different_seeds, prompt_type, delimiter, margin_size]

    def run(self, p, put_at_start, different_seeds, prompt_type, variations_delimiter, margin_size):
        if prompt_type not in (POSITIVE, NEGATIVE):
            raise ValueError(f"unknown prompt type {prompt_type!r}")
        fix_seed(p)
        asked = p.prompt if prompt_type == POSITIVE else p.negative_prompt
        original = asked[0] if isinstance(asked, list) else asked
        texts = matrix(original, DELIMITERS.get(variations_delimiter, ", "), first=put_at_start)
        p.n_iter = math.ceil(len(texts) / p.batch_size)
        spare = p.n_iter * p.batch_size - len(texts)
        p.do_not_save_grid = True
        state.job_count = p.n_iter
        told = [*texts, *texts[:1] * spare]  # the last batch is filled up; what is too much is not shown
        if prompt_type == POSITIVE:
            p.prompt = told
        else:
            p.negative_prompt = told
        seed = p.seed[0] if isinstance(p.seed, list) else int(p.seed)
        p.seed = [seed + (n if different_seeds else 0) for n in range(len(told))]
        p.prompt_for_display = original
        processed = process_images(p)
        processed.images, processed.infotexts = processed.images[: len(texts)], processed.infotexts[: len(texts)]
        if len(processed.images) < len(texts):  # stopped before the end
            return processed
        cell = processed.images[0]
        grid = images.image_grid(processed.images, p.batch_size, rows=1 << ((len(original.split("|")) - 1) // 2))
        parts = [part.strip() for part in original.split("|")]
        grid = images.draw_prompt_matrix(grid, cell.width, cell.height, parts, margin_size)
        processed.images.insert(0, grid)
        processed.index_of_first_image = 1
        processed.infotexts.insert(0, processed.infotexts[0])
        if opts.grid_save:
            images.save_image(grid, p.outpath_grids, "prompt_matrix", prompt=original, seed=seed, grid=True, p=p)
        return processed


def matrix(prompt, delimiter, *, first=False):
    """Every choice of the parts behind the first, from none to all; bit n of the number says whether part n is there."""
    head, *parts = (part.strip() for part in prompt.split("|"))
    found = []
    for number in range(1 << len(parts)):
        chosen = [part for n, part in enumerate(parts) if number & (1 << n)]
        found.append(delimiter.join([*chosen, head] if first else [head, *chosen]))
    return found
