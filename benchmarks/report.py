"""docs/benchmarks.md from what was kept: a part for each benchmark, with tables and plots, or that it was not run.

Start reading at `page`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from benchmarks.keeping import RESULTS, Kept, kept
from benchmarks.listing import Row, listed
from benchmarks.program import ROOT
from modules.folders import write_atomic

PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
HEAD = """# Benchmarks

Written by `python -m benchmarks` from what it kept in `benchmarks/results`. Each part names the command, the machine, the date, and the
load while it ran (programs that wanted to run, on average): figures of a busy machine spread. Run some with
`python -m benchmarks NAME ...`, all short ones with `python -m benchmarks --all`; `--list` says what there is.
[How they measure](../benchmarks/README.md), and figures of earlier runs in longer forms.
"""
NOT_RUN = "Not run here by this command{why}. To run it: `{command}`"
WIDTH, LABEL, STEP, TOP = 760, 300, 26, 16
STYLE = """
    .paper { fill: #fafaf9 } .bar { fill: #cf460a } text { font: 13px system-ui, sans-serif; fill: #1b1a19 }
    .line { stroke: #6f6d69; stroke-dasharray: 4 3 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #1b1a19 } .bar { fill: #f9763c } text { fill: #f4f4f2 } .line { stroke: #9d9b96 }
    }
  """


def page(rows: Sequence[Row], results: Path = RESULTS) -> tuple[str, dict[str, str]]:
    """(the page, plots by file name)."""
    parts, plots = [HEAD], {}
    for row in rows:
        found = kept(row.name, results)
        parts.append(f"## {row.title}\n\n{row.question}\n")
        if found is None:
            why = f": {row.short.by_hand}" if row.short.by_hand else ""
            parts.append(f"{NOT_RUN.format(why=why, command=row.command)}\n")
            continue
        bars = drawn(row, found)
        if len(bars) > 1:
            plots[f"{row.name}.svg"] = plot(bars, row.short.caption, row.short.line)
            parts.append(f"![{escape(row.title)}](benchmarks/{row.name}.svg)\n")
        parts += [_table(table) for table in found.tables if len(table) > 1]
        if found.said:
            parts.append("\n".join(f"- {line}" for line in found.said) + "\n")
        parts.append(
            f"`{found.command}`, {found.date}, {found.took_s:.0f} s, load {found.load[0]:g} to {found.load[1]:g}.  \n{found.machine}.\n"
        )
    return "\n".join(parts), plots


def drawn(row: Row, found: Kept) -> list[tuple[str, float]]:
    """(label, number) of every row of figures in which the benchmark's pattern is found."""
    if not row.short.drawn:
        return []
    bars: list[tuple[str, float]] = []
    for table in found.tables:
        for cells in table[1:]:
            if match := re.search(row.short.drawn, f"| {' | '.join(cells[1:])} |"):
                bars.append((cells[0], float(match[1])))
    return bars


def plot(bars: Sequence[tuple[str, float]], caption: str, line: float | None) -> str:
    """Bars from the left, the longest across the paper, each with its number; a dashed line at a value that means "as before"."""
    most = max(value for _, value in bars) or 1.0
    unit = (WIDTH - LABEL - 70) / most
    height = TOP + STEP * len(bars) + 26
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"  <style>{STYLE}</style>",
        f'  <rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
    ]
    for n, (label, value) in enumerate(bars):
        y = TOP + STEP * n
        short = label if len(label) < 46 else f"{label[:44]}…"
        lines += [
            f'  <text x="{LABEL - 10}" y="{y + 14}" text-anchor="end">{escape(short)}</text>',
            f'  <rect class="bar" x="{LABEL}" y="{y + 2}" width="{max(1.0, value * unit):.1f}" height="{STEP - 10}" rx="2"/>',
            f'  <text x="{LABEL + value * unit + 6:.1f}" y="{y + 14}">{value:g}</text>',
        ]
    if line is not None and line <= most:
        x = LABEL + line * unit
        lines.append(f'  <path class="line" d="M{x:.1f} {TOP - 6} V{TOP + STEP * len(bars)}"/>')
    return "\n".join([*lines, f'  <text x="{LABEL}" y="{height - 10}">{escape(caption)}</text>', "</svg>", ""])


def _table(table: list[list[str]]) -> str:
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n" for cells in lines)


def write() -> None:
    """The page and its plots; plots that nobody needs any more go."""
    text, plots = page(listed())
    write_atomic(PAGE, text.encode())
    PLOTS.mkdir(exist_ok=True)
    for path in PLOTS.glob("*.svg"):
        if path.name not in plots:
            path.unlink()
    for name, svg in plots.items():
        write_atomic(PLOTS / name, svg.encode())
