"""A grid as its job row holds it, and a cell with what became of it. Plain data.

Start reading at `GridRow`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from modules.faults import RequestFault
from modules.grids.asked import GridOptions

GRID = "grid"  # the kind of job that gathers the cells


@dataclass(frozen=True, kw_only=True)
class AxisRow:
    """An axis that was used or not. words: its values beside the grid; values: as text."""

    label: str
    used: bool
    words: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CellRow:
    """place: column, row, grid, from 0; job: that makes it or made it; made: it was there before the grid was asked for."""

    place: tuple[int, int, int]
    job: str
    made: bool = False


@dataclass(frozen=True, kw_only=True)
class GridRow:
    """A grid. tab: "txt2img" or "img2img"; infotext: the keys of its parameters text; cells: x fastest, then y, then z."""

    tab: str
    axes: tuple[AxisRow, ...]
    options: GridOptions
    infotext: dict[str, Any]
    cells: tuple[CellRow, ...]
    estimate: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of columns, rows and grids."""
        x, y, z = (len(axis.words) for axis in self.axes)
        return x, y, z

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """From the row of a job. Raises RequestFault when it was written by a version with other fields."""
        try:
            axes = tuple(
                AxisRow(label=row["label"], used=row["used"], words=tuple(row["words"]), values=tuple(row["values"]))
                for row in data["axes"]
            )
            cells = tuple(CellRow(place=tuple(row["place"]), job=row["job"], made=row["made"]) for row in data["cells"])
            rest = {name: data[name] for name in ("tab", "infotext", "estimate")}
            return cls(axes=axes, cells=cells, options=GridOptions(**data["options"]), **rest)
        except (KeyError, TypeError) as error:
            raise RequestFault("grid", f"was written by another version of the program: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What became of a cell. pictures: plain data of `Picture`; seconds: the whole job's; fault: why not, in a sentence."""

    state: str = "unknown"
    pictures: tuple[dict[str, Any], ...] = ()
    seconds: float | None = None
    fault: str = ""

    @classmethod
    def of(cls, told: Mapping[str, Any] | None) -> Self:
        """From `Jobs.states`."""
        if told is None:
            return cls()
        seconds = told["seconds"].get("total") if isinstance(told["seconds"], dict) else None
        fault = (told["fault"] or {}).get("message", "")
        return cls(state=told["state"], pictures=tuple(told["pictures"]), seconds=seconds, fault=str(fault))

    @property
    def picture(self) -> dict[str, Any] | None:
        """The one that stands for the cell: a grid of several, else the first."""
        return next((one for one in self.pictures if one.get("kind") in ("grid", "sample", "partial")), None)
