"""/internal/queue: what the Queue tab shows and does: the queue in parts, previews, thumbnails, order, priority, holding, running again.

Knows rows as JSON (`queue_rows` makes them); the job room does the work. Guests are shown their own jobs and may cancel them, by the routes
of `internal`; users change their own, administrators all and the order. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import mimetypes
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, Response

from modules.faults import RequestFault, UnknownName
from modules.jobs import LANES
from modules.library.thumbnails import Thumbnails
from modules.request import GenerationRequest
from modules.server.body import Body
from modules.server.errors import Refused
from modules.server.lane import Lane
from modules.server.queue_rows import GENERATION, beginning_of, live_of, row_of
from modules.server.v2.rights import own
from modules.users import ADMIN, USER, Viewer, require, viewer_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

ROWS = 1000  # of a part, in one answer
QUICK_ROWS = 100  # more of them must not hold up those who poll for progress
PRIORITY_LIMIT = 100
FRESH_S = 10.0
BEYOND = 2  # further waiting jobs that are named, so that the last ones shown can be moved behind them
PICTURE_TYPES = {"image/png", "image/jpeg", "image/webp"}
# What the finished part can be narrowed to.
SHOWN = {"": ("done", "failed", "canceled", "parked"), "done": ("done",), "failed": ("failed", "parked"), "canceled": ("canceled",)}


class Asked(BaseModel):
    """waiting, past: how many rows of each part at most. show: see SHOWN. mark: of the answer that the page has."""

    waiting: int = Field(50, ge=1, le=ROWS)
    past: int = Field(30, ge=1, le=ROWS)
    show: str = Field("", max_length=20)
    mark: str = Field("", max_length=200)


def routes(app: App, lane: Lane) -> APIRouter:
    """The routes of the Queue tab."""
    router = APIRouter(prefix="/internal/queue", tags=["page"])

    @router.get("")
    async def queue(request: Request, asked: Annotated[Asked, Query()]) -> dict[str, Any]:
        """What runs; and, unless `mark` is that of the latest change, what waits and what has ended."""
        if asked.show not in SHOWN:
            raise UnknownName("show", asked.show, SHOWN)
        if asked.waiting + asked.past > QUICK_ROWS:
            return await asyncio.to_thread(_parts, app, viewer_of(request), asked)
        return await lane.run(_parts, app, viewer_of(request), asked)

    @router.get("/{job_id}/preview", response_class=Response)
    def preview(job_id: str) -> Response:
        """The latest preview of a running job, a JPEG."""
        live = app.jobs.live(job_id)
        if live is None or live.preview is None:
            raise Refused(404, "Not Found", errors="there is no preview now")
        return Response(live.preview, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @router.get("/{job_id}/beginning")
    def beginning(job_id: str) -> dict[str, Any]:
        """Where the job's request is edited: the tab, and what the canvases of img2img held."""
        return beginning_of(app, app.jobs.get(job_id))

    _add_thumbnails(router, app)
    _add_changes(router, app)
    return router


def _add_thumbnails(router: APIRouter, app: App) -> None:
    thumbnails = Thumbnails(app.folders.cache / "thumbnails")

    @router.get("/{job_id}/thumbnail/{place}", response_class=FileResponse)
    def thumbnail(job_id: str, place: int) -> FileResponse:
        """A small picture of a job's picture. The path comes from the job."""
        found = (app.jobs.get(job_id).result or {}).get("pictures", [])
        path = Path(found[place]["path"]) if 0 <= place < len(found) else None
        made = thumbnails.of_file(path) if path and mimetypes.guess_type(path.name)[0] in PICTURE_TYPES else None
        if made is None:
            raise Refused(404, "Not Found", errors="this picture is no longer there")
        return FileResponse(made, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400"})


def _add_changes(router: APIRouter, app: App) -> None:
    @router.post("/clear")
    def clear(request: Request) -> dict[str, Any]:
        """Forget finished jobs: everyone's for an administrator, else the caller's own. Their pictures stay.

        Those that ended a moment ago stay too, as whoever sent them may still be fetching the pictures; `fresh` says whether some did.
        """
        viewer = require(request, USER, "clear the list")
        before_s = time.time() - FRESH_S
        cleared = app.jobs.forget(before_s, None if viewer.may(ADMIN) else viewer.owner)
        latest = app.jobs.list(states=SHOWN[""], limit=1)
        return {"cleared": cleared, "fresh": bool(latest and (latest[0].finished_s or 0) >= before_s)}

    @router.post("/{job_id}/move")
    def move(request: Request, job_id: str, body: Body) -> dict[str, bool]:
        """Put a waiting job before another one; body: before (its id; null: behind all)."""
        if not (body.get("before") is None or isinstance(body["before"], str)):
            raise RequestFault("before", "must be the id of a job, or null", got=body["before"])
        require(request, ADMIN, "change the order of the queue")
        return _told(app.jobs.move(app.jobs.get(job_id).id, body.get("before")))

    @router.post("/{job_id}/priority")
    def priority(request: Request, job_id: str, body: Body) -> dict[str, bool]:
        """Higher ones begin first; body: priority, 0 unless said."""
        wanted = body.get("priority")
        if not isinstance(wanted, int) or isinstance(wanted, bool) or abs(wanted) > PRIORITY_LIMIT:
            raise RequestFault("priority", f"must be a whole number from -{PRIORITY_LIMIT} to {PRIORITY_LIMIT}", got=wanted)
        require(request, ADMIN, "change the order of the queue")
        return _told(app.jobs.set_priority(app.jobs.get(job_id).id, wanted))

    @router.post("/{job_id}/hold")
    def hold(request: Request, job_id: str) -> dict[str, bool]:
        """A waiting job does not begin until it is released; others pass it."""
        return _told(app.jobs.hold(own(app, request, job_id).id))

    @router.post("/{job_id}/release")
    def release(request: Request, job_id: str) -> dict[str, bool]:
        """Undo `hold`."""
        return _told(app.jobs.release(own(app, request, job_id).id))

    @router.post("/{job_id}/again")
    def again(request: Request, job_id: str, body: Body) -> dict[str, Any]:
        """Queue the job once more; body: seed, "same" (the very same pictures) or "new". Answers its id."""
        if body.get("seed", "same") not in ("same", "new"):
            raise UnknownName("seed", str(body["seed"]), ("same", "new"))
        owner = require(request, USER, "run a job again").owner
        job = app.jobs.get(job_id)
        made = _with_new_seed(app, job, owner) if body.get("seed") == "new" else app.duplicate(job.id, owner=owner)
        return {"id": made.id, "number": made.number}


# ---- Reading -----------------------------------------------------------------------------------------------------------


def _parts(app: App, viewer: Viewer, asked: Asked) -> dict[str, Any]:
    jobs, only = app.jobs, viewer.only
    paused = jobs.paused
    mark = f"{jobs.last_change()}.{int(paused)}.{asked.waiting}.{asked.past}.{asked.show}"
    running = jobs.list(states=("running",), owner=only, limit=ROWS)
    rows = [{**_row(viewer, job), "live": live_of(jobs.live_of(job.id))} for job in running]
    rights = {"changes": viewer.may(USER), "orders": viewer.may(ADMIN)}
    answer = {"mark": mark, "paused": paused, "worker": jobs.worker(), "running": rows, **rights}
    if mark == asked.mark:
        return answer
    ended = jobs.ended(only)
    counts = {name: sum(ended.get(state, 0) for state in states) for name, states in SHOWN.items()}
    past = [_row(viewer, job) for job in jobs.list(states=SHOWN[asked.show], owner=only, limit=asked.past)]
    return {**answer, "waiting": {name: _waiting(app, viewer, name, asked.waiting) for name in LANES}, "past": past, "counts": counts}


def _waiting(app: App, viewer: Viewer, lane: str, limit: int) -> dict[str, Any]:
    """The jobs of a lane in run order: the first rows, ids of the next ones, and how many there are."""
    found = app.jobs.list(states=("queued",), owner=viewer.only, lane=lane, limit=limit + BEYOND)
    count = app.jobs.queued(lane, viewer.only) if len(found) > limit else len(found)
    return {"rows": [_row(viewer, job) for job in found[:limit]], "beyond": [job.id for job in found[limit:]], "count": count}


def _row(viewer: Viewer, job: Job) -> dict[str, Any]:
    """mine: whoever asks may hold it and let it go."""
    return {**row_of(job), "mine": viewer.may(ADMIN) or job.owner == viewer.owner}


# ---- Changing ----------------------------------------------------------------------------------------------------------


def _with_new_seed(app: App, job: Job, owner: str) -> Job:
    """The same request, model and settings as then; only the seed is drawn anew, and with it the wildcards."""
    if job.kind not in GENERATION:
        raise RequestFault("seed", "has no meaning for this kind of job; run it again as it is")
    now, then = app.settings.current.to_data(), job.resolved.get("settings") or {}
    changed = {name: value for name, value in then.items() if name in now and now[name] != value}
    model = {"sd_model_checkpoint": job.resolved["checkpoint"]["title"]} if job.resolved.get("checkpoint") else {}
    request = {**job.request, "seed": -1, "override_settings": {**job.request.get("override_settings", {}), **changed, **model}}
    return app.submit(GenerationRequest.from_data(request), owner=owner)


def _told(done: bool) -> dict[str, bool]:
    """Raises Refused(409) when the job had begun meanwhile."""
    if not done:
        raise Refused(409, "Conflict", errors="it does not wait any more; look at the list again")
    return {"ok": True}
