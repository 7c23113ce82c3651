"""/api/v2/captioners: the models that say what a picture shows, and their export to ONNX.

Knows the shapes; the caption room knows the models, a job of the lane for files does the work. Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from modules.caption import CAPTIONERS
from modules.caption.installed import Installed, captioners
from modules.caption.onnx_files import KINDS, exported, size_bytes
from modules.faults import ModelFault
from modules.processing.caption_tasks import abilities
from modules.server.owner import owner_of
from modules.server.v2.job_shapes import JobDetail, base_of, detail_of
from modules.server.v2.jobs import Key
from modules.server.v2.reading import CheckedRoute
from modules.server.v2.shapes import Answer, Asked, problems

if TYPE_CHECKING:
    from modules.app import App


class OnnxForm(Answer):
    """What was exported. same_words: share of words that were the same as torch's when it was made."""

    precision: str
    size_bytes: int
    same_words: float


class CaptionerRow(Answer):
    """A captioner. does: what it can do; title: of its kind; licence: "" where nobody knows; repo: where it is published, "" unknown.

    exports: it can be exported to ONNX; onnx: what was; onnx_fault: why that cannot be used, null when it can.
    """

    name: str
    kind: str
    title: str
    does: list[str]
    size_bytes: int
    licence: str
    repo: str
    starter: bool
    exports: bool
    onnx: list[OnnxForm]
    onnx_fault: str | None


class CaptionerList(Answer):
    """Every captioner. refused: name of a folder that looks like one -> why it cannot be used."""

    items: list[CaptionerRow]
    refused: dict[str, str]


class ExportAsked(Asked):
    """Which captioner, and in what precision. overwrite: take the place of what was exported before."""

    model: Annotated[str, Field(min_length=1, max_length=500)]
    precision: Literal["both", "float32", "int8"] = "both"
    overwrite: bool = False


def routes(app: App) -> APIRouter:
    """The routes of captioners."""
    router = APIRouter(prefix="/api/v2/captioners", tags=["v2 captioners"], route_class=CheckedRoute)

    @router.get("", summary="List captioners", responses=problems())
    def listed() -> CaptionerList:
        """The captioners and taggers in the model folders, people's own first."""
        rows, refused = captioners(app.folders)
        return CaptionerList(items=[_row(row) for row in rows], refused=refused)

    @router.post("/export", summary="Export a captioner to ONNX", status_code=201, responses=problems(404, 422))
    def export(request: Request, response: Response, body: ExportAsked, key: Key = None) -> JobDetail:
        """Queue the export beside the pictures; follow the job at its `events`. The files lie in the captioner's folder, below `onnx`."""
        owner = owner_of(request)
        own_key = None if key is None else f"{owner}:{key}"
        job = app.submit_work("export_captioner", body.model_dump(), owner=owner, key=own_key)
        response.headers["Location"] = f"{base_of(request)}/jobs/{job.id}"
        live = app.jobs.live_of(job.id) if job.state == "running" else None
        place = app.jobs.position(job.id) if job.state == "queued" else None
        return detail_of(job, base_of(request), live, place[0] if place else None)

    return router


def _row(row: Installed) -> CaptionerRow:
    forms: list[OnnxForm] = []
    fault: str | None = None
    try:
        about = exported(row) if row.kind in KINDS else None
    except ModelFault as broken:
        about, fault = None, broken.message
    if about is not None:
        checked = about.checked or {}
        forms = [
            OnnxForm(precision=name, size_bytes=size_bytes(row.path, name), same_words=float(checked.get(name, {}).get("same_words", 0)))
            for name in about.precisions
        ]
    return CaptionerRow(
        name=row.name, kind=row.kind, title=CAPTIONERS.get(row.kind).title, does=sorted(abilities(row)), size_bytes=row.size_bytes,
        licence=row.licence, repo=row.repo, starter=row.starter, exports=row.kind in KINDS, onnx=forms, onnx_fault=fault,
    )  # fmt: skip
