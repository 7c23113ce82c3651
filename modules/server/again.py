"""/internal/history/ID/again: a picture made again from its file alone, and the verdict on it.

Knows jobs and rows; `processing.reproduce` knows how, `processing.verdict` judges. Start reading at `routes`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from modules.faults import Fault
from modules.processing import reproduce
from modules.processing.verdict import judge
from modules.request import Result
from modules.server.errors import Refused

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

OWNER = "history"


def routes(app: App) -> APIRouter:
    """The two routes of making a picture again."""
    router = APIRouter(prefix="/internal/history", tags=["page"])

    @router.post("/{key}/again")
    def again(key: str) -> dict[str, Any]:
        """Queue the picture once more; what it answers is asked for with the route below."""
        _, plan = _plan(app, key)
        return {"job": app.submit(plan.ways[0][0], owner=OWNER).id, "way": 0}

    @router.get("/{key}/again/{job_id}")
    def verdict(key: str, job_id: str, way: Annotated[int, Query(ge=0, le=9)] = 0) -> dict[str, Any]:
        """How far it is: progress, then the verdict, or the job of the next way to try."""
        job = app.jobs.get(job_id)
        if not job.finished:
            live = app.jobs.live(job.id)
            return {"state": job.state, "progress": live.fraction if live else 0.0}
        return _judged(app, key, job, way)

    return router


def _judged(app: App, key: str, job: Job, way: int) -> dict[str, Any]:
    """The verdict on a finished job, or the next job where another way is left. Raises Refused when it made no picture."""
    original, plan = _plan(app, key)
    result = Result.from_data(job.result) if job.result else Result(pictures=())
    request, place = plan.ways[min(way, len(plan.ways) - 1)]
    at = next((n for n, picture in enumerate(result.pictures) if picture.index == place), None)
    if job.state != "done" or at is None:
        raise Refused(409, "Conflict", errors=str((job.fault or {}).get("message") or "The job was canceled."))
    picture = result.pictures[at]
    found = judge(
        original, Path(picture.path), picture.infotext, notes=plan.notes, warnings=result.warnings, device=app.jobs.worker()["device"],
        quality=app.settings.current.jpeg_quality, way=request,
    )  # fmt: skip
    if not found.equal and way + 1 < len(plan.ways):
        further = app.submit(plan.ways[way + 1][0], owner=OWNER, key=f"again-{job.id}-{way + 1}")
        return {"state": "queued", "progress": 0.0, "next": {"job": further.id, "way": way + 1}}
    url = f"internal/pictures/{job.id}/{at}"
    return {"state": job.state, "progress": 1.0, "verdict": {**dataclasses.asdict(found), "line": _capital(found.line)}, "url": url}


def _plan(app: App, key: str) -> tuple[reproduce.Original, reproduce.Plan]:
    """Raises Refused for a picture that is gone or cannot be made, with the reason."""
    row = app.pictures.row(key)
    if row is None:
        raise Refused(404, "Not Found", errors="this picture is not there any more; look at the list again")
    try:
        original = reproduce.read(Path(row.path))
        return original, reproduce.plan(original, app.library, app.inputs, app.settings.current)
    except Fault as fault:
        raise Refused(422, "Unprocessable", errors=fault.message) from fault


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]
