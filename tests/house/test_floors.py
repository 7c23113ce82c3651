"""Rule: imports go down the floors, or to a room further left on the same floor. Doors do not import each other.

Imports inside functions and under TYPE_CHECKING count: knowing a type from above is knowing what is above.
"""

from __future__ import annotations

import pytest

from tests.house.tree import Finding, Tree, report

# From the bottom up; within a floor from left to right. A room may import what stands before it, doors only what stands below.
FLOORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ground", ("faults", "registry", "knobs", "folders", "flags", "setup")),
    ("words", ("request", "settings", "infotext")),
    (
        "tools",
        (
            "hardware",
            "weights",
            "prompts",
            "pixels",
            "upscale",
            "samplers",
            "families",
            "steering",
            "control",
            "backends",
            "caption",
            "train",
            "remote",
        ),
    ),
    (
        "work",
        (
            "users",
            "forms",
            "hooks",
            "library",
            "upkeep",
            "inputs",
            "receipts",
            "saver",
            "processing",
            "jobs",
            "cluster",
            "grids",
            "machine",
        ),
    ),
    ("guests", ("plugins", "compat")),
    ("hall", ("app",)),
    ("doors", ("web", "server", "cli")),
    ("roof", ("launch",)),
)
PLACE = {room: (floor, index) for floor, (_, rooms) in enumerate(FLOORS) for index, room in enumerate(rooms)}
NAMES = {room: floor for floor, rooms in FLOORS for room in rooms}


def allowed(room: str, other: str) -> bool:
    """May files of `room` import from `other`?"""
    if room == other:
        return True
    floor, index = PLACE[room]
    other_floor, other_index = PLACE[other]
    if floor == other_floor:
        return NAMES[room] != "doors" and other_index < index
    return other_floor < floor


def find(tree: Tree) -> list[Finding]:
    """Every import between rooms that the table does not allow, and every file or import without a place in it."""
    found: list[Finding] = []
    for file in tree.under("modules", "launch.py"):
        room = file.room
        if room is None:  # modules/__init__.py: the house itself, imports nothing
            found += [
                Finding(file.name, i.line, "floors", f"modules/__init__.py imports {i.target}") for i in file.imports if i.top == "modules"
            ]
            continue
        if room not in PLACE:
            found.append(Finding(file.name, 1, "floors", f"the room {room} has no place in FLOORS (tests/house/test_floors.py)"))
            continue
        for imported in file.imports:
            found += _check(file.name, room, imported.target, imported.line)
    for file in tree.under("scripts", "extensions"):
        found += [
            Finding(file.name, i.line, "floors", "scripts and extensions do not import launch.py")
            for i in file.imports
            if i.top == "launch"
        ]
    return found


def _check(name: str, room: str, target: str, line: int) -> list[Finding]:
    if target.startswith("."):
        return [Finding(name, line, "floors", f"relative import {target}; write the absolute name")]
    top, _, rest = target.partition(".")
    if top in ("tests", "launch", "benchmarks", "starter") and room != top:
        return [Finding(name, line, "floors", f"{room} imports {target}; nothing in the program does")]
    other = rest.partition(".")[0]
    if top != "modules" or not other or other.startswith("__"):  # modules.__version__ belongs to the house itself
        return []
    if other not in PLACE:
        return [Finding(name, line, "floors", f"{room} imports {target}, which has no place in FLOORS")]
    if not allowed(room, other):
        return [Finding(name, line, "floors", f"{room} ({NAMES[room]}) may not import {other} ({NAMES[other]})")]
    return []


def test_house():
    assert not (found := report(find(Tree.read()))), found


def test_every_room_of_the_table_exists():
    """A row that names no file is a room that was renamed or never built."""
    rooms = {f.room for f in Tree.read().under("modules", "launch.py")}
    assert not (missing := sorted(set(PLACE) - {r for r in rooms if r})), f"in FLOORS but not in modules/: {missing}"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"modules/registry.py": "import modules.jobs"}, "registry (ground) may not import jobs (work)"),
        ({"modules/web/page.py": "from modules.server import create"}, "web (doors) may not import server (doors)"),
        ({"modules/samplers/build.py": "def f():\n    from modules.families import sd15"}, "samplers (tools) may not import families"),
        (
            {"modules/saver.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from modules.app import App"},
            "saver (work) may not import app",
        ),
        ({"modules/newroom.py": "x = 1"}, "newroom has no place"),
        ({"modules/app.py": "from modules.newroom import x"}, "which has no place"),
        ({"modules/app.py": "import launch"}, "nothing in the program does"),
        ({"modules/pixels/grid.py": "from starter.vae import train"}, "nothing in the program does"),
        ({"modules/jobs/store.py": "from . import queue"}, "relative import"),
        ({"modules/__init__.py": "from modules.app import App"}, "modules/__init__.py imports"),
        ({"scripts/xyz.py": "import launch"}, "do not import launch.py"),
    ],
)
def test_catches(files: dict[str, str], words: str):
    assert words in report(find(Tree.made(files)))


def test_lets_good_imports_through():
    good = "from modules.faults import Fault\nfrom modules.library.scan import scan\nimport torch"
    assert (
        find(
            Tree.made(
                {
                    "modules/jobs/store.py": good,
                    "launch.py": "def f():\n    from modules.app import build",
                    "modules/web/page.py": "import modules.app",
                }
            )
        )
        == []
    )
