"""/controlnet: what the well-known ControlNet extension answers: its version, models, preprocessors and control types, maps of pictures.

Knows its shapes and words; a map is a job of the queue. Start reading at `routes`.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modules.control.maps.row import MapRow
from modules.control.maps.table import ALL, MAPS, NONE, control_types, models_of_type, of_type
from modules.faults import ModelFault, RequestFault
from modules.request.control import NONE as NO_MODEL
from modules.request.control_map import MapRequest
from modules.server.body import Body
from modules.server.control_page import title_of
from modules.server.errors import Refused, job_failed
from modules.server.generate import Closing
from modules.server.owner import owner_of
from modules.server.poses import drawn
from modules.server.sent import keep

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

API_VERSION = 3
NOT_AVAILABLE, NOT_SUPPORTED, NO_IMAGE = "Module not available", "Module not supported", "No image selected"
POSES: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}}
}
NUMBERS = {"processor_res": "integer", "threshold_a": "number", "threshold_b": "number"}


def _schema() -> dict[str, Any]:
    pictures = {"type": "array", "items": {"type": "string"}, "description": "base64, bare or as data URIs"}
    properties: dict[str, Any] = {
        "controlnet_module": {"type": "string", "default": NONE, "description": "a name of module_list"},
        "controlnet_input_images": pictures,
        "controlnet_images": {**pictures, "description": "an older name of controlnet_input_images"},
        "controlnet_masks": pictures,
        "low_vram": {"type": "boolean", "default": False, "description": "taken and not used: detectors make room by themselves"},
        **{f"controlnet_{name}": {"type": kind, "default": -1} for name, kind in NUMBERS.items()},
    }
    body = {"title": "ControlNetDetect", "type": "object", "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}}


def routes(app: App, closing: Closing) -> APIRouter:
    """The routes of the extension."""
    router = APIRouter(prefix="/controlnet", tags=["controlnet"])
    _add_lists(router, app)

    @router.post("/detect", openapi_extra=_schema(), response_model=None)
    async def detect(request: Request, body: Body) -> Any:
        """Control maps of pictures; answers {info, images} when they are made, with the people found as poses for openpose modules."""
        job = await run_in_threadpool(_submit, app, body, owner_of(request))
        ended = await closing.wait_for(app.jobs.finished(job.id))
        if ended.state not in ("done", "canceled"):
            return job_failed(ended.id, ended.fault)
        return await run_in_threadpool(_answer, app, ended)

    @router.post("/render_openpose_json", openapi_extra=POSES, response_model=None)
    async def render_openpose_json(request: Request) -> Any:
        """Pictures of people as OpenPose writes them: a list of {people, canvas_width, canvas_height}."""
        return await drawn(await request.body())

    return router


def _add_lists(router: APIRouter, app: App) -> None:
    @router.get("/version")
    def version() -> dict[str, int]:
        """The version of this API."""
        return {"version": API_VERSION}

    @router.get("/model_list")
    def model_list(update: bool = True) -> dict[str, list[str]]:
        """Titles of the models. update: look for new files first."""
        return {"model_list": titles(app, update=update)}

    @router.get("/module_list")
    def module_list(alias_names: bool = False) -> dict[str, Any]:
        """Names of the preprocessors and what they take. alias_names: as they are called on the page."""
        rows = of_type(ALL)
        detail = {_called(row, alias_names): {"model_free": row.model_free, "sliders": [s.to_data() for s in row.sliders]} for row in rows}
        return {"module_list": list(detail), "module_detail": detail}

    @router.get("/control_types")
    def types() -> dict[str, Any]:
        """For each control type, "All" first: its preprocessors, its models by their names, and what it begins with."""
        names = titles(app, update=False)
        return {"control_types": {kind: _type(kind, names) for kind in control_types()}}

    @router.get("/settings")
    def settings() -> dict[str, int]:
        """How many units the page has."""
        return {"control_net_unit_count": app.settings.current.control_net_unit_count}


def titles(app: App, *, update: bool) -> list[str]:
    """Titles of the ControlNet models, by name. update: look for new files first."""
    if update:
        app.library.refresh("controlnet")
    return [title_of(row) for row in app.library.sure_rows("controlnet")]


def _type(kind: str, names: list[str]) -> dict[str, Any]:
    rows = of_type(kind)
    models = models_of_type(kind, names)
    first = rows[0] if kind == ALL or len(rows) == 1 else rows[1]
    return {
        "module_list": [row.shown for row in rows],
        "model_list": [NO_MODEL, *models],
        "default_option": first.shown,
        "default_model": NO_MODEL if kind == ALL or not models else models[0],
    }


def _called(row: MapRow, alias: bool) -> str:
    return row.shown if alias else row.name


def _submit(app: App, body: dict[str, Any], owner: str) -> Job:
    """Raises Refused with the extension's words, RequestFault naming the field."""
    name = body.get("controlnet_module") or NONE
    if not isinstance(name, str) or name not in MAPS:
        raise Refused(422, NOT_AVAILABLE, errors=f"controlnet_module: there is no preprocessor {str(name)[:80]!r}; see module_list")
    row = MAPS.get(name)
    if row.why_not or row.gives == "ip-adapter":
        raise Refused(422, NOT_SUPPORTED, errors=f"controlnet_module: {row.name}: {row.why_not or 'it makes no picture'}")
    images = _listed(body, "controlnet_input_images") or _listed(body, "controlnet_images")
    masks = _listed(body, "controlnet_masks")
    if not images:
        raise Refused(422, NO_IMAGE, errors="controlnet_input_images: send at least one picture")
    if row.masked and len(masks) != len(images):
        words = f"Preprocessor {name} requires `controlnet_masks` param."
        raise Refused(422, words, errors=f"controlnet_masks: {len(masks)} masks for {len(images)} pictures")
    settings = app.settings.current
    given = {key: body[f"controlnet_{key}"] for key in NUMBERS if body.get(f"controlnet_{key}") is not None}
    request = MapRequest.from_data({
        "module": row.name,
        "images": [keep(one, "controlnet_input_images", app.inputs, settings) for one in images],
        "masks": [keep(one, "controlnet_masks", app.inputs, settings) if one else "" for one in masks],
        **given,
    })  # fmt: skip
    try:
        return app.submit_maps(request, owner=owner)
    except ModelFault as fault:
        raise Refused(422, NOT_AVAILABLE, errors=fault.message) from fault


def _listed(body: dict[str, Any], name: str) -> list[Any]:
    found = body.get(name) or []
    if not isinstance(found, list):
        raise RequestFault(name, "must be a list of pictures", got=type(found).__name__)
    return found


def _answer(app: App, job: Job) -> Response | dict[str, Any]:
    maps: list[dict[str, Any]] = (job.result or {}).get("maps") or []
    if not maps:
        return job_failed(job.id, {"kind": "canceled", "message": "The job was canceled before a map was there. Ask again."})
    images = [base64.b64encode(app.inputs.path(made["reference"]).read_bytes()).decode() for made in maps]
    poses = [made["pose"] for made in maps if made["pose"] is not None]
    return {"info": "Success", "images": images, **({"poses": poses} if poses else {})}
