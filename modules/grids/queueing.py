"""A grid on its way into the queue: its cells become jobs, with one behind them that gathers what they make; and how it is doing.

A cell whose picture is there with the very same request is not made again. Start reading at `submit`, then `state_of`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import Fault
from modules.grids.asked import NAMES, GridAsked
from modules.grids.axis import plain
from modules.grids.estimate import Estimate, estimate
from modules.grids.plan import Layout, digest_of, in_order
from modules.grids.records import GRID, AxisRow, CellRow, Ending, GridRow
from modules.jobs import FINISHED, Job, Jobs, NewJob, Turn, new_id
from modules.request import ResolvedRequest

PAST = 200  # finished jobs that are looked at for how long things take
Resolve = Callable[[Any], ResolvedRequest]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A grid with every cell resolved. order: numbers of the cells to make, in the order of least cost; there: number -> the job that
    made it before; twins: number -> the number of an equal cell.
    """

    layout: Layout
    cells: tuple[ResolvedRequest, ...]
    digests: tuple[str, ...]
    order: tuple[int, ...]
    there: dict[int, Job]
    twins: dict[int, int]
    estimate: Estimate


def prepare(layout: Layout, resolve: Resolve, jobs: Jobs) -> Prepared:
    """Resolve every cell and find out what is to be made. Raises what `resolve` does, with the cell's values in front."""
    cells = tuple(_resolved(layout, n, resolve) for n in range(len(layout.cells)))
    digests = tuple(digest_of(cell) for cell in cells)
    first: dict[str, int] = {}
    twins = {n: first[digest] for n, digest in enumerate(digests) if first.setdefault(digest, n) != n}
    there: dict[int, Job] = {}
    if layout.options.reuse:
        there = {n: job for n, digest in enumerate(digests) if n not in twins and (job := made_before(jobs, digest)) is not None}
    todo = [n for n in range(len(cells)) if n not in there and n not in twins]
    loaded = jobs.worker().get("model")
    order = tuple(todo[at] for at in in_order([cells[n] for n in todo], loaded))
    past = jobs.list(states=("done",), lane="device", limit=PAST)
    made = len(there) + sum(1 for twin in twins.values() if twin in there)
    about = estimate(layout, cells, order, made, past, loaded)
    return Prepared(layout=layout, cells=cells, digests=digests, order=order, there=there, twins=twins, estimate=about)


def made_before(jobs: Jobs, digest: str) -> Job | None:
    """The latest job that made these very pictures and whose files are all there."""
    for job in jobs.of_keys(f"cell:{digest}:"):
        pictures = (job.result or {}).get("pictures") or []
        if job.state == "done" and pictures and all(Path(picture["path"]).is_file() for picture in pictures):
            return job
    return None


def submit(
    asked: GridAsked, prepared: Prepared, jobs: Jobs, *, owner: str, key: str | None = None, turn: Turn | None = None
) -> Job:  # fmt: skip
    """Queue the cells that are missing, and the job that gathers all."""
    layout, head = prepared.layout, new_id()
    ids = {n: job.id for n, job in prepared.there.items()} | {n: new_id() for n in prepared.order}
    names = {n: ids[prepared.twins.get(n, n)] for n in range(len(prepared.cells))}
    members = [
        NewJob(
            id=ids[n],
            kind=prepared.cells[n].task,
            request=layout.cells[n].request.to_data(),
            resolved=prepared.cells[n].to_data(),
            key=f"cell:{prepared.digests[n]}:{head}",
        )
        for n in prepared.order
    ]
    row = row_of(prepared, names)
    resolved = {
        "title": layout.title,
        "gathers": list(dict.fromkeys(names.values())),
        "grid": row.to_data(),
        "there": {job.id: (job.result or {}).get("pictures", []) for job in prepared.there.values()},
        "first": prepared.cells[0].to_data(),
        "warnings": list(dict.fromkeys(text for cell in prepared.cells for text in cell.warnings)),
    }
    request = {**layout.base.to_data(), "grid": asked.to_data()}
    return jobs.submit_group(
        NewJob(id=head, kind=GRID, request=request, resolved=resolved, key=key), members, owner=owner, turn=turn
    )  # fmt: skip


def row_of(prepared: Prepared, names: Mapping[int, str]) -> GridRow:
    """The grid for its job's row. names: number of a cell -> id of its job."""
    layout = prepared.layout
    axes = tuple(
        AxisRow(label=one.axis.label, used=one.axis.kind != "none", words=one.words, values=tuple(plain(value) for value in one.values))
        for one in layout.along
    )
    there = {n for n in range(len(prepared.cells)) if prepared.twins.get(n, n) in prepared.there}
    cells = tuple(CellRow(place=cell.place, job=names[n], made=n in there) for n, cell in enumerate(layout.cells))
    return GridRow(
        tab=layout.tab, axes=axes, options=layout.options, infotext=layout.infotext(), cells=cells,
        estimate=dataclasses.asdict(prepared.estimate),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class GridState:
    """A grid and how it is doing. endings: of every cell, in order; finished: cells that have ended; fraction: 0 to 1 of all that is to
    be made; eta_s: None while unknown; live: number of the cell that runs, None for none.
    """

    job: Job
    row: GridRow
    endings: tuple[Ending, ...]
    finished: int
    fraction: float
    eta_s: float | None
    live: int | None


def state_of(job: Job, jobs: Jobs) -> GridState:
    """How a grid is doing. Raises RequestFault for a row of another version."""
    row = GridRow.from_data(job.resolved["grid"])
    told, there = jobs.states(job.resolved["gathers"]), job.resolved.get("there", {})
    endings = tuple(
        Ending.of(told[cell.job]) if cell.job in told else Ending(state="done", pictures=tuple(there.get(cell.job, ())))
        if cell.job in there else Ending()
        for cell in row.cells
    )  # fmt: skip
    todo = {cell.job for cell in row.cells if not cell.made}
    ended = sum(1 for name in todo if told.get(name, {}).get("state") in FINISHED)
    running = next((name for name in todo if told.get(name, {}).get("state") == "running"), None)
    live = jobs.live_of(running) if running else None
    done = ended + (live.fraction if live else 0.0)
    fraction = 1.0 if job.finished or not todo else done / (len(todo) + 0.02)
    took = [ending.seconds for cell, ending in zip(row.cells, endings, strict=True) if not cell.made and ending.seconds]
    eta = (len(todo) - done) * (sum(took) / len(took)) if took and not job.finished else None
    return GridState(
        job=job, row=row, endings=endings, finished=sum(1 for ending in endings if ending.state in FINISHED), fraction=fraction, eta_s=eta,
        live=next((n for n, cell in enumerate(row.cells) if cell.job == running), None),
    )  # fmt: skip


def _resolved(layout: Layout, n: int, resolve: Resolve) -> ResolvedRequest:
    """Raises Fault, naming the values of the cell."""
    cell = layout.cells[n]
    try:
        return resolve(cell.request)
    except Fault as fault:
        used = [(name, one.words[at]) for name, one, at in zip(NAMES, layout.along, cell.place, strict=True) if one.axis.kind != "none"]
        where = ", ".join(f"{name.upper()} {words}" for name, words in used)
        if where:
            fault.message = f"{fault.message} (in the cell {where[:200]})"
        raise
