"""The measures of a grid: where each cell lies, how much room words need, and into how many files it is cut.

Arithmetic only. Start reading at `Frame`, then `sheets_of`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

MEGA = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A grid, or a part of one. shape: columns, rows, grids beside each other; cell: (width, height) in pixels; margin: between cells.

    left, top: room in pixels for the words of rows and of columns; over: for those of the grids.
    """

    shape: tuple[int, int, int]
    cell: tuple[int, int]
    margin: int = 0
    left: int = 0
    top: int = 0
    over: int = 0

    @property
    def part(self) -> tuple[int, int]:
        """Width and height of one of the grids, its words included."""
        (columns, rows, _), (width, height) = self.shape, self.cell
        return self.left + columns * (width + self.margin) - self.margin, self.top + rows * (height + self.margin) - self.margin

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole."""
        width, height = self.part
        return self.shape[2] * (width + self.margin) - self.margin, self.over + height

    def at(self, x: int, y: int, z: int) -> tuple[int, int]:
        """The upper left corner of a cell."""
        width, height = self.cell
        return (
            z * (self.part[0] + self.margin) + self.left + x * (width + self.margin),
            self.over + self.top + y * (height + self.margin),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A part of a grid that becomes one file: the ranges of columns, rows and grids in it, and its size in pixels."""

    columns: range
    rows: range
    grids: range
    size: tuple[int, int]


def sheets_of(frame: Frame, most_mp: float) -> list[Sheet]:
    """The files of a grid, each of at most so many megapixels: cut between grids first, then between rows, then between columns.

    A single cell that is larger is a file of its own.
    """
    most = max(1.0, most_mp * MEGA)
    columns, rows, grids = frame.shape
    per_grids = _fitting(frame, most, 2, grids)
    per_rows = rows if per_grids else _fitting(replace(frame, shape=(columns, rows, 1)), most, 1, rows)
    per_columns = columns if per_rows else _fitting(replace(frame, shape=(columns, 1, 1)), most, 0, columns)
    parts = (_parts(columns, per_columns or 1), _parts(rows, per_rows or 1), _parts(grids, per_grids or 1))
    found: list[Sheet] = []
    for some_grids in parts[2]:
        for some_rows in parts[1]:
            for some_columns in parts[0]:
                shape = (len(some_columns), len(some_rows), len(some_grids))
                size = replace(frame, shape=shape).size
                found.append(Sheet(columns=some_columns, rows=some_rows, grids=some_grids, size=size))
    return found


def _fitting(frame: Frame, most: float, axis: int, count: int) -> int:
    """How many of the axis fit into one file; 0 when not even one does."""
    for n in range(count, 0, -1):
        shape = tuple(n if place == axis else length for place, length in enumerate(frame.shape))
        if math.prod(replace(frame, shape=shape).size) <= most:
            return n
    return 0


def _parts(count: int, per: int) -> list[range]:
    """range(count) in parts of nearly the same length, none longer than per."""
    return list(_even(count, math.ceil(count / per)))


def _even(count: int, parts: int) -> Iterator[range]:
    for n in range(parts):
        yield range(count * n // parts, count * (n + 1) // parts)
