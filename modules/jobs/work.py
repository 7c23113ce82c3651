"""What a worker is told of a job that it shall do, as plain data. Start reading at `work_of`."""

from __future__ import annotations

from typing import Any

from modules.jobs.lending import Piece
from modules.jobs.records import Job
from modules.jobs.store import JobStore


def work_of(job: Job, store: JobStore, *, lends: bool) -> dict[str, Any]:
    """lends: other workers may make pieces of it, but not of one that was cut off before: it might take them along once more."""
    made = [e.data for e in store.events(job.id) if e.type == "picture"] if job.attempts > 1 else []
    work = {"id": job.id, "kind": job.kind, "resolved": job.resolved, "attempts": job.attempts, "made": made}
    if isinstance(job, Piece):
        work["piece"] = job.batch
    elif lends and job.attempts == 1:
        work["lends"] = True
    if gathers := job.resolved.get("gathers"):
        work["gathered"] = store.groups.states(gathers)
    return work
