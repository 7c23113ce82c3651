"""Rules between the names of a single file and the names of a diffusers component, and what happens to the numbers on the way.

A rule speaks of a whole subtree (its names end in "." or "_") or of one tensor. One tensor of a single file may stand for several
of diffusers: q, k and v in one matrix. Knows no model. Start reading at `Rules.from_single`. Learnt from diffusers' converters
(Apache-2.0), but both ways and without fixed sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
HOWS = ("same", "stack", "swap", "transpose", "conv")


@dataclass(frozen=True, slots=True)
class Rule:
    """single: a name or the beginning of names; parts: those it stands for in diffusers, in the order they are stacked in.

    how: "same"; "stack" (parts one above the other on axis 0, `rows` high each, equally high when rows is empty); "swap" (the two
    halves of axis 0 change places); "transpose"; "conv" (a matrix there, a 1 x 1 convolution here).
    """

    single: str
    parts: tuple[str, ...]
    how: str = "same"
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a single file and the tensors of diffusers it stands for; how, rows: as in `Rule`."""

    single: str
    parts: tuple[str, ...]
    how: str = "same"
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rules:
    """The rules of one component. Longer names win over shorter ones."""

    rules: tuple[Rule, ...]
    _single: dict[str, Rule] = field(init=False, default_factory=dict[str, Rule])
    _parts: dict[str, Rule] = field(init=False, default_factory=dict[str, Rule])

    def __post_init__(self) -> None:
        for rule in self.rules:
            self._single[rule.single] = rule
            self._parts.update(dict.fromkeys(rule.parts, rule))

    def from_single(self, names: Iterable[str]) -> list[Entry]:
        """What tensors of a single file become. A name that no rule knows is left out."""
        entries: list[Entry] = []
        for name in names:
            begin, rule = _longest(name, self._single)
            if rule is not None:
                end = name[len(begin) :]
                entries.append(Entry(name, tuple(part + end for part in rule.parts), rule.how, rule.rows))
        return entries

    def from_parts(self, names: Iterable[str]) -> list[Entry]:
        """What tensors of diffusers become, in their order. Left out: a name no rule knows, a stack that is not whole."""
        there = list(names)
        have = set(there)
        entries: dict[str, Entry] = {}
        for name in there:
            begin, rule = _longest(name, self._parts)
            if rule is None:
                continue
            end = name[len(begin) :]
            parts = tuple(part + end for part in rule.parts)
            if have.issuperset(parts):
                entries.setdefault(rule.single + end, Entry(rule.single + end, parts, rule.how, rule.rows))
        return list(entries.values())


def part_shapes(entry: Entry, shape: Shape) -> dict[str, Shape]:
    """The shapes of an entry's parts from the shape of its tensor in the single file."""
    if entry.how == "stack":
        return {part: (rows, *shape[1:]) for part, rows in zip(entry.parts, heights(entry, shape[0]), strict=True)}
    if entry.how == "transpose":
        return {entry.parts[0]: shape[::-1]}
    if entry.how == "conv":
        return {entry.parts[0]: shape[:2]}
    return {entry.parts[0]: shape}


def single_shape(entry: Entry, shapes: Shapes) -> Shape:
    """The shape in the single file from the shapes of the parts."""
    shape = shapes[entry.parts[0]]
    if entry.how == "stack":
        return (sum(shapes[part][0] for part in entry.parts), *shape[1:])
    if entry.how == "transpose":
        return shape[::-1]
    if entry.how == "conv" and len(shape) == 2:
        return (*shape, 1, 1)
    return shape


def heights(entry: Entry, total: int) -> tuple[int, ...]:
    """How many rows of the stacked tensor belong to each part."""
    rows = entry.rows or (total // len(entry.parts),) * len(entry.parts)
    if sum(rows) != total:
        raise ValueError(f"{entry.single} has {total} rows, which cannot be shared out as {rows}")
    return rows


def span(entry: Entry, part: str, total: int) -> tuple[int, int]:
    """The rows of the stacked tensor that belong to one part: first, one past the last."""
    rows = heights(entry, total)
    at = entry.parts.index(part)
    return sum(rows[:at]), sum(rows[: at + 1])


def to_part(entry: Entry, tensor: Tensor) -> Tensor:
    """A tensor of the single file as its one part has it. A stack is cut by rows beforehand (`span`)."""
    if entry.how == "swap":
        return swapped(tensor)
    if entry.how == "transpose":
        return tensor.T.contiguous()
    if entry.how == "conv":
        return tensor.reshape(tensor.shape[:2])
    return tensor


def to_single(entry: Entry, tensor: Callable[[str], Tensor]) -> Tensor:
    """The tensor of the single file from its parts. tensor(name): reads one of diffusers' tensors."""
    if entry.how == "stack":
        import torch

        return torch.cat([tensor(part) for part in entry.parts])
    one = tensor(entry.parts[0])
    if entry.how == "swap":
        return swapped(one)
    if entry.how == "transpose":
        return one.T.contiguous()
    if entry.how == "conv" and one.ndim == 2:
        return one[:, :, None, None]
    return one


def swapped(tensor: Tensor) -> Tensor:
    """The two halves of axis 0 in the other order: scale and shift stand the other way round in diffusers."""
    import torch

    return torch.cat(tensor.chunk(2)[::-1])


def blocks(names: Iterable[str], begin: str) -> int:
    """How many numbered blocks there are: one more than the highest number that follows `begin` in a name."""
    highest = -1
    for name in names:
        if name.startswith(begin):
            number = name[len(begin) :].split(".", 1)[0]
            if number.isdigit() and len(number) < 6:
                highest = max(highest, int(number))
    return highest + 1


def root(number: int) -> int:
    """The side of a square of so many fields."""
    return math.isqrt(number)


def _longest(name: str, table: Mapping[str, Rule]) -> tuple[str, Rule | None]:
    if name in table:
        return name, table[name]
    for at in range(len(name) - 1, 0, -1):
        if name[at - 1] in "._" and name[:at] in table:
            return name[:at], table[name[:at]]
    return "", table.get("")
