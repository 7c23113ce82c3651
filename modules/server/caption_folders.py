"""/internal/caption-folders: captions for folders of pictures: begin, look through what came, mend captions in place, count tags, undo.

Paths come from a job's ledger, never from the caller. Knows ledgers; the worker captions. Start reading at `routes`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import FileResponse

from modules.caption.cleaning import tags_of, words_of
from modules.caption.ledger import Entry, Ledger, summary, undo
from modules.caption.sidecars import shelf_of
from modules.faults import RequestFault, UnknownName
from modules.folders import safe_join
from modules.library.thumbnails import Thumbnails
from modules.request.caption import TEXT_CHARS
from modules.request.caption_folder import CAPTION_FOLDER, FolderRequest
from modules.server.body import Body
from modules.server.errors import Refused
from modules.server.v2.rights import own, visible
from modules.users import LOCAL, viewer_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

PAGE = 60
SHOWN = ("all", "captioned", "skipped", "faults", "edited")
MOST_CHARS = 10 * TEXT_CHARS


def routes(app: App) -> APIRouter:
    """The routes of captions for folders."""
    router = APIRouter(prefix="/internal/caption-folders", tags=["page"])

    @router.post("")
    def submit(request: Request, body: Body) -> dict[str, Any]:
        """Queue captions for a folder of the data folder; body: the fields of a folder's captions, and `key`."""
        key = body.get("key")
        asked = FolderRequest.from_data({name: value for name, value in body.items() if value is not None})
        job = app.submit_caption_folder(asked, owner=viewer_of(request).name or LOCAL, key=str(key)[:200] if key else None)
        return {"id": job.id, "number": job.number, "pictures": job.resolved["n_iter"]}

    @router.get("/{job_id}")
    def state(request: Request, job_id: str) -> dict[str, Any]:
        """How far a job is: {"state", "fraction", "text", "captioned", "skipped", "failed", "faults", ...}."""
        return _state(app, visible(app, request, job_id))

    @router.get("/{job_id}/rows")
    def rows(
        request: Request,
        job_id: str,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = PAGE,
        show: str = "all",
        search: Annotated[str, Query(max_length=200)] = "",
    ) -> dict[str, Any]:
        """Pictures with their captions as they are now: {"rows", "total"}. search: words that the caption or the name has."""
        if show not in SHOWN:
            raise UnknownName("show", show, SHOWN)
        return _rows(_ledger(app, visible(app, request, job_id)), offset, limit, show, search.casefold().split())

    @router.get("/{job_id}/tags")
    def tags(request: Request, job_id: str, by: str = "tags") -> list[dict[str, Any]]:
        """How many captions have which tag (what stands between commas), or with by=words which word; the most frequent first."""
        if by not in ("tags", "words"):
            raise UnknownName("by", by, ("tags", "words"))
        texts = [entry.text for entry in _ledger(app, visible(app, request, job_id)).entries.values() if not entry.fault]
        return [{"tag": tag, "count": count} for tag, count in (tags_of if by == "tags" else words_of)(texts)]

    @router.get("/{job_id}/thumbnail", response_class=FileResponse)
    def thumbnail(request: Request, job_id: str, name: str) -> FileResponse:
        """A small picture of one of the job's pictures."""
        ledger = _ledger(app, visible(app, request, job_id))
        if name not in ledger.entries:
            raise Refused(404, "Not Found", errors="name: this job has no such picture")
        made = Thumbnails(app.folders.cache / "thumbnails").of_file(safe_join(Path(ledger.head["folder"]), name))
        if made is None:
            raise Refused(404, "Not Found", errors=f"{name} cannot be shown")
        return FileResponse(made, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400"})

    _add_changes(router, app)
    return router


def _add_changes(router: APIRouter, app: App) -> None:
    @router.post("/{job_id}/rows")
    def mend(request: Request, job_id: str, body: Body) -> dict[str, Any]:
        """Write a caption anew, into its file as well; body: name (as in `rows`), text."""
        job = _ended(own(app, request, job_id))
        ledger = _ledger(app, job)
        entry, text = ledger.entries.get(str(body.get("name"))), body.get("text")
        if entry is None:
            raise RequestFault("name", "is none of the job's pictures", got=body.get("name"))
        if not isinstance(text, str) or len(text) > MOST_CHARS:
            raise RequestFault("text", f"must be a text of at most {MOST_CHARS} characters", got=type(text).__name__)
        return _mended(ledger, entry, text)

    @router.post("/{job_id}/undo")
    def take_back(request: Request, job_id: str) -> dict[str, Any]:
        """Put back what stood in the files before: {"undone": how many, "changed": names that were changed since and stay}."""
        ledger = _ledger(app, _ended(own(app, request, job_id)))
        if ledger.undone:
            raise Refused(409, "Conflict", errors="this was undone already")
        undone, changed = undo(ledger, shelf_of(Path(ledger.head["folder"]), ledger.head["output"]))
        return {"undone": undone, "changed": changed}


def _ledger(app: App, job: Job) -> Ledger:
    found = Ledger.open(app.folders, job.id)
    if found is None:
        raise Refused(404, "Not Found", errors="there is no list of what this job did")
    return found


def _ended(job: Job) -> Job:
    if not job.finished:
        raise Refused(409, "Conflict", errors="it still runs; stop it first, or wait")
    return job


def _state(app: App, job: Job) -> dict[str, Any]:
    if job.kind != CAPTION_FOLDER:
        raise Refused(404, "Not Found", errors="this job has no folder")
    live = app.jobs.live_of(job.id) if job.state == "running" else None
    ledger = Ledger.open(app.folders, job.id)
    return {
        **(summary(ledger) if ledger is not None else {"captioned": 0, "skipped": 0, "failed": 0, "faults": []}),
        "id": job.id,
        "state": job.state,
        "pictures": job.resolved["n_iter"],
        "folder": job.resolved["folder"],
        "output": job.resolved["output"],
        "fraction": live.fraction if live else float(job.finished),
        "text": live.text if live else "",
        "eta_s": live.eta_s if live else None,
        "fault": job.fault,
        "per_second": (job.result or {}).get("per_second"),
        "warnings": (job.result or {}).get("warnings", []),
        "undone": ledger is not None and ledger.undone,
    }


def _rows(ledger: Ledger, offset: int, limit: int, show: str, search: list[str]) -> dict[str, Any]:
    wanted = {
        "all": lambda entry: True,
        "captioned": lambda entry: not entry.fault and not entry.skipped,
        "skipped": lambda entry: entry.skipped,
        "faults": lambda entry: bool(entry.fault),
        "edited": lambda entry: entry.edited,
    }[show]
    found = [
        entry
        for entry in ledger.entries.values()
        if wanted(entry) and all(word in f"{entry.name}\n{entry.text}".casefold() for word in search)
    ]
    return {"rows": [_row(entry) for entry in found[offset : offset + limit]], "total": len(found)}


def _row(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "text": entry.text, "skipped": entry.skipped, "fault": entry.fault, "edited": entry.edited}


def _mended(ledger: Ledger, entry: Entry, text: str) -> dict[str, Any]:
    shelf = shelf_of(Path(ledger.head["folder"]), ledger.head["output"])
    if entry.fault:
        raise RequestFault("name", f"cannot have a caption: {entry.fault}", got=entry.name)
    changed = Entry(entry.name, text=text, before=entry.before, caption=entry.caption, skipped=entry.skipped, edited=True)
    ledger.add([changed])
    shelf.put(entry.name, text)
    shelf.flush()
    return _row(changed)
