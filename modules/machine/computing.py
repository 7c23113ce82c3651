"""What can compute pictures here and how weights can be kept, each with why it cannot be used or what it costs. Imports no torch.

Figures of quantisers are those that `benchmarks.quantisation` kept, with the machine they were measured on. Start reading at `quantisers`.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field

from modules.backends.attention import ATTENTIONS
from modules.backends.table import BACKENDS
from modules.folders import PROGRAM
from modules.steering.caches import CACHES
from modules.weights.quantisers import QUANTISERS

FIGURES = PROGRAM / "benchmarks" / "quantisation.json"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of computing. why: it cannot be used here, "" where it can. families: architectures it is for, empty for all."""

    name: str
    title: str
    help: str
    why: str
    families: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One way of keeping weights. bytes_per_weight: of the layers it takes; the rest against full precision, None: not measured.

    psnr_db: of pictures, higher is more alike; memory_share, time_ratio: 1 is full precision's.
    """

    name: str
    title: str
    help: str
    why: str
    bytes_per_weight: float
    psnr_db: float | None = None
    memory_share: float | None = None
    time_ratio: float | None = None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured. rows: quantiser -> (PSNR in dB, share of the memory, times the time)."""

    machine: str = ""
    command: str = ""
    rows: dict[str, tuple[float, float, float]] = field(default_factory=dict[str, tuple[float, float, float]])


@functools.cache
def figures() -> Figures:
    """Those that came with the program; none where the file is not there."""
    try:
        found = json.loads(FIGURES.read_text(encoding="utf-8"))
    except OSError:
        return Figures()
    rows = {
        name: (float(row["psnr_db"]), round(row["bytes"] / found["full_bytes"], 2), float(row["seconds_ratio"]))
        for name, row in found["rows"].items()
    }
    return Figures(machine=found["machine"], command=found["command"], rows=rows)


def backends(kind: str) -> list[Way]:
    """kind: of device."""
    return [Way(name=name, title=row.title, help=row.help, why=row.probe(kind)) for name, row in BACKENDS]


def attentions(kind: str) -> list[Way]:
    """kind: of device."""
    return [Way(name=name, title=row.title, help=row.help, why=row.probe(kind, None)) for name, row in ATTENTIONS]


def caches() -> list[Way]:
    """Step caches work on every device."""
    return [Way(name=name, title=row.title, help=row.source, why="", families=row.architectures) for name, row in CACHES]


def quantisers(kind: str) -> list[Kept]:
    """kind: of device."""
    rows: list[Kept] = []
    for name, row in QUANTISERS:
        psnr_db, memory, time = figures().rows.get(name, (None, None, None))
        rows.append(
            Kept(
                name=name, title=row.title, help=row.note, why=row.refusal(kind), bytes_per_weight=row.bytes_per_weight,
                psnr_db=psnr_db, memory_share=memory, time_ratio=time,
            )
        )  # fmt: skip
    return rows


def cost(name: str) -> str:
    """What a quantiser costs and saves, in words to stand beside its name; "" where it was not measured."""
    found = figures().rows.get(name)
    return f"{found[0]:g} dB, {found[1]:.0%} of the memory" if found else ""
