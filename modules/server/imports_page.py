"""/internal/imports: taking over another program's folder, from the Settings tab: looking, doing, undoing. At this machine only.

Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from modules.faults import RequestFault, UnknownJob
from modules.server.body import Body
from modules.server.here import must_be_here
from modules.server.owner import owner_of
from modules.upkeep import imports

if TYPE_CHECKING:
    from modules.app import App
    from modules.upkeep.imports import Record


def routes(app: App) -> APIRouter:
    """The routes of imports."""
    router = APIRouter(prefix="/internal/imports", tags=["page"])

    @router.get("")
    def done(request: Request) -> dict[str, Any]:
        """The imports there were, the latest first: {id, folder, made_s, undone, counts, job}."""
        must_be_here(app, request)
        return {"rows": [_row(app, record) for record in imports.past(app.folders)]}

    @router.post("/look")
    def look(request: Request, body: Body) -> dict[str, Any]:
        """Body: folder. What would be taken over; nothing is changed anywhere."""
        must_be_here(app, request)
        _, found = app.plan_import(body)
        return found.to_data(app.settings.current)

    @router.post("")
    def begin(request: Request, body: Body) -> dict[str, Any]:
        """Body: folder, models, pictures, settings, defaults, styles. What is quick is done at once, the rest by a job."""
        must_be_here(app, request)
        record, _ = app.submit_import(body, owner=owner_of(request))
        return _row(app, record)

    @router.post("/undo")
    def undo(request: Request, body: Body) -> dict[str, list[str]]:
        """Body: id. Answers what was changed since and therefore stays, in words."""
        must_be_here(app, request)
        key = body.get("id")
        if not isinstance(key, str):
            raise RequestFault("id", "must be the id of an import", got=key)
        record = next((row for row in imports.past(app.folders) if row.id == key), None)
        if record is not None and record.job and (job := _job(app, record.job)) and job["state"] in ("queued", "running"):
            raise RequestFault("id", "means an import that is still at work; cancel its job first", got=key)
        return {"left": imports.undo(key, app.folders, app.settings, app.styles)}

    return router


def _row(app: App, record: Record) -> dict[str, Any]:
    return {
        "id": record.id, "folder": record.folder, "made_s": record.made_s, "undone": bool(record.undone_s),
        "counts": {
            "settings": len(record.settings), "defaults": len(record.defaults), "styles": len(record.styles), "models": len(record.models),
            "pictures": len(record.pictures), "later": len(record.later),
        },
        "job": _job(app, record.job) if record.job else None,
    }  # fmt: skip


def _job(app: App, key: str) -> dict[str, Any] | None:
    try:
        job = app.jobs.get(key)
    except UnknownJob:  # taken out of the list since
        return None
    live = app.jobs.live(key) if job.state == "running" else None
    result = job.result or {}
    return {
        "id": job.id, "state": job.state, "fraction": live.fraction if live else float(job.finished), "text": live.text if live else "",
        "warnings": result.get("warnings", []), "notes": result.get("notes", {}), "fault": (job.fault or {}).get("message", ""),
    }  # fmt: skip
