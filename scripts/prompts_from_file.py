"""Prompts from file or textbox: one run for each line; a line may hold a prompt, or flags such as --steps 30 --prompt "a fox"."""

import copy
import shlex

import gradio as gr

import modules.scripts as scripts
from modules import errors, sd_samplers
from modules.processing import Processed, process_many
from modules.shared import state


def _number(text):
    return float(text) if "." in text else int(text)


def _flag(text):
    if text.strip().lower() in ("true", "1", "yes", "on"):
        return True
    if text.strip().lower() in ("false", "0", "no", "off"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


TAGS = {
    "sd_model": None, "outpath_samples": str, "outpath_grids": str, "prompt_for_display": str, "prompt": str, "negative_prompt": str,
    "styles": lambda text: [name.strip() for name in text.split(",") if name.strip()], "seed": int, "subseed_strength": float,
    "subseed": int, "seed_resize_from_h": int, "seed_resize_from_w": int, "sampler_index": int, "sampler_name": str, "scheduler": str,
    "batch_size": int, "n_iter": int, "steps": int, "cfg_scale": float, "width": int, "height": int, "restore_faces": _flag,
    "tiling": _flag, "do_not_save_samples": _flag, "do_not_save_grid": _flag,
}  # fmt: skip


def parse(line):
    """The values of a line of flags. Raises ValueError for a flag that is not known or lacks its value."""
    words = shlex.split(line)
    found = {}
    while words:
        name = words.pop(0)
        if not name.startswith("--") or name[2:] not in TAGS:
            raise ValueError(f"unknown flag {name}")
        name = name[2:]
        if name in ("prompt", "negative_prompt"):  # several words without quotation marks
            text = []
            while words and not words[0].startswith("--"):
                text.append(words.pop(0))
            found[name] = " ".join(text)
            continue
        if not words:
            raise ValueError(f"--{name} needs a value")
        value = words.pop(0)
        found[name] = value if name == "sd_model" else TAGS[name](value)
    return found


class Script(scripts.Script):
    """One run after another, all their pictures together."""

    def title(self):
        return "Prompts from file or textbox"

    def ui(self, is_img2img):
        iterate = gr.Checkbox(label="Iterate seed every line", value=False, elem_id=self.elem_id("checkbox_iterate"))
        batch = gr.Checkbox(label="Use same random seed for all lines", value=False, elem_id=self.elem_id("checkbox_iterate_batch"))
        position = gr.Radio(["start", "end"], label="Insert prompts at the", elem_id=self.elem_id("prompt_position"), value="start")
        text = gr.Textbox(label="List of prompt inputs", lines=4, elem_id=self.elem_id("prompt_txt"))
        return [iterate, batch, position, text]

    def run(self, p, checkbox_iterate, checkbox_iterate_batch, prompt_position, prompt_txt):
        lines = [line for line in (line.strip() for line in str(prompt_txt).splitlines()) if line]
        jobs = [self._job(line) for line in lines]
        p.do_not_save_grid = True
        state.job_count = sum(int(job.get("n_iter", p.n_iter)) for job in jobs)
        iterate = checkbox_iterate or (p.asked_seed == -1 and not checkbox_iterate_batch)  # no seed was asked for: each line has its own
        images, prompts, infotexts = [], [], []
        for found in process_many(self._runs(p, jobs, prompt_position, iterate=iterate)):
            images += found.images
            prompts += found.all_prompts
            infotexts += found.infotexts
        return Processed(p, images, p.seed, "", all_prompts=prompts, infotexts=infotexts)

    def _runs(self, p, jobs, position, *, iterate):
        """A p for each line."""
        seed = int(p.seed)
        for number, job in enumerate(jobs):
            state.job = f"{number + 1} out of {len(jobs)}"
            own = copy.copy(p)
            own.override_settings = dict(p.override_settings)
            own.seed = seed
            self._apply(own, job, position)
            yield own
            if iterate:
                seed += own.batch_size * own.n_iter

    @staticmethod
    def _job(line):
        if "--" not in line:
            return {"prompt": line}
        try:
            return parse(line)
        except ValueError as error:
            errors.report(f"the line {line!r} was taken as a prompt: {error}")
            return {"prompt": line}

    @staticmethod
    def _apply(p, job, position):
        prompt, negative = p.prompt, p.negative_prompt
        for name, value in job.items():
            if name == "sd_model":
                p.override_settings["sd_model_checkpoint"] = value
            elif name == "sampler_index":
                p.sampler_name = sd_samplers.samplers[value].name
            elif name == "sampler_name":
                p.sampler_name = sd_samplers.samplers_map.get(value.lower(), value)
            else:
                setattr(p, name, value)
        for name, base in (("prompt", prompt), ("negative_prompt", negative)):
            if job.get(name) and base:
                pair = (job[name], base) if position == "start" else (base, job[name])
                setattr(p, name, " ".join(pair))
