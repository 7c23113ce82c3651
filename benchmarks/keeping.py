"""Runs a benchmark and keeps what it printed, with machine, versions, load, command and date, as JSON in benchmarks/results.

Start reading at `run`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.listing import Row
from benchmarks.program import ROOT, machine
from modules.folders import write_atomic

RESULTS = Path(__file__).parent / "results"
_FIGURE = re.compile(r"(?P<what>[^|:]{2,90}?)\s*: +(?P<figure>\S.*)")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What came of a run. tables: of what was printed, each the heads and then the rows; said: lines that are no figures.

    load: of the machine when it began and when it ended, programs that wanted to run on average; date: UTC; took_s: seconds.
    """

    name: str
    command: str
    machine: str
    date: str
    load: tuple[float, float]
    took_s: float
    tables: list[list[list[str]]]
    said: list[str]


def read(printed: str) -> tuple[list[list[list[str]]], list[str]]:
    """(tables, other lines) of what a benchmark printed: Markdown tables, and lines like "what: figure" as a table of two columns."""
    tables: list[list[list[str]]] = []
    said: list[str] = []
    kind = ""
    for line in printed.splitlines():
        text, before = line.strip(), kind
        figure = _FIGURE.fullmatch(text)
        kind = "table" if text.startswith("|") else "figures" if figure else "" if text else before
        if kind == "table" and text:
            cells = [cell.strip() for cell in text.strip("|").split("|")]
            if before != "table":
                tables.append([])
            if not all(set(cell) <= {"-", ":"} for cell in cells):
                tables[-1].append(cells)
        elif figure:
            if before != "figures":
                tables.append([["what", "figure"]])
            tables[-1].append([figure["what"], figure["figure"]])
        elif text:
            said.append(text)
    return tables, said


def run(row: Row, arguments: tuple[str, ...] | None = None, results: Path = RESULTS) -> Kept:
    """Runs it to its end and keeps what it gave. arguments: instead of those of its short form. Raises SystemExit with its last words."""
    given = row.short.arguments if arguments is None else arguments
    began, load = time.perf_counter(), os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{row.name}", *given], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise SystemExit(f"{row.name}: {last[:300]}")
    lines = [line for line in done.stdout.splitlines() if line.strip() != machine()]
    tables, said = read("\n".join(line.replace(f" ({machine()})", "") for line in lines))
    kept = Kept(
        name=row.name,
        command=" ".join(("python", "-m", f"benchmarks.{row.name}", *given)),
        machine=machine(),
        date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        load=(round(load, 1), round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else -1.0),
        took_s=round(time.perf_counter() - began, 1),
        tables=tables,
        said=said,
    )
    results.mkdir(parents=True, exist_ok=True)
    write_atomic(results / f"{row.name}.json", (json.dumps(asdict(kept), indent=1, ensure_ascii=False) + "\n").encode())
    return kept


def kept(name: str, results: Path = RESULTS) -> Kept | None:
    """What the last run gave; None where there was none."""
    path = results / f"{name}.json"
    if not path.is_file():
        return None
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Kept(**{**data, "load": tuple(data["load"])})
