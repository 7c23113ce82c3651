"""The figures of a training as they are read: metrics.jsonl, one JSON a line, thinned where there is too much of it. No torch.

The loop writes them; a training that goes on from an earlier state cuts off what came after it. Start reading at `points_after`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("step", "epoch", "loss", "val_loss", "lr", "it_s", "time_s", "memory_bytes", "grad_norm")


@dataclass(frozen=True)
class Points:
    """points: rows with the names of NAMES, None where nothing was measured; last: the highest step there is, -1 without any.

    begun: another number whenever earlier points were cut off; thinned: every so manieth point is there.
    """

    points: list[dict[str, Any]]
    last: int
    begun: int
    thinned: int


def points_after(path: Path, after: int, most: int) -> Points:
    """The points of later steps. most: as many at most; validations are never left out."""
    rows = list(_rows(path))
    if not rows:
        return Points([], -1, 0, 1)
    last = rows[-1]["step"]
    wanted = [row for row in rows if row["step"] > after]
    every = max(1, math.ceil(len(wanted) / most))
    kept = [row for n, row in enumerate(reversed(wanted)) if n % every == 0 or row["val_loss"] is not None]
    return Points(kept[::-1], last, _begun(path), every)


def _begun(path: Path) -> int:
    """Which run of figures this is: the file that holds them is replaced when some are cut off, and added to else."""
    try:
        return path.stat().st_ino & 0xFFFFFFFF
    except OSError:
        return 0


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows in order; a line that is only half there yet, or of a step that was made again, is passed over."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    latest: dict[int, dict[str, Any]] = {}
    for line in lines:
        try:
            found = json.loads(line)
            step = int(found["step"])
        except (ValueError, KeyError, TypeError):
            continue
        row = {name: _number(found.get(name)) for name in NAMES} | {"step": step, "epoch": _number(found.get("epoch")) or 0.0}
        before = latest.pop(step, None)
        latest[step] = row if before is None else {name: row[name] if row[name] is not None else before[name] for name in NAMES}
    yield from sorted(latest.values(), key=lambda row: row["step"])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None
