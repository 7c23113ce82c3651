"""X/Y/Z grids for A1111's routes: a body that names the script becomes a grid of jobs; how far a grid is, as if it were one job.

Knows bodies, jobs and groups; `modules.grids` knows grids. Start reading at `submit_grid`, then `as_one`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from modules.faults import RequestFault
from modules.grids.asked import GridAsked
from modules.grids.records import GRID
from modules.jobs import FINISHED, Job, Live
from modules.request import GenerationRequest

if TYPE_CHECKING:
    from modules.app import App


def submit_grid(app: App, request: GenerationRequest, owner: str, key: str | None) -> Job:
    """Queue the grid of A1111's positional arguments, or find the one of the same task id. Raises as `App.submit_grid` does."""
    asked = GridAsked.from_script_args(request.script_args)
    job = app.submit_grid(request, asked, owner=owner, key=key)
    if key is not None and (job.kind != GRID or job.request.get("grid") != _plain(asked) or job.request["prompt"] != request.prompt):
        raise RequestFault("force_task_id", "was used for another request; take a new one", got=key)
    return job


def resolved_of(job: Job) -> dict[str, Any]:
    """The resolved request that speaks for a job: its own, or that of a grid's first cell."""
    return job.resolved["first"] if job.kind == GRID else job.resolved


def as_one(app: App, job: Job) -> Live | None:
    """What a grid is doing, as one run with a batch for each cell; None for other jobs, and when no cell is under way."""
    head = job.id if job.kind == GRID else job.group_id
    if head is None:
        return None
    counts, running = app.jobs.group(head)
    total, ended = sum(counts.values()), sum(counts.get(state, 0) for state in FINISHED)
    if ended == total:
        return None
    live = app.jobs.live_of(running) if running is not None else None
    if live is None:
        return (
            Live(job=head, fraction=ended / total, batch_no=ended, batch_count=total, text=f"Cell {ended + 1} of {total}")
            if ended
            else None
        )
    left = None if live.eta_s is None or not live.fraction else (total - ended - live.fraction) * live.eta_s / max(0.02, 1 - live.fraction)
    return dataclasses.replace(
        live, job=head, fraction=(ended + live.fraction) / total, batch_no=ended, batch_count=total, eta_s=left,
        text=live.text or f"Cell {ended + 1} of {total}",
    )  # fmt: skip


def _plain(asked: GridAsked) -> dict[str, Any]:
    """As the job's row gives it back: JSON has no tuples."""
    data = asked.to_data()
    return {**data, "axes": [{**row, "chosen": list(row["chosen"])} for row in data["axes"]]}
