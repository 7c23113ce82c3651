"""/internal/captions: what the Caption tab asks: the captioners, a job with its words as they come, heat maps, presets.

Knows jobs and files of heat maps; the worker captions. Folders of pictures are `caption_folders`. Start reading at `routes`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import FileResponse

from modules.caption import CAPTIONERS
from modules.caption import presets as files
from modules.caption.adapters import adapters
from modules.caption.installed import Installed, captioners, find
from modules.caption.onnx_files import onnx_precisions
from modules.faults import RequestFault
from modules.library.thumbnails import Thumbnails
from modules.processing.caption_plan import CLIP, names
from modules.processing.caption_writing import usual_writing, writing_of
from modules.request.caption import CAPTIONS, TASKS, CaptionRequest
from modules.server.body import Body
from modules.server.errors import Refused
from modules.server.heat import heat_png
from modules.server.v2.rights import visible
from modules.users import ADMIN, LOCAL, require, viewer_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Event, Job

GB = 1e9
PAGE_EVENTS = 500
TOLD = ("words", "caption", "warning")
KEPT = {"Cache-Control": "private, max-age=3600"}


def routes(app: App) -> APIRouter:
    """The routes of the Caption tab."""
    router = APIRouter(prefix="/internal/captions", tags=["page"])

    @router.get("")
    def captioners_here() -> dict[str, Any]:
        """Every captioner with what it can do and how it writes; `names` are what `model` may be called with."""
        return _captioners(app)

    @router.post("")
    def submit(request: Request, body: Body) -> dict[str, Any]:
        """Queue captions; body: the fields of a caption, pictures by reference, and `key` to make a repeated request one job."""
        asked = CaptionRequest.from_data({name: value for name, value in body.items() if value is not None})
        job = app.submit_caption(asked, owner=viewer_of(request).name or LOCAL, key=_text(body, "key") or None)
        return {"id": job.id, "number": job.number}

    @router.post("/presets")
    def save_preset(request: Request, body: Body) -> dict[str, Any]:
        """Keep a way of writing beside its model; body: model, name ("" changes the model's own), and fields of a caption."""
        require(request, ADMIN, "keep files beside models")
        model = _model(app, _text(body, "model"))
        asked = {name: value for name, value in body.items() if name in files.FIELDS and value is not None}
        writing, _ = writing_of(CaptionRequest.from_data(asked), model)
        path = files.save(model.path, _text(body, "name"), {field: getattr(writing, field) for field in files.FIELDS})
        return {"file": path.name, "presets": files.names(model.path)}

    @router.post("/presets/remove")
    def remove_preset(request: Request, body: Body) -> dict[str, Any]:
        """Delete a named preset; body: model, name."""
        require(request, ADMIN, "delete files beside models")
        model = _model(app, _text(body, "model"))
        files.remove(model.path, _text(body, "name"))
        return {"presets": files.names(model.path)}

    @router.get("/presets")
    def preset(model: str, name: Annotated[str, Query(max_length=100)] = "") -> dict[str, Any]:
        """How a model writes with a preset, every field; without a name: as its own file says."""
        found = _model(app, model)
        return usual_writing(found, CAPTIONERS.get(found.kind), name.strip())

    @router.get("/{job_id}/heard")
    def heard(request: Request, job_id: str, after: Annotated[int, Query(ge=0, le=2**53)] = 0) -> dict[str, Any]:
        """What a job has told since an event, and how it is doing; its result once it has ended."""
        return _heard(app, visible(app, request, job_id), after)

    _add_heat(router, app)
    _add_found(router, app)
    return router


def _add_heat(router: APIRouter, app: App) -> None:
    @router.get("/{job_id}/{index}/heat.png", response_class=Response)
    def heat(
        request: Request,
        job_id: str,
        index: int,
        word: Annotated[list[int] | None, Query(max_length=512)] = None,
        layer: int = -1,
        head: int = -1,
        overlay: bool = True,
        opacity: Annotated[float, Query(ge=0, le=1)] = 0.6,
        side: Annotated[int, Query(ge=16, le=4096)] = 1024,
    ) -> Response:
        """Where the model looked for words of a caption, laid over its picture; all words without `word`.

        layer, head: -1 for the mean of all. overlay=false: the map alone, grey, a pixel a patch.
        """
        job = visible(app, request, job_id)
        return Response(heat_png(app, job, index, word, layer, head, opacity if overlay else None, side), 200, KEPT, "image/png")


def _add_found(router: APIRouter, app: App) -> None:
    @router.get("/{job_id}/{index}/thumbnail", response_class=FileResponse)
    def thumbnail(request: Request, job_id: str, index: int) -> FileResponse:
        """A small picture of one that a search through a folder looked at."""
        job = visible(app, request, job_id)
        sources = job.resolved["sources"] if job.kind == CAPTIONS and job.resolved.get("search") else []
        if not 0 <= index < len(sources):
            raise Refused(404, "Not Found", errors="index: this job has no such picture")
        made = Thumbnails(app.folders.cache / "thumbnails").of_file(Path(sources[index]["path"]))
        if made is None:
            raise Refused(404, "Not Found", errors=f"{sources[index]['name']} cannot be shown; it may have been moved or deleted since")
        return FileResponse(made, media_type="image/webp", headers=KEPT)


def _captioners(app: App) -> dict[str, Any]:
    rows, refused = captioners(app.folders)
    return {
        "models": [_row(row) for row in rows],
        "names": names(app.folders),
        "usual": app.settings.current.interrogate_captioner,
        "clip": CLIP,
        "adapters": [row.name for row in adapters(app.folders)[0]],
        "refused": [{"name": name, "why": why} for name, why in refused.items()],
    }


def _row(row: Installed) -> dict[str, Any]:
    kind = CAPTIONERS.get(row.kind)
    return {
        "name": row.name,
        "kind": kind.title,
        "does": [*row.does],
        "heat": kind.looks is not None,
        "blind": kind.blind,
        "follows": kind.follows,
        "tasks": [{"name": name, "words": TASKS[name], "reads": kind.tasks[name].reads} for name in TASKS if name in kind.tasks],
        "gigabytes": round(row.size_bytes / GB, 3),
        "licence": row.licence,
        "starter": row.starter,
        "onnx": [*onnx_precisions(row)],
        "writing": usual_writing(row, kind),
        "presets": files.names(row.path),
    }


def _model(app: App, name: str) -> Installed:
    """Raises UnknownName, ModelFault, RequestFault."""
    if not name.strip():
        raise RequestFault("model", "name the captioner that the preset is for")
    return find(*captioners(app.folders), name)


def _text(body: dict[str, Any], field: str) -> str:
    value = body.get(field) or ""
    if not isinstance(value, str) or len(value) > 500:
        raise RequestFault(field, "must be a text of at most 500 characters", got=type(value).__name__)
    return value


def _heard(app: App, job: Job, after: int) -> dict[str, Any]:
    live = app.jobs.live_of(job.id) if job.state == "running" else None
    place = app.jobs.position(job.id) if job.state == "queued" else None
    events = [event for event in app.jobs.events(job.id, after) if event.type in TOLD][:PAGE_EVENTS]
    return {
        "id": job.id,
        "state": job.state,
        "events": [_event(event) for event in events],
        "last": events[-1].number if events else after,
        "fraction": live.fraction if live else float(job.finished),
        "text": live.text if live else "",
        "eta_s": live.eta_s if live else None,
        "before": place[0] if place else None,
        "fault": job.fault,
        "result": job.result if job.finished and len(events) < PAGE_EVENTS else None,
    }


def _event(event: Event) -> dict[str, Any]:
    return {"number": event.number, "type": event.type, "data": event.data}
