"""What a grid is asked with: three axes as they were typed, and how the grid is made and drawn. Plain data.

Names and order follow A1111's script arguments. Start reading at `GridAsked`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from modules.faults import RequestFault
from modules.knobs import Knob, coerce, knobs_of

TITLE = "X/Y/Z plot"
NAMES = ("x", "y", "z")
NOTHING = "Nothing"


def names_grid(script_name: str | None) -> bool:
    """The name of a selected script is that of A1111's script for grids, in any case."""
    return str(script_name or "").strip().casefold() == TITLE.casefold()


@dataclass(frozen=True, kw_only=True)
class AxisAsked:
    """One axis. type: its label, the name of a field, or its place in A1111's list of the tab. values: text in A1111's syntax.

    chosen: entries of the axis' list; they count for axes that have one, unless csv_mode is on or there are none.
    """

    type: int | str = NOTHING
    values: str = ""
    chosen: tuple[str, ...] = ()

    @classmethod
    def from_data(cls, data: Any, where: str) -> Self:
        """Raises RequestFault naming where."""
        if not isinstance(data, Mapping):
            raise RequestFault(where, "must be an object with type and values", got=data)
        kind, values, chosen = data.get("type", NOTHING), data.get("values", ""), data.get("chosen") or ()
        if isinstance(kind, bool) or not isinstance(kind, int | str) or len(str(kind)) > 200:
            raise RequestFault(f"{where}.type", "must be the name of an axis, or its place in the list", got=kind)
        if isinstance(values, list | tuple):
            values, chosen = "", values
        if isinstance(values, int | float) and not isinstance(values, bool):
            values = str(values)
        if not isinstance(values, str):
            raise RequestFault(f"{where}.values", "must be text, or a list of values", got=values)
        if not isinstance(chosen, list | tuple) or not all(isinstance(v, str | int | float | bool) for v in chosen):
            raise RequestFault(f"{where}.chosen", "must be a list of values", got=chosen)
        return cls(type=kind, values=values, chosen=tuple(str(value) for value in chosen))


@dataclass(frozen=True, kw_only=True)
class GridOptions:
    """How the cells are made and the grid is drawn: A1111's names and starts, then our own."""

    draw_legend: Annotated[bool, Knob("Draw legend", help="Writes the values beside rows and columns.")] = True
    include_lone_images: Annotated[bool, Knob("Include Sub Images", help="Shows the single pictures after the grid.")] = False
    include_sub_grids: Annotated[bool, Knob("Include Sub Grids", help="Makes a grid of its own for each Z value, too.")] = False
    no_fixed_seeds: Annotated[bool, Knob("Keep -1 for seeds", help="Every cell draws a random seed of its own.")] = False
    vary_seeds_x: Annotated[bool, Knob("Vary seeds for X", help="Another seed for each column.")] = False
    vary_seeds_y: Annotated[bool, Knob("Vary seeds for Y", help="Another seed for each row.")] = False
    vary_seeds_z: Annotated[bool, Knob("Vary seeds for Z", help="Another seed for each Z value.")] = False
    margin_size: Annotated[int, Knob("Grid margins (px)", 0, 500, step=2, help="Space between the pictures.")] = 0
    csv_mode: Annotated[bool, Knob("Use text inputs instead of dropdowns", help="Values of lists are typed.")] = False
    reuse: Annotated[bool, Knob("Take pictures that are there", help="A cell that was made with the very same values is kept.")] = True
    report: Annotated[bool, Knob("Write a report", help="A table (CSV) and a page (HTML) beside the saved grid.")] = True

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Unknown names are ignored. Raises RequestFault."""
        knobs = knobs_of(cls)
        return cls(**{name: coerce(knobs[name], value) for name, value in data.items() if name in knobs and value is not None})


SCRIPT_OPTIONS = tuple(name for name in knobs_of(GridOptions) if name not in ("reuse", "report"))  # A1111's, in its order
_OLD_OPTIONS = {name for name in SCRIPT_OPTIONS if name.startswith("vary_seeds")}  # not there up to A1111 1.6


@dataclass(frozen=True, kw_only=True)
class GridAsked:
    """Three axes, X, Y and Z, and the options."""

    axes: tuple[AxisAsked, AxisAsked, AxisAsked] = (AxisAsked(), AxisAsked(), AxisAsked())
    options: GridOptions = field(default_factory=GridOptions)

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """From {"axes": [{"type", "values", "chosen"}, ...], "options": {...}}, axes left out being Nothing. Raises RequestFault."""
        if not isinstance(data, Mapping):
            raise RequestFault("grid", "must be an object with axes and options", got=data)
        rows, options = data.get("axes") or [], data.get("options") or {}
        if not isinstance(rows, list | tuple) or len(rows) > len(NAMES):
            raise RequestFault("axes", f"must be a list of at most {len(NAMES)}", got=rows)
        if not isinstance(options, Mapping):
            raise RequestFault("options", "must be an object", got=options)
        given = [AxisAsked.from_data(row, f"axes[{n}]") for n, row in enumerate(rows)]
        x, y, z = [*given, *[AxisAsked()] * (len(NAMES) - len(given))]
        return cls(axes=(x, y, z), options=GridOptions.from_data(options))

    @classmethod
    def from_script_args(cls, args: Sequence[Any]) -> Self:
        """From A1111's positional arguments; shorter lists keep the starts, those of A1111 up to 1.6 have no vary_seeds.

        Raises RequestFault.
        """
        rows: list[dict[str, Any]] = []
        first = args[:9]
        paired = len(args) > 2 and isinstance(args[2], int) and not isinstance(args[2], bool)  # before there were dropdowns
        width = 2 if paired else 3
        for place in range(0, min(len(args), 3 * width), width):
            part = list(first[place : place + width])
            row: dict[str, Any] = {"type": 0 if part[0] is None else part[0], "values": part[1] if len(part) > 1 and part[1] else ""}
            row["chosen"] = [v for v in part[2] if v is not None] if len(part) > 2 and isinstance(part[2], list | tuple) else []
            rows.append(row)
        left = list(args[3 * width :])
        names = SCRIPT_OPTIONS if not _is_old(left) else tuple(n for n in SCRIPT_OPTIONS if n not in _OLD_OPTIONS)
        return cls.from_data({"axes": rows, "options": dict(zip(names, left, strict=False))})

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _is_old(options: Sequence[Any]) -> bool:
    """The margin stands right behind the first four switches, where a switch has been since A1111 1.7."""
    return len(options) > 4 and isinstance(options[4], int | float) and not isinstance(options[4], bool) and options[4] > 1
