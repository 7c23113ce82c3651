"""`steered`: one pipeline call with everything that was asked for set on its network, and taken back when it ends.

    with steered(pipeline, steering, context) as steer, composed(...), without_prompt_kept(...), steer.guiding():
        pipeline(...)

Start reading at `steered`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

from modules.faults import RequestFault
from modules.request import Steering
from modules.steering.blocks import Rows
from modules.steering.caches import CACHES, Cache
from modules.steering.caches.putting import cached
from modules.steering.course import Context, Course, minimum_sigma
from modules.steering.guard import Guard
from modules.steering.guiding import Guide
from modules.steering.merging import Grid, Merge, largest
from modules.steering.perturbed import Perturb, attentions
from modules.steering.seamless import circular
from modules.steering.table import freeu_values, is_tiling, merging_ratio, numbers, places, useless, works
from modules.steering.tiles import Tiles

NAME = "darkroom_{}"


@dataclass(kw_only=True)
class Steer:
    """What is set. notes: sentences for the result; complete when the call is over. infotext: keys that only the run itself knows.

    tiled: calls go through in tiles.
    """

    network: Any
    course: Course
    guide: Guide | None = None
    notes: list[str] = field(default_factory=list[str])
    infotext: dict[str, object] = field(default_factory=dict[str, object])
    tiled: bool = False

    @contextmanager
    def guiding(self) -> Iterator[None]:
        """The outer half of guidance, to be entered after all other hooks on the network. Nothing where none is needed."""
        with ExitStack() as stack:
            if self.guide is not None:
                _set(stack, self.network, self.guide, "guide")
            yield


@contextmanager
def steered(pipeline: Any, steering: Steering, context: Context, *, guard: bool = True) -> Iterator[Steer]:
    """Inside, calls of the pipeline's network go as asked. guard: look at each prediction for NaN and infinity.

    Raises RequestFault for layers that the model does not have; BlankPicture comes out of the call when float32 does not help.
    """
    network = getattr(pipeline, context.network)
    steer = Steer(network=network, course=Course(pipeline, steering, context))
    asked = _Asked(steering, context)
    told = {**context.settings, "s_min_uncond": minimum_sigma(context)}
    steer.notes += useless(steering, told, context.architecture, context.name, guided=context.guided, rows=context.rows)
    with ExitStack() as stack:
        if guard:
            _guard(stack, steer, context.name)
        _weights(stack, pipeline, steer, asked)
        _tiles(stack, steer, asked)
        _cache(stack, steer, asked)
        _rows(stack, steer, asked)
        if asked.follows or guard:
            _set(stack, network, _Begin(steer.course), "begin")
        yield steer


class _Asked:
    """What of the steering works with this model."""

    def __init__(self, steering: Steering, context: Context) -> None:
        self.steering = steering
        self.context = context

    def __call__(self, label: str) -> bool:
        return works(label, self.steering, self.context.settings, self.context.architecture)

    @property
    def guides(self) -> bool:
        """Guidance has to be computed here."""
        labels = ("CFG rescale", "The CFG schedule")
        return self.context.guided and (any(self(label) for label in labels) or self.leaves_out)

    @property
    def leaves_out(self) -> bool:
        """In some calls the prompt alone decides."""
        labels = ("Guidance start", "Guidance stop", "Skip Early CFG")
        return self.context.guided and (any(self(label) for label in labels) or minimum_sigma(self.context) > 0)

    @property
    def pulls(self) -> bool:
        return self("Perturbed-attention guidance") or self.skips

    @property
    def skips(self) -> bool:
        """Skip-layer guidance counts."""
        return self("Skip-layer guidance") and self.context.guided

    @property
    def follows(self) -> bool:
        """Something has to know which network call it is."""
        return self.guides or self.pulls or self.cache is not None

    @property
    def cache(self) -> Cache | None:
        """The step cache that works with this model in this run."""
        row = next((row for _, row in CACHES if self(row.title)), None)
        return None if row is None or (row.unguided and self.context.separate) else row


class _Begin(ModelHook):
    """Set on the network: counts its calls."""

    _is_stateful = False

    def __init__(self, course: Course) -> None:
        super().__init__()
        self._course = course

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self._course.begin()
        return args, kwargs


def _set(stack: ExitStack, module: Any, hook: ModelHook, name: str) -> None:
    """Set a hook, and take it away when the stack closes. diffusers takes hooks away well in the opposite order only."""
    registry = HookRegistry.check_if_exists_or_initialize(module)
    registry.register_hook(hook, NAME.format(name))
    stack.callback(registry.remove_hook, NAME.format(name), recurse=False)


def _guard(stack: ExitStack, steer: Steer, name: str) -> None:
    guard = Guard(steer.course, name)

    def end() -> None:
        guard.lower()
        steer.notes += [guard.note] if guard.note else []

    stack.callback(end)
    _set(stack, steer.network, guard, "guard")


def _weights(stack: ExitStack, pipeline: Any, steer: Steer, asked: _Asked) -> None:
    """FreeU, tiling and token merging."""
    steering, context = asked.steering, asked.context
    if asked("FreeU"):
        b1, b2, s1, s2 = freeu_values(steering, context.architecture)
        stack.callback(steer.network.disable_freeu)
        steer.network.enable_freeu(s1=s1, s2=s2, b1=b1, b2=b2)
    tiling = is_tiling(steering, context.settings)
    if tiling and asked("Tiling"):
        stack.enter_context(circular(steer.network, pipeline.vae))
        steer.infotext["Tiling"] = True
    ratio = merging_ratio(context.settings, context.stage, context.overrides)
    if ratio > 0 and asked("Token merging"):
        level, layers = largest(steer.network)
        grid = Grid(level, context.seeds)
        for layer in layers:
            _set(stack, layer, Merge(grid, ratio), "merge")
        _set(stack, steer.network, _Size(grid), "size")
        steer.infotext["Token merging ratio hr" if context.stage == "hires" else "Token merging ratio"] = ratio


def _tiles(stack: ExitStack, steer: Steer, asked: _Asked) -> None:
    """Around everything that works on what the network is asked about; what goes over the whole picture is not possible with it."""
    if not asked("Tiled diffusion"):
        return
    steering, context = asked.steering, asked.context
    if context.looked_at:
        steer.notes.append("Tiled diffusion had no effect: another picture's look needs the whole picture at once.")
        return
    if is_tiling(steering, context.settings):
        steer.notes.append("Tiled diffusion had no effect: Tiling needs the whole picture at once.")
        return
    _set(stack, steer.network, Tiles(steering.tile_px, steering.tile_overlap, told=context.controlled), "tiles")
    steer.tiled = True


class _Size(ModelHook):
    """Set on a UNet: tells the grid the size of what it is asked about."""

    _is_stateful = False

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self._grid = grid

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        self._grid.begin(args[0] if args else kwargs["sample"])
        return args, kwargs


def _cache(stack: ExitStack, steer: Steer, asked: _Asked) -> None:
    row = asked.cache
    if row is not None and steer.tiled:
        steer.notes.append(f"{row.title} had no effect: with tiled diffusion no two network calls are about the same place.")
    elif row is not None and row.whole_blocks and asked.skips:
        steer.notes.append(f"{row.title} had no effect: skip-layer guidance leaves out blocks too.")
    elif row is not None:
        stack.enter_context(cached(steer.network, row, asked.steering, steer.course))


def _rows(stack: ExitStack, steer: Steer, asked: _Asked) -> None:
    """The inner half of guidance; the outer one is entered by `Steer.guiding`."""
    steering, context = asked.steering, asked.context
    pag = steering.pag_scale if asked("Perturbed-attention guidance") else 0.0
    slg = (steering.slg_scale, numbers(steering.slg_layers)) if asked.skips else None
    if slg is not None:
        count = len(steer.network.transformer_blocks)
        if max(slg[1]) >= count:
            raise RequestFault("slg_layers", f"{context.name} has blocks 0 to {count - 1}", got=steering.slg_layers)
    if pag:
        for layer in attentions(steer.network, places(steering.pag_layers)):
            _set(stack, layer, Perturb(steer.course), "perturb")
    if pag or slg or asked.leaves_out:
        _set(stack, steer.network, Rows(steer.course, context, pag_scale=pag, slg=slg), "rows")
    if pag or slg or asked.guides:
        steer.guide = Guide(steer.course, context, steering.cfg_rescale if context.guided else 0.0)
