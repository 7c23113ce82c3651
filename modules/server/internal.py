"""/internal: what the page fetches beside Gradio: the queue, single jobs, and pictures by job and place.

Knows jobs as JSON and files as answers; knows nothing about A1111's API. Start reading at `routes`.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse

from modules.jobs import LANES
from modules.server.errors import Refused
from modules.server.lane import Lane
from modules.users import viewer_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

PROMPT_SHOWN_CHARS = 500
IMAGE_TYPES = {"image/png", "image/jpeg", "image/webp"}


def routes(app: App, lane: Lane) -> APIRouter:
    """The routes under /internal that need no body."""
    router = APIRouter(prefix="/internal", tags=["page"])

    @router.get("/ping")
    def ping() -> dict[str, Any]:
        """The server answers."""
        return {}

    @router.get("/jobs")
    async def jobs(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> dict[str, Any]:
        """Running and queued jobs in run order, then finished ones, newest first; waiting: how many wait, listed or not."""
        return await lane.run(_queue, app, limit, viewer_of(request).only)

    @router.get("/jobs/{job_id}")
    async def job(job_id: str) -> dict[str, Any]:
        """One job with its request and result."""
        return _whole(await lane.run(app.jobs.get, job_id))

    @router.post("/jobs/{job_id}/cancel")
    def cancel(job_id: str) -> dict[str, bool]:
        """Stop a running job at its next step, keeping its pictures; take a waiting one out of the queue."""
        return {"ok": app.jobs.cancel(app.jobs.get(job_id).id)}

    @router.post("/jobs/{job_id}/skip")
    def skip(job_id: str) -> dict[str, bool]:
        """End the current batch of a running job."""
        return {"ok": app.jobs.skip(app.jobs.get(job_id).id)}

    @router.post("/queue/pause")
    def pause() -> dict[str, bool]:
        """No further job begins."""
        app.jobs.pause()
        return {"paused": app.jobs.paused}

    @router.post("/queue/resume")
    def resume() -> dict[str, bool]:
        """Jobs begin again."""
        app.jobs.resume()
        return {"paused": app.jobs.paused}

    @router.get("/pictures/{job_id}/{place}", response_class=FileResponse)
    def picture(job_id: str, place: int) -> FileResponse:
        """A picture of a job by its place in the result. The path comes from the job, never from the caller."""
        found = (app.jobs.get(job_id).result or {}).get("pictures", [])
        if not 0 <= place < len(found):
            raise Refused(404, "Not Found", errors=f"place: this job has {len(found)} pictures")
        path = Path(found[place]["path"])
        media_type = mimetypes.guess_type(path.name)[0]
        if media_type not in IMAGE_TYPES or not path.is_file():
            raise Refused(404, "Not Found", errors=f"{path.name} is no longer there")
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return FileResponse(path, media_type=media_type, filename=path.name, content_disposition_type="inline", headers=headers)

    return router


def _queue(app: App, limit: int, owner: str | None) -> dict[str, Any]:
    rows = [_summary(app, job) for job in app.jobs.list(limit=limit, owner=owner)]
    waiting = sum(app.jobs.queued(lane, owner) for lane in LANES)
    return {"jobs": rows, "waiting": waiting, "paused": app.jobs.paused, "worker": app.jobs.worker()}


def _summary(app: App, job: Job) -> dict[str, Any]:
    live = app.jobs.live(job.id) if job.state == "running" else None
    return {
        "id": job.id,
        "number": job.number,
        "kind": job.kind,
        "state": job.state,
        "prompt": str(job.request.get("prompt") or job.resolved.get("title", ""))[:PROMPT_SHOWN_CHARS],
        "owner": job.owner,
        "created_s": job.created_s,
        "progress": live.fraction if live else float(job.state == "done"),
    }


def _whole(job: Job) -> dict[str, Any]:
    """The job as data; each picture with the URL it can be had from, relative to the page."""
    data = job.to_data()
    for place, found in enumerate((data["result"] or {}).get("pictures", [])):
        found["url"] = f"internal/pictures/{job.id}/{place}"
    return data
