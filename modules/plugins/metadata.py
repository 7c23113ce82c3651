"""metadata.ini of an extension: its name, what it needs, and before or after whom its scripts come. A1111's file.

Start reading at `read`; `ordered` puts scripts in order.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Order:
    """Names ("extension" or "extension/file.py", "a|b" for either) that something needs, stands before and stands after."""

    requires: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def joined(self, other: Order) -> Order:
        return Order(requires=self.requires + other.requires, before=self.before + other.before, after=self.after + other.after)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """name: "" when the file does not say; scripts: file name -> its order, "" for all. problem: why it could not be read."""

    name: str = ""
    requires: tuple[str, ...] = ()
    scripts: dict[str, Order] = field(default_factory=dict[str, Order])
    problem: str = ""

    def order_of(self, file: str) -> Order:
        return self.scripts.get("", Order()).joined(self.scripts.get(file.lower(), Order()))


def read(folder: Path) -> Metadata:
    """The metadata of an extension's folder; empty without a file."""
    path = folder / "metadata.ini"
    if not path.is_file():
        return Metadata()
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        return Metadata(problem=f"metadata.ini could not be read: {str(error).splitlines()[0]}")
    scripts = {
        section.partition("/")[2].lower(): Order(**{key: _names(parser, section, key) for key in ("requires", "before", "after")})
        for section in parser.sections()
        if section == "scripts" or section.startswith("scripts/")
    }
    name = parser.get("Extension", "Name", fallback="").strip().lower()
    return Metadata(name=name, requires=_names(parser, "Extension", "Requires"), scripts=scripts)


def _names(parser: configparser.ConfigParser, section: str, key: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in re.split(r"[\s,]+", parser.get(section, key, fallback="")) if name)


def ordered(items: Sequence[tuple[str, Item, Order]]) -> tuple[list[Item], list[str]]:
    """(the items, sorted so that every wish holds and else in the order given; what could not be granted, in words).

    items: (canonical name "extension/file.py", item, wishes).
    """
    places: dict[str, list[int]] = {}
    for n, (name, _, _) in enumerate(items):
        for known in {name, name.partition("/")[0], f"builtin/{name}"}:
            places.setdefault(known, []).append(n)
    sorter: TopologicalSorter[int] = TopologicalSorter({n: set[int]() for n in range(len(items))})
    for n, (_, _, order) in enumerate(items):
        for wish in (*order.after, *order.requires):
            sorter.add(n, *(m for m in _found(wish, places) if m != n))
        for wish in order.before:
            for m in _found(wish, places):
                if m != n:
                    sorter.add(m, n)
    try:
        sorter.prepare()
    except CycleError as error:
        knot = ", ".join(sorted({items[n][0] for n in error.args[1]}))
        return [item for _, item, _ in items], [
            f"These scripts want to stand before each other, so their order is that of their names: {knot}."
        ]
    found: list[int] = []
    ready: list[int] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        first = ready.pop(0)
        found.append(first)
        sorter.done(first)
    return [items[n][1] for n in found], []


def missing(requires: Sequence[str], names: set[str]) -> list[str]:
    """What of `requires` is not among these names of extensions; "a|b" asks for one of them."""
    return [wish for wish in requires if not any(part.partition("/")[0] in names for part in wish.split("|"))]


def _found(wish: str, places: dict[str, list[int]]) -> list[int]:
    return [n for part in wish.split("|") for n in places.get(part, [])]
