"""POST /sdapi/v1/extra-single-image and extra-batch-images, and the picture that a result was made from, for the page.

Knows A1111's bodies and answers; the job does the work. Start reading at `routes`.
"""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from PIL import Image
from starlette.concurrency import run_in_threadpool

from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.pixels.incoming import read_picture
from modules.request import Result
from modules.request.extras import EXTRAS, ExtrasRequest, ResolvedExtras
from modules.server.body import Body
from modules.server.errors import Refused, job_failed
from modules.server.generate import Closing
from modules.server.owner import owner_of
from modules.server.sent import keep

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

DEFAULTS: dict[str, Any] = {"upscaling_resize": 2.0, "codeformer_weight": 0.0, "save_images": False}
"""Where the API's default is not the page's. Source: A1111 1.10."""
NOT_IN_THE_API = ("images", "image_names", "input_dir", "output_dir", "save_images")
ACCEPTED = {
    "show_extras_results": ("boolean", True, "Taken and not used: the pictures are always in the answer."),
    "upscale_first": ("boolean", False, "Taken and not used: pictures are enlarged before faces are restored."),
}
SHOWN_PX = 4096
KEPT = {"Cache-Control": "private, max-age=86400"}


def _schema(name: str, pictures: dict[str, Any]) -> dict[str, Any]:
    """The body as JSON schema, for the OpenAPI description."""
    kinds = {int: "integer", float: "number", str: "string", bool: "boolean", dict: "object"}
    properties: dict[str, Any] = dict(pictures)
    for field in (f for f in knobs_of(ExtrasRequest).values() if f.name not in NOT_IN_THE_API):
        limits = {"minimum": field.knob.low, "maximum": field.knob.high, "maxLength": field.knob.max_chars, "description": field.knob.help}
        properties[field.name] = {
            "title": field.knob.label,
            "type": [kinds[field.kind], "null"],
            "default": DEFAULTS.get(field.name, field.default),
            **{key: limit for key, limit in limits.items() if limit not in (None, "")},
        }
    properties |= {key: {"type": kind, "default": start, "description": told} for key, (kind, start, told) in ACCEPTED.items()}
    body = {"title": name, "type": "object", "required": list(pictures), "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}}


_TEXT = {"type": "string", "description": "base64, bare or as a data URI"}
_SINGLE = _schema("ExtrasSingleImageRequest", {"image": _TEXT})
_FILE = {"type": "object", "required": ["data"], "properties": {"data": _TEXT, "name": {"type": "string"}}}
_BATCH = _schema("ExtrasBatchImagesRequest", {"imageList": {"type": "array", "items": _FILE}})


def routes(app: App, closing: Closing) -> APIRouter:
    """The routes of Extras."""
    router = APIRouter(tags=["extras"])

    @router.post("/sdapi/v1/extra-single-image", openapi_extra=_SINGLE, response_model=None)
    async def single(request: Request, body: Body) -> Any:
        """Enlarge or finish one picture; nothing is saved. Answers {html_info, image}."""
        ended = await _run(app, closing, request, body, [("", body.get("image"))], "image")
        if isinstance(ended, Response):
            return ended
        told, images = await run_in_threadpool(_answer, ended)
        return {"html_info": told, "image": images[0] if images else ""}

    @router.post("/sdapi/v1/extra-batch-images", openapi_extra=_BATCH, response_model=None)
    async def batch(request: Request, body: Body) -> Any:
        """Enlarge or finish several pictures; nothing is saved. Answers {html_info, images}."""
        ended = await _run(app, closing, request, body, _listed(body.get("imageList")), "imageList")
        if isinstance(ended, Response):
            return ended
        told, images = await run_in_threadpool(_answer, ended)
        return {"html_info": told, "images": images}

    @router.get("/internal/extras/{job_id}/{place}/before", response_class=Response, tags=["page"])
    def before(job_id: str, place: int) -> Response:
        """What the picture at this place of a job's result was made from, as a PNG that a browser can show."""
        return Response(_before(app, job_id, place), media_type="image/png", headers=KEPT)

    return router


def _listed(value: Any) -> list[tuple[str, Any]]:
    """(name, base64) of imageList. Raises RequestFault."""
    if not isinstance(value, list) or not value:
        raise RequestFault("imageList", "must be a list of {data, name}", got=type(value).__name__)
    if not all(isinstance(entry, dict) for entry in value):
        raise RequestFault("imageList", "must be a list of {data, name}")
    return [(str(entry.get("name") or ""), entry.get("data")) for entry in value]


async def _run(
    app: App, closing: Closing, request: Request, body: dict[str, Any], pictures: list[tuple[str, Any]], field: str
) -> Job | Response:
    """The finished job, or the answer when it failed."""
    owner = owner_of(request)
    job = await run_in_threadpool(_submit, app, body, pictures, field, owner)
    ended = await closing.wait_for(app.jobs.finished(job.id))
    return ended if ended.state in ("done", "canceled") else job_failed(ended.id, ended.fault)


def _submit(app: App, body: dict[str, Any], pictures: list[tuple[str, Any]], field: str, owner: str) -> Job:
    given = {name: value for name, value in body.items() if value is not None and name not in NOT_IN_THE_API}
    ExtrasRequest.from_data(given)  # numbers and names first: they are cheaper to check than pictures
    references = [keep(picture, field, app.inputs, app.settings.current) for _, picture in pictures]
    names = [name for name, _ in pictures]
    request = ExtrasRequest.from_data({**given, **{k: v for k, v in DEFAULTS.items() if k not in given}, "images": references})
    return app.submit_extras(ExtrasRequest.from_data({**request.to_data(), "image_names": names}), owner=owner)


def _answer(job: Job) -> tuple[str, list[str]]:
    """(html_info, base64 pictures). Raises Refused(410) when the files are gone."""
    result = Result.from_data(job.result) if job.result else Result(pictures=())
    images: list[str] = []
    for picture in result.pictures:
        try:
            images.append(base64.b64encode(Path(picture.path).read_bytes()).decode())
        except OSError as error:
            raise Refused(410, "A picture of this job is no longer there.", errors=str(error.strerror)) from error
    texts = [*dict.fromkeys(p.infotext for p in result.pictures if p.infotext), *result.warnings]
    return "".join(f"<p>{'<br>'.join(escape(line) for line in text.splitlines())}</p>" for text in texts), images


def _before(app: App, job_id: str, place: int) -> bytes:
    job = app.jobs.get(job_id)
    pictures = (job.result or {}).get("pictures", [])
    if job.kind != EXTRAS or not 0 <= place < len(pictures):
        raise Refused(404, "Not Found", errors="place: there is no such picture in this job")
    source = ResolvedExtras.from_data(job.resolved).sources[pictures[place]["index"]]
    path = app.inputs.path(source.reference) if source.reference else Path(source.path)
    if not path.is_file():
        raise Refused(404, "Not Found", errors=f"{source.name} is no longer there")
    image = read_picture(path, "images")
    image.thumbnail((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
