"""`controlled`: a pipeline call with the answers of control networks added to its network's, step by step. Through diffusers' module hooks.

The hook stands next to the network, inside all others, so that it meets the very rows that are computed. Knows nothing about requests
and files. Start reading at `controlled`. Sources: arXiv:2302.05543; the steps at which a unit counts: diffusers' ControlNet pipelines;
what the modes mean: the well-known ControlNet extension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

from modules.control.networks import Asked, arguments, ask
from modules.control.residuals import INNER, Residuals, added, soft_weights, weighted
from modules.request.control import BALANCED, CONTROL
from modules.steering.blocks import inside
from modules.steering.tiles import WINDOW, Window

NAME = "darkroom_control"
MARK_NAME = "darkroom_control_rows"
MARK = "darkroom_prompt_rows"  # an argument that hooks pass on and cut like any other: (rows,), 1 for rows that ask about the prompt
Moment = Callable[[], tuple[float, float]]  # the share of the run that is done before the present step, and after it


@dataclass(kw_only=True)
class Unit:
    """One control network of a run. name: for sentences; net: on the CPU; shown: what it sees, as `networks.ask` takes it; kind: as there.

    start, end: shares of the run; mode: one of CONTROL_MODES; layers: factors in place of the mode's; region: (1, 1, H, W), 0 to 1.
    low_vram: on the device only while it is asked.
    """

    name: str
    net: Any
    shown: torch.Tensor
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: str = BALANCED
    layers: Sequence[float] | None = None
    region: torch.Tensor | None = None
    kind: int | None = None
    low_vram: bool = False
    kept: dict[tuple[int, Window | None], Residuals] = field(default_factory=dict[tuple[int, Window | None], Residuals])

    def answer(self, asked: Asked, prompts: torch.Tensor | None, grid: tuple[int, int], window: Window | None = None) -> Residuals:
        """What it adds in this call. prompts: (rows,), 1 where the prompt is asked about; None where that is not known.

        window: the tile of the latent that the call is about; it sees the same part of its picture.
        """
        found = self.kept.get((asked.rows, window))
        if found is None:
            found = self._asked(asked, self.shown if window is None else window.cut(self.shown))
            if INNER in found:  # a T2I-Adapter looks at the picture alone
                self.kept[asked.rows, window] = found
        layers = self.layers
        if layers is None and self.mode != BALANCED:
            layers = soft_weights(sum(len(tensors) for tensors in found.values()))
        rows = prompts if self.mode == CONTROL else None
        region = self.region if window is None or self.region is None else window.cut(self.region)
        return weighted(found, self.weight, layers, region=region, grid=grid, rows=rows)

    def _asked(self, asked: Asked, shown: torch.Tensor) -> Residuals:
        self.net.to(asked.sample.device)
        found = ask(self.net, asked, shown, self.kind)
        if self.low_vram:
            self.net.to("cpu")
        return found


def counts(start: float, end: float, moment: tuple[float, float]) -> bool:
    """Does a unit of these shares count in the step that begins and ends at these? Source: `controlnet_keep` of diffusers' pipelines."""
    return not (moment[0] < start or moment[1] > end)


@dataclass(kw_only=True)
class Course:
    """One run. moment: see `Moment`; pictures: of the batch; cells: (h, w) of its latents.

    separate: prompt and negative prompt have calls of their own, the prompt's first. begun(moment): told of each call.
    prompts: of the call under way, see `Unit.answer`.
    """

    moment: Moment
    pictures: int
    cells: tuple[int, int]
    separate: bool = False
    begun: Callable[[tuple[float, float]], None] = lambda moment: None
    prompts: torch.Tensor | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) of a transformer's tokens, 2x2 cells each."""
        return self.cells[0] // 2, self.cells[1] // 2


class _Controlled(ModelHook):
    """Set on the network."""

    _is_stateful = False

    def __init__(self, units: Sequence[Unit], course: Course) -> None:
        super().__init__()
        self._units = units
        self._course = course
        self._steps: dict[Window | None, tuple[tuple[float, float], torch.Tensor, list[tuple[Unit, Residuals]]]] = {}

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """With what the units add, where they count in this step."""
        told = dict(kwargs)
        course = self._course
        course.prompts = told.pop(MARK, None)
        window: Window | None = told.pop(WINDOW, None)
        moment = course.moment()
        course.begun(moment)
        units = [unit for unit in self._units if unit.weight and counts(unit.start, unit.end, moment)]
        if units:
            told |= arguments(self._together(Asked.of(module, args, told, course.pictures), units, moment, window), module)
        return inside(self)(*args, **told)

    def _together(self, asked: Asked, units: list[Unit], moment: tuple[float, float], window: Window | None) -> Residuals:
        """The sum of all. The negative prompt's own call is given what the prompt's was, as diffusers does."""
        text, known = asked.told["encoder_hidden_states"], self._steps.get(window)
        if self._course.separate and known is not None and known[0] == moment and known[1] is not text:
            answers = [(unit, found) for unit, found in known[2] if unit.mode != CONTROL]
        else:
            answers = [(unit, unit.answer(asked, self._course.prompts, self._course.grid, window)) for unit in units]
            if self._course.separate:
                self._steps[window] = (moment, text, answers)
        total: Residuals = {}
        for _, found in answers:
            total = added(total, found)
        return total


class _Mark(ModelHook):
    """Set outside the hooks that change the rows of a call: says which of them ask about the prompt. rows: in the pipeline's order."""

    _is_stateful = False

    def __init__(self, rows: Sequence[str]) -> None:
        super().__init__()
        self._rows = rows

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        text = kwargs["encoder_hidden_states"]
        size = len(text) // len(self._rows)
        marks = torch.tensor([float(row == "prompt") for row in self._rows], device=text.device).repeat_interleave(size)
        return args, {**kwargs, MARK: marks}


@contextmanager
def controlled(network: Any, units: Sequence[Unit], course: Course) -> Iterator[None]:
    """Inside, calls of the network have what the units add. To be entered before all other hooks that change rows.

    Also takes away the marks of `marked`. Afterwards the control networks lie in main memory again.
    """
    registry = HookRegistry.check_if_exists_or_initialize(network)
    registry.register_hook(_Controlled(units, course), NAME)
    try:
        yield
    finally:
        registry.remove_hook(NAME, recurse=False)
        for unit in units:
            unit.net.to("cpu")


@contextmanager
def marked(network: Any, rows: Sequence[str] | None) -> Iterator[None]:
    """Inside, each row of a call is marked. rows: what equal shares of them ask about ("prompt", "negative"); None: no marks.

    Only together with `controlled`. To be entered after all hooks that change rows.
    """
    if rows is None:
        yield
        return
    registry = HookRegistry.check_if_exists_or_initialize(network)
    registry.register_hook(_Mark(rows), MARK_NAME)
    try:
        yield
    finally:
        registry.remove_hook(MARK_NAME, recurse=False)
