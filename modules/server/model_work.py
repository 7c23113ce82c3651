"""What programs do with the model on the device beside pictures: put it away, load it again, make an embedding.

Knows A1111's answers; the jobs do the work, in their turn. Start reading at `routes`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from modules.knobs import knobs_of
from modules.processing.model_work_plan import CREATE_EMBEDDING, RELOAD, UNLOAD, NewEmbedding
from modules.server.body import Body
from modules.server.errors import Refused, job_failed
from modules.server.generate import Closing
from modules.server.owner import owner_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

HYPERNETWORKS = "Hypernetworks are not made here: they are pickles, which can run code, and LoRAs do the same better."
TRAINING = (
    "Embeddings are trained in sessions here, with their pictures: by the Train tab, POST /api/v2/train/sessions with the method "
    "textual_inversion, or `python launch.py train`."
)
_REFUSED: dict[int | str, dict[str, Any]] = {422: {"description": "this version cannot do it"}}


def _schema() -> dict[str, Any]:
    kinds = {int: "integer", str: "string", bool: "boolean"}
    properties = {
        name: {
            "title": f.knob.label, "type": kinds[f.kind],
            **({} if f.default is dataclasses.MISSING else {"default": f.default}),
            **{key: value for key, value in (("minimum", f.knob.low), ("maximum", f.knob.high), ("maxLength", f.knob.max_chars)) if value},
        }
        for name, f in knobs_of(NewEmbedding).items()
    }  # fmt: skip
    body = {"title": "NewEmbedding", "type": "object", "required": ["name"], "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}}


def routes(app: App, closing: Closing) -> APIRouter:
    """The routes of the model on the device, and those of training."""
    router = APIRouter(tags=["models"])

    @router.post("/sdapi/v1/unload-checkpoint", response_model=None)
    async def unload_checkpoint(request: Request) -> dict[str, Any] | Response:
        """Free the device: the model waits in main memory, or on the disk where that is the same. The next picture loads it again."""
        return await done(request, UNLOAD)

    @router.post("/sdapi/v1/reload-checkpoint", response_model=None)
    async def reload_checkpoint(request: Request) -> dict[str, Any] | Response:
        """Put the chosen checkpoint on the device."""
        return await done(request, RELOAD)

    @router.post("/sdapi/v1/create/embedding", openapi_extra=_schema(), response_model=None)
    async def create_embedding(request: Request, body: Body) -> dict[str, Any] | Response:
        """Make the file of a new textual inversion, its vectors those of init_text's words. Answers {info}, the file's path."""
        ended = await _run(CREATE_EMBEDDING, request, body)
        if isinstance(ended, Response):
            return ended
        await run_in_threadpool(app.library.refresh, "embedding")
        return {"info": f"create embedding filename: {', '.join((ended.result or {}).get('files', []))}"}

    async def done(request: Request, kind: str) -> dict[str, Any] | Response:
        ended = await _run(kind, request)
        return ended if isinstance(ended, Response) else {}

    async def _run(kind: str, request: Request, body: dict[str, Any] | None = None) -> Job | Response:
        """The finished job, or the answer when it failed."""
        owner = owner_of(request)
        job = await run_in_threadpool(app.submit_model_work, kind, body, owner=owner)
        ended = await closing.wait_for(app.jobs.finished(job.id))
        return ended if ended.state in ("done", "canceled") else job_failed(ended.id, ended.fault)

    _add_refused(router)
    return router


def _add_refused(router: APIRouter) -> None:
    for path, why in (("create/hypernetwork", HYPERNETWORKS), ("train/embedding", TRAINING), ("train/hypernetwork", HYPERNETWORKS)):
        router.add_api_route(f"/sdapi/v1/{path}", _refusing(why), methods=["POST"], name=path, responses=_REFUSED)


def _refusing(why: str) -> Any:
    def refuse() -> None:
        raise Refused(422, why, errors=why)

    refuse.__doc__ = f"Always refused. {why}"
    return refuse
