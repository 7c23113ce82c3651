"""What a run sends back: pictures and the result."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One finished picture. index: its place in the job, 0 .. n-1 (-1 for a grid). path: the file, absolute.

    kind: "sample", "grid", "partial" (interrupted before its last step), "control" (a map), "mask" or "mask-composite". saved: it lies
    under outputs/, else in the cache.
    """

    index: int
    path: str
    seed: int
    width: int
    height: int
    infotext: str
    kind: str = "sample"
    saved: bool = True

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a generation job leaves: pictures in order (the grid first when there is one), warnings, seconds spent.

    peak_bytes: the most memory that the device, or on the CPU the process, held meanwhile; 0: not known.
    notes: what was found on the way and is in order, such as how much of a LoRA was used.
    trace: what scripts did: a row for each of their hooks that ran, see `modules.hooks.Trace`.
    """

    pictures: tuple[Picture, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    interrupted: bool = False
    peak_bytes: int = 0
    trace: tuple[dict[str, Any], ...] = ()

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        return cls(
            trace=tuple(data.get("trace", ())),
            peak_bytes=data.get("peak_bytes", 0),
            pictures=tuple(Picture(**p) for p in data["pictures"]),
            warnings=tuple(data["warnings"]),
            notes=tuple(data.get("notes", ())),
            seconds=data["seconds"],
            interrupted=data["interrupted"],
        )
