"""What a component needs beside its weights while it works, by the size and number of pictures; kept in a table and in a file.

No torch: the web process counts with it. Where the numbers come from: `modules.processing.tracing`. Start reading at `Footprint`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

SHIPPED = Path(__file__).with_name("footprints.json")
VERSION = 2  # of what is kept; older rows are not found, and counted anew
Point = tuple[int, int, int]
"""(size: pixels of a picture, bytes for one row, bytes for two); a row is a picture, or a text, in one call."""
Footprint = Mapping[str, Sequence[Point]]
"""What the component does ("call", "decode", "decode spared", "read") -> points, sizes rising; of "read" the size is the text's tokens.
"decode on CPU" and "decode spared on CPU" count what the CPU's kernels hold inside themselves, which for the others is nothing.

Encoding a picture needs less than decoding it, at every size, so that it is not kept.
"""


def key_of(model: str, shapes: Iterable[Sequence[int]], number_bytes: int) -> str:
    """The name of a component's footprint. model: its class; shapes: of all its weights; number_bytes: of the numbers it computes in."""
    text = json.dumps([VERSION, model, sorted(list(shape) for shape in shapes), number_bytes])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def bytes_at(points: Sequence[Point], size: int, rows: int) -> int:
    """For pictures of another size and number: on the line between the nearest two sizes, and on that through one row and two."""
    if len(points) == 1:
        _, one, two = points[0]
    else:
        at = next((n for n, point in enumerate(points[1:-1], 1) if size <= point[0]), len(points) - 1)
        low, high = points[at - 1], points[at]
        share = (size - low[0]) / (high[0] - low[0])
        one, two = (low[n] + share * (high[n] - low[n]) for n in (1, 2))
    return max(0, round(one + (two - one) * (rows - 1)))


def shipped() -> dict[str, Footprint]:
    """Of the families' published components and of the starter model. `python -m benchmarks.memory_plan --write` made it."""
    return read(SHIPPED)


def read(path: Path) -> dict[str, Footprint]:
    """From a file; empty when there is none that can be read."""
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast(dict[str, Footprint], rows) if isinstance(rows, dict) else {}
