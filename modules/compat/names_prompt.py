"""A1111's modules about prompts and noise: prompt_parser, extra_networks, styles, rng. Start reading at `TABLE`.

Prompts become conditioning inside diffusers pipelines here, so what hands out LDM conditioning is refused with that reason.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from modules.compat import stand_in
from modules.prompts.attention import parse_attention
from modules.prompts.schedule import schedule, split_and
from modules.prompts.styles import Style, Styles

Views = Any  # modules.compat.views.Views; it imports this file

CONDITIONING = "prompts become conditioning inside the diffusers pipeline; on_cfg_denoiser and process_before_every_sampling see it"


class SdConditioning(list[Any]):
    """Prompts with the size they are for."""

    def __init__(
        self, prompts: Any, is_negative_prompt: bool = False, width: Any = None, height: Any = None, copy_from: Any = None
    ) -> None:
        super().__init__(prompts)
        source = prompts if copy_from is None else copy_from
        self.is_negative_prompt = is_negative_prompt or getattr(source, "is_negative_prompt", False)
        self.width = width or getattr(source, "width", None)
        self.height = height or getattr(source, "height", None)
        self.distilled_cfg_scale = getattr(source, "distilled_cfg_scale", None)


class ScheduledPromptConditioning(tuple[Any, ...]):
    """(end_at_step, cond)."""

    def __new__(cls, end_at_step: int, cond: Any) -> ScheduledPromptConditioning:
        return super().__new__(cls, (end_at_step, cond))

    end_at_step = property(lambda self: self[0])
    cond = property(lambda self: self[1])


class ComposableScheduledPromptConditioning:
    """Schedules of one part of an AND, with its weight."""

    def __init__(self, schedules: Any, weight: float = 1.0) -> None:
        self.schedules, self.weight = schedules, weight


class MulticondLearnedConditioning:
    """Everything of a batch: shape of the conditioning, and a list of parts a picture."""

    def __init__(self, shape: Any, batch: Any) -> None:
        self.shape, self.batch = shape, batch


def parse_prompt_attention(text: str) -> list[list[Any]]:
    """[[piece, weight], ...]; BREAK is ["BREAK", -1]."""
    return [["BREAK", -1] if piece.is_break else [piece.text, piece.weight] for piece in parse_attention(text)] or [["", 1.0]]


def prompt_schedules(
    prompts: Any, base_steps: int, hires_steps: int | None = None, use_old_scheduling: bool = False
) -> list[list[list[Any]]]:
    """Of each prompt [[until step, text], ...]. hires_steps: those of the second pass, when that is what is asked about."""
    steps, first = (hires_steps, base_steps) if hires_steps else (base_steps, None)
    return [[[part.until, part.text] for part in schedule(text, steps, first_pass=first, old=use_old_scheduling)] for text in prompts]


def multicond_list(prompts: Any) -> tuple[list[list[tuple[int, float]]], Any, dict[str, int]]:
    """(of each prompt its parts as (place in the flat list, weight), the flat list of different parts, part -> place)."""
    places: dict[str, int] = {}
    rows: list[list[tuple[int, float]]] = []
    for prompt in prompts:
        rows.append([(places.setdefault(part, len(places)), weight) for part, weight in split_and(prompt)])
    return rows, SdConditioning(list(places), copy_from=prompts), places


def prompt_parser(views: Views) -> dict[str, Any]:
    """The prompt language."""
    named = ("get_learned_conditioning", "get_multicond_learned_conditioning", "reconstruct_cond_batch", "reconstruct_multicond_batch",
             "stack_conds")  # fmt: skip
    return {
        "parse_prompt_attention": parse_prompt_attention,
        "get_learned_conditioning_prompt_schedules": prompt_schedules,
        "get_multicond_prompt_list": multicond_list,
        "SdConditioning": SdConditioning,
        "ScheduledPromptConditioning": ScheduledPromptConditioning,
        "ComposableScheduledPromptConditioning": ComposableScheduledPromptConditioning,
        "MulticondLearnedConditioning": MulticondLearnedConditioning,
        **{name: views.refusal(f"prompt_parser.{name}", CONDITIONING) for name in named},
    }


class StyleDatabase:
    """`shared.prompt_styles`: the styles of styles.csv. What is changed in `styles` lasts as long as the process."""

    def __init__(self, path: Path) -> None:
        self._sheet = Styles(path)
        self.path = str(path)
        self.all_styles_files = [Path(path)]
        self.no_style = SimpleNamespace(name="None", prompt="", negative_prompt="", path=None)
        self.styles: dict[str, Any] = {}
        self.reload()

    def reload(self) -> None:
        self.styles = {
            one.name: SimpleNamespace(name=one.name, prompt=one.prompt, negative_prompt=one.negative_prompt, path=self.path)
            for one in self._sheet.list()
        }

    def get_style_prompts(self, styles: list[str]) -> list[str]:
        return [self.styles.get(name, self.no_style).prompt for name in styles]

    def get_negative_style_prompts(self, styles: list[str]) -> list[str]:
        return [self.styles.get(name, self.no_style).negative_prompt for name in styles]

    def apply_styles_to_prompt(self, prompt: str, styles: list[str]) -> str:
        return self._sheet.apply(prompt, "", styles)[0]

    def apply_negative_styles_to_prompt(self, prompt: str, styles: list[str]) -> str:
        return self._sheet.apply("", prompt, styles)[1]

    def save_styles(self, path: Any = None) -> None:
        """Into styles.csv, with what a script changed."""
        for one in self.styles.values():
            self._sheet.save(Style(one.name, one.prompt or "", one.negative_prompt or ""))


def styles(views: Views) -> dict[str, Any]:
    """The sheet of styles."""
    return {"StyleDatabase": StyleDatabase, "PromptStyle": lambda name, prompt, negative_prompt, path=None: SimpleNamespace(
        name=name, prompt=prompt, negative_prompt=negative_prompt, path=path)}  # fmt: skip


def rng(views: Views) -> dict[str, Any]:
    """Noise as pictures of this program begin with. Tensors: in the worker only."""
    if not views.ways.worker:
        return dict.fromkeys(("ImageRNG", "randn", "randn_local", "randn_like", "randn_without_seed", "slerp"), stand_in.absent("noise"))
    from modules.compat.noise import names  # with torch

    return names(views)


def rng_philox(views: Views) -> dict[str, Any]:
    """The numbers of NVIDIA's generator."""

    class Generator:
        def __init__(self, seed: int) -> None:
            from modules.samplers.philox import PhiloxNormal

            self._numbers, self.seed = PhiloxNormal(seed), seed

        def randn(self, shape: Any) -> Any:
            """float32 array."""
            return self._numbers.draw(tuple(shape))

    return {"Generator": Generator}


TABLE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "modules.prompt_parser": prompt_parser,
    "modules.extra_networks": lambda views: views.tags.module(),
    "modules.styles": styles,
    "modules.rng": rng,
    "modules.rng_philox": rng_philox,
}
"""Name of a module -> what makes its names."""
