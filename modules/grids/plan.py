"""From what a grid is asked with to its cells: a request each, in the order in which they cost least.

Knows requests and axes; knows nothing about jobs or pictures. Start reading at `lay_out`, then `in_order`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from modules.faults import RequestFault
from modules.grids.asked import NAMES, TITLE, AxisAsked, GridAsked, GridOptions
from modules.grids.axes import find
from modules.grids.axis import Axis, Lists
from modules.grids.values import join_list
from modules.processing.resolve import MAX_SEED
from modules.request import GenerationRequest, ResolvedRequest
from modules.request.guests import AXES

MOST_CELLS = 1000
SEEDS = ("seed", "subseed")


@dataclass(frozen=True, kw_only=True)
class Along:
    """An axis of a grid. words: its values beside the grid; text: as typed, for the parameters text; fixed: seeds that were drawn."""

    axis: Axis
    values: tuple[Any, ...]
    text: str
    fixed: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.axis.words(value) for value in self.values)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """place: (column, row, grid) from 0; values: in words, of the axes that are not Nothing."""

    place: tuple[int, int, int]
    request: GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A grid with nothing left open but what resolving a cell closes. cells: x fastest, then y, then z."""

    tab: str
    base: GenerationRequest
    along: tuple[Along, Along, Along]
    options: GridOptions
    cells: tuple[Cell, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of columns, rows and grids."""
        x, y, z = (len(one.values) for one in self.along)
        return x, y, z

    @property
    def title(self) -> str:
        """What it is, in a line."""
        used = [f"{one.axis.label} ({len(one.values)})" for one in self.along if one.axis.kind != "none"]
        return f"{TITLE}: {' × '.join(used) or 'one picture'}"

    def infotext(self) -> dict[str, object]:
        """Keys of the grid's parameters text, A1111's."""
        found: dict[str, object] = {"Script": TITLE}
        for name, one in zip(NAMES, self.along, strict=True):
            if one.axis.kind == "none":
                continue
            found |= {f"{name.upper()} Type": one.axis.label, f"{name.upper()} Values": one.text}
            if one.fixed:
                found[f"Fixed {name.upper()} Values"] = join_list(one.values)
        return found


def lay_out(request: GenerationRequest, asked: GridAsked, lists: Lists, scripts: Sequence[Axis] = ()) -> Layout:
    """Every cell's request; random seeds are drawn here. scripts: axes that scripts brought.

    Raises RequestFault or UnknownName for the first thing that is wrong, before anything is made.
    """
    request = dataclasses.replace(request, script_name=None, script_args=[])
    if not asked.options.no_fixed_seeds:
        request = dataclasses.replace(request, seed=_drawn(request.seed), subseed=_drawn(request.subseed))
    x, y, z = (_along(one, name, request, asked.options, lists, scripts) for name, one in zip(NAMES, asked.axes, strict=True))
    count = len(x.values) * len(y.values) * len(z.values)
    if count > MOST_CELLS:
        raise RequestFault("axes", f"ask for {count} cells; the most is {MOST_CELLS}", allowed=MOST_CELLS)
    places = [(ix, iy, iz) for iz, iy, ix in itertools.product(range(len(z.values)), range(len(y.values)), range(len(x.values)))]
    cells = tuple(Cell(place=place, request=_request_of(request, (x, y, z), place, asked.options)) for place in places)
    return Layout(tab=request.task, base=request, along=(x, y, z), options=asked.options, cells=cells)


def _along(
    asked: AxisAsked, name: str, request: GenerationRequest, options: GridOptions, lists: Lists, scripts: Sequence[Axis]
) -> Along:  # fmt: skip
    try:
        axis = find(asked.type, request.task, scripts)
        values = axis.read(asked.values, asked.chosen, lists, typed=options.csv_mode)
    except RequestFault as fault:
        fault.extra["axis"] = name
        raise
    fixed = axis.name in SEEDS and not options.no_fixed_seeds
    if fixed:
        values = [_drawn(value) for value in values]
    text = asked.values if asked.values.strip() and (options.csv_mode or not asked.chosen) else join_list(asked.chosen)
    return Along(axis=axis, values=tuple(values), text=text.strip(), fixed=fixed)


def _request_of(base: GenerationRequest, along: Sequence[Along], place: tuple[int, int, int], options: GridOptions) -> GenerationRequest:
    request, own = base, list[Any]()
    for one, n in zip(along, place, strict=True):
        value = one.values[n]
        if one.axis.own:
            own.append([one.axis.label, value, list(one.values)])
        else:
            request = one.axis.apply(request, value, one.values)
    if own:
        request = dataclasses.replace(request, alwayson_scripts={**request.alwayson_scripts, AXES: {"args": own}})
    ticked = (options.vary_seeds_x, options.vary_seeds_y, options.vary_seeds_z)
    added, reach = 0, 1
    for one, n, on in zip(along, place, ticked, strict=True):
        if on:
            added, reach = added + n * reach, reach * len(one.values)
    return dataclasses.replace(request, seed=request.seed + added) if added and request.seed >= 0 else request


def _drawn(seed: int) -> int:
    return seed if seed >= 0 else random.randint(0, MAX_SEED)


# ---- What costs what ---------------------------------------------------------------------------------------------------


def in_order(cells: Sequence[ResolvedRequest], loaded: str | None = None) -> list[int]:
    """Numbers of the cells in the order of least cost: every checkpoint, refiner, VAE and LoRA once, equal prompts together.

    loaded: title of the model that is in memory; its cells go first. Otherwise what is named first comes first.
    """
    levels = [list(parts_of(cell)) for cell in cells]
    ranks: list[dict[Hashable, int]] = [{} for _ in range(len(levels[0]) if levels else 0)]
    for cell in sorted(cells, key=lambda c: c.checkpoint.title != loaded):
        for rank, part in zip(ranks, parts_of(cell), strict=True):
            rank.setdefault(part, len(rank))

    def key(n: int) -> tuple[int, ...]:
        model, second, *rest = (rank[part] for rank, part in zip(ranks, levels[n], strict=True))
        return model, -second if model % 2 else second, *rest, n  # there and back: the second model that is in memory goes on

    return sorted(range(len(cells)), key=key)


def parts_of(cell: ResolvedRequest) -> tuple[Hashable, ...]:
    """What must be got ready for a cell, the costliest first: its model, further models, VAE and parts, LoRAs, prompts."""
    hires, refiner = cell.hires, cell.refiner
    further = tuple(str(one.checkpoint.path) for one in (refiner, hires) if one is not None and one.checkpoint is not None)
    files = (*((part, file.path) for part, file in sorted(cell.parts.items())), cell.vae.path if cell.vae else "", bool(cell.tiny))
    networks = tuple(sorted((network.path, network.te, network.unet, str(network.rank)) for network in cell.networks))
    prompts = (cell.all_prompts, cell.all_negative_prompts, cell.settings.get("CLIP_stop_at_last_layers"))
    return cell.checkpoint.path, further, files, networks, prompts


def digest_of(resolved: ResolvedRequest) -> str:
    """The same for requests that give the very same pictures in the same place. A variation seed without strength does not count."""
    data = {name: value for name, value in vars(resolved).items() if name != "warnings"}
    if not resolved.subseed_strength:
        data["all_subseeds"] = ()
        if resolved.visit is not None:
            data["visit"] = dataclasses.replace(resolved.visit, asked={**resolved.visit.asked, "subseed": -1})
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=vars).encode()).hexdigest()[:40]


# ---- Reading a grid's parameters text ----------------------------------------------------------------------------------


def from_infotext(values: dict[str, str]) -> GridAsked | None:
    """The grid that a parsed parameters text tells of; None when it is not of one. Seeds that were drawn are taken as they were."""
    if values.get("Script", "").casefold() != TITLE.casefold():
        return None
    rows = [_told(values, name.upper()) for name in NAMES]
    return GridAsked.from_data({"axes": rows, "options": {}})


def _told(values: dict[str, str], name: str) -> dict[str, Any]:
    halves = [values.get(f"{name} Values-{n}") for n in (1, 2)]  # one value such as 64x64 was split as sizes are
    text = values.get(f"Fixed {name} Values") or values.get(f"{name} Values") or ("x".join(filter(None, halves)) if all(halves) else "")
    return {"type": values.get(f"{name} Type", "Nothing"), "values": text}
