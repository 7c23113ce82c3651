"""The pieces that the forms of txt2img and img2img are built from: prompts, sampler, size, seed, and the parts that unfold.

Knows layout and which fields stand together; knows nothing about runs. Start reading at `Pieces`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.knobs import knobs_of
from modules.request import Sampling
from modules.web.controls import Controls
from modules.web.events import BROWSER, js
from modules.web.form import start_of
from modules.web.form_fields import STYLE, Form
from modules.web.tabs import canvases

NUMBER = {"min_width": 100}
UNSET = "default"


class Pieces:
    """Makes the controls of one form where its methods are called. placed: name -> component, of everything made so far."""

    def __init__(self, controls: Controls, form: Form) -> None:
        self._controls = controls
        self._form = form
        self._tab = form.tab
        self.placed: dict[str, Component] = {}

    def make(self, name: str, *, value: Any = None, **options: Any) -> Component:
        """The control of a field of the form."""
        start = self._form.starts.get(name) if value is None else value
        self.placed[name] = self._controls.make(self._form.fields[name], value=start, **options)
        return self.placed[name]

    def several(self, names: Iterable[str], **options: Any) -> None:
        """The controls of these fields, one after another."""
        for name in names:
            self.make(name, **options)

    def tool(self, name: str, text: str, icon: str = "") -> gr.Button:
        """A small button that shows an icon (from the style sheet) and is named by its text."""
        classes = ["tool", f"icon-{(icon or name).replace('_', '-')}"]
        return gr.Button(text, elem_id=f"{self._tab}_{name}", elem_classes=classes, size="sm", min_width=34, scale=0)

    def prompt(self, name: str, lines: int, placeholder: str) -> None:
        """A prompt box without a label; its placeholder says what it is."""
        self.make(name, lines=lines, max_lines=12, placeholder=placeholder, container=False, show_label=False)

    def sampler(self) -> None:
        """Sampler, schedule, steps."""
        with gr.Row(elem_classes=["dr-pair"]):
            self.make("sampler_name", min_width=120)
            self.make("scheduler", min_width=120)
        self.make("steps")

    def sides(self, native_px: int) -> None:
        """Width and height, and between them and what follows the button that swaps them."""
        with gr.Column(elem_id=f"{self._tab}_column_size", elem_classes=["dr-sides"], min_width=200):
            self.make("width", value=native_px)
            self.make("height", value=native_px)
        swap = self.tool("res_switch_btn", "Swap width and height", "res-switch-btn")
        sides = [self.placed["width"], self.placed["height"]]
        swap.click(**BROWSER, js="(w, h) => [h, w]", inputs=sides, outputs=sides)

    def counts(self) -> None:
        """Batch count and batch size."""
        with gr.Column(elem_id=f"{self._tab}_column_batch", min_width=160):
            self.make("n_iter")
            self.make("batch_size")

    def seed(self) -> None:
        """Seed with its buttons, and the variation of it behind "Extra"."""
        with gr.Column(elem_id=f"{self._tab}_seed_part", elem_classes=["dr-part", "dr-plain"]):
            with gr.Row(elem_id=f"{self._tab}_seed_row", elem_classes=["dr-seed"]):
                self.make("seed", min_width=100)
                self._seed_tools("seed", "random_seed", "reuse_seed", "seed")
                self.make("subseed_show", min_width=60, scale=0, container=False, elem_classes=["dr-switch"])
            with gr.Column(elem_classes=["dr-inside"]):
                with gr.Row(elem_classes=["dr-seed"]):
                    self.make("subseed", min_width=100)
                    self._seed_tools("subseed", "random_subseed", "reuse_subseed", "variation seed")
                self.make("subseed_strength")
                with gr.Row(elem_classes=["dr-pair"]):
                    self.make("seed_resize_from_w", min_width=120)
                    self.make("seed_resize_from_h", min_width=120)

    def _seed_tools(self, name: str, random_id: str, reuse_id: str, what: str) -> None:
        box = self.placed[name]
        self.tool(random_id, f"Random {what} each time", "random-seed").click(**BROWSER, js="() => '-1'", outputs=box)
        reuse = self.tool(reuse_id, f"Use the {what} of the picture shown", "reuse-seed")
        reuse.click(**BROWSER, js=js("shownSeed", self._tab, name), inputs=box, outputs=box)

    @contextmanager
    def part(self, switch: str, elem: str, note: str = "") -> Iterator[None]:
        """A part of the form that unfolds when its box is ticked. elem: its id behind the tab's name; note: id of a line beside the box."""
        with gr.Column(elem_id=f"{self._tab}_{elem}", elem_classes=["dr-part"]):
            with gr.Row(elem_classes=["dr-part-head"]):
                self.make(switch, elem_id=f"{self._tab}_{elem}-checkbox", container=False, min_width=100, elem_classes=["dr-switch"])
                if note:
                    gr.HTML("", apply_default_css=False, elem_id=f"{self._tab}_{note}", elem_classes=["dr-note"])
            with gr.Column(elem_classes=["dr-inside"]):
                yield

    def hires(self) -> None:
        """The second, larger pass."""
        with self.part("enable_hr", "hr", "hr_finalres"):
            with gr.Row(elem_classes=["dr-pair"]):
                self.make("hr_upscaler", min_width=120)
                self.make("denoising_strength", min_width=120)
            with gr.Row(elem_classes=["dr-pair"]):
                self.make("hr_scale", min_width=120)
                self.make("hr_second_pass_steps", min_width=120)
            with gr.Row(elem_classes=["dr-pair"]):
                self.make("hr_resize_x", min_width=120)
                self.make("hr_resize_y", min_width=120)
            with gr.Accordion(
                "Model, sampler and prompts of this pass", open=False, elem_id=f"{self._tab}_hr_more", elem_classes=["dr-fold"]
            ):
                with gr.Row(elem_classes=["dr-pair"]):
                    self.make("hr_checkpoint_name", min_width=120)
                    self.make("hr_cfg", placeholder="as the first pass", **NUMBER)
                with gr.Row(elem_classes=["dr-pair"]):
                    self.make("hr_sampler_name", min_width=120)
                    self.make("hr_scheduler", min_width=120)
                self.make("hr_prompt", lines=2, max_lines=12, placeholder="Empty: the prompt above")
                self.make("hr_negative_prompt", lines=2, max_lines=12, placeholder="Empty: the negative prompt above")

    def refiner(self) -> None:
        """Another checkpoint for the last steps."""
        with self.part("use_refiner", "enable"), gr.Row(elem_classes=["dr-pair"]):
            self.make("refiner_checkpoint", min_width=120, label="Checkpoint")
            self.make("refiner_switch_at", min_width=120)

    def style(self) -> None:
        """A picture whose look is taken over, and how much of it."""
        with gr.Accordion("Style", open=False, elem_id=f"{self._tab}_style", elem_classes=["dr-fold", "dr-style"]):
            gr.HTML(canvases.style(self._tab), apply_default_css=False, elem_id=f"{self._tab}_style_canvas")
            for pair in (STYLE[:2], STYLE[2:]):
                with gr.Row(elem_classes=["dr-pair"]):
                    self.several(pair, min_width=120)

    def control(self) -> None:
        """The ControlNet units; the page's script draws them when this is opened."""
        with gr.Accordion("ControlNet", open=False, elem_id=f"{self._tab}_controlnet", elem_classes=["dr-fold", "dr-control"]):
            gr.HTML(canvases.control(self._tab), apply_default_css=False, elem_id=f"{self._tab}_controlnet_units")

    def advanced(self) -> None:
        """What a sampler is told, and what is done to the model's predictions: the fields as they are declared, alike ones together."""
        names = self._form.advanced
        with gr.Accordion("Advanced", open=False, elem_id=f"{self._tab}_advanced", elem_classes=["dr-fold", "dr-advanced"]):
            for group in groups(names):
                with gr.Row(elem_classes=["dr-group"]):
                    for name in group:
                        blank = self._form.fields[name].default is None and self._form.fields[name].kind is float
                        self.make(name, **({"placeholder": UNSET} if blank else {}), **NUMBER)
            reset = gr.Button("All of these as they were", elem_id=f"{self._tab}_advanced_reset", size="sm", elem_classes=["dr-reset"])
        starts = [start_of(self._form, name) for name in names]
        reset.click(**BROWSER, js=js("given", starts), outputs=[self.placed[name] for name in names])

    def overrides(self) -> None:
        """Settings for this run alone; the style sheet hides it while there are none."""
        self.make("override_settings", elem_classes=["dr-overrides"])


def groups(names: Iterable[str]) -> list[list[str]]:
    """Names beside those that begin with the same word ("freeu_b1", "freeu_b2"); the sampler's stay together."""
    sampling = knobs_of(Sampling)
    found: dict[str, list[str]] = {}
    for name in names:
        word = "sampling" if name in sampling else name.partition("_")[0]
        found.setdefault(word, []).append(name)
    alone = [group[0] for group in found.values() if len(group) == 1]
    return [*(group for group in found.values() if len(group) > 1), *([alone] if alone else [])]
