"""POST /sdapi/v1/interrogate: what a picture shows, in words. GET lists what `model` may be called with.

Knows A1111's body and answer; the job does the work. Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modules.faults import ModelFault, RequestFault, UnknownName
from modules.knobs import knobs_of
from modules.processing.caption_plan import CLIP, names
from modules.processing.caption_tags import means_tags
from modules.request.caption import CaptionRequest
from modules.server.body import Body
from modules.server.errors import Refused, job_failed
from modules.server.generate import Closing
from modules.server.heat import maps_of
from modules.server.owner import owner_of
from modules.server.sent import keep

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

NO_MODEL, NO_PICTURE = "Model not found", "Image not found"
NOT_IN_THE_API = ("images", "image_names", "search", "model", "batch_size")
KINDS = {int: "integer", float: "number", str: "string", bool: "boolean", list: "array"}


def _schema() -> dict[str, Any]:
    """The body as JSON schema, for the OpenAPI description."""
    properties: dict[str, Any] = {
        "image": {"type": "string", "description": "base64, bare or as a data URI"},
        "model": {
            "type": ["string", "null"],
            "default": CLIP,
            "description": "clip: a caption with ranked words behind it; or the name of a captioner, see GET.",
        },
    }
    for field in (f for f in knobs_of(CaptionRequest).values() if f.name not in NOT_IN_THE_API):
        limits = {"minimum": field.knob.low, "maximum": field.knob.high, "maxLength": field.knob.max_chars}
        properties[field.name] = {
            "title": field.knob.label,
            "type": [KINDS[field.kind], "null"],
            "description": field.knob.help,
            "default": field.default,
            **({"items": {"type": "string"}} if field.kind is list else {}),
            **({"enum": [*field.knob.choices, None]} if isinstance(field.knob.choices, tuple) else {}),
            **{key: limit for key, limit in limits.items() if limit is not None},
        }
    body = {"title": "InterrogateRequest", "type": "object", "required": ["image"], "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}}


def routes(app: App, closing: Closing) -> APIRouter:
    """The routes of captions."""
    router = APIRouter(tags=["pictures"])

    @router.post("/sdapi/v1/interrogate", openapi_extra=_schema(), response_model=None)
    async def interrogate(request: Request, body: Body) -> Any:
        """Answers {caption} when it is written. Any field of a caption may stand in the body beside A1111's two."""
        owner = owner_of(request)
        job = await run_in_threadpool(_submit, app, body, owner)
        ended = await closing.wait_for(app.jobs.finished(job.id))
        if ended.state not in ("done", "canceled"):
            return job_failed(ended.id, ended.fault)
        return await run_in_threadpool(_answer, app, ended)

    @router.get("/sdapi/v1/interrogate")
    def interrogators() -> list[str]:
        """The names that `model` may have."""
        return names(app.folders)

    return router


def _submit(app: App, body: dict[str, Any], owner: str) -> Job:
    """Raises Refused with A1111's words, RequestFault naming the field."""
    if body.get("image") is None:
        raise Refused(404, NO_PICTURE, errors="image: a picture in base64 is needed")
    given = {
        name: value
        for name, value in body.items()
        if value is not None and name not in ("images", "image_names", "search", "batch_size", "image")
    }
    request = CaptionRequest.from_data({"model": CLIP, **given})
    reference = keep(body["image"], "image", app.inputs, app.settings.current)
    try:
        return app.submit_caption(CaptionRequest.from_data({**request.to_data(), "images": [reference]}), owner=owner)
    except RequestFault as fault:
        if means_tags(request.model) and fault.field == "model" and not isinstance(fault, UnknownName):
            raise Refused(404, NO_MODEL, errors=fault.message) from fault
        if not isinstance(fault, UnknownName) or fault.field != "model":
            raise
        there = ", ".join(names(app.folders)) or "none"
        raise Refused(404, NO_MODEL, errors=f"{fault.message}; there is {there}") from fault
    except ModelFault as fault:
        raise Refused(404, NO_MODEL, errors=fault.message) from fault


def _answer(app: App, job: Job) -> Response | dict[str, Any]:
    """A1111's {caption}; beside it only what was asked for beyond it."""
    said = (job.result or {}).get("captions") or []
    if not said:
        return job_failed(job.id, {"kind": "canceled", "message": "The job was canceled before the caption was there. Ask again."})
    more = {name: said[0][name] for name in ("fits", "seen", "tags", "places", "size") if name in said[0]}
    if len(said[0].get("candidates", ())) > 1:
        more["candidates"] = said[0]["candidates"]
    if "attention" in said[0]:
        more["attention"] = maps_of(app.folders, said[0]["attention"])
    return {"caption": said[0]["caption"], **more}
