"""POST /sdapi/v1/txt2img: a body becomes a job; the answer waits for it and carries the pictures.

Knows A1111's answer; the job does the work and goes on when the client leaves. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from modules import infotext
from modules.faults import RequestFault
from modules.request import Picture, ResolvedRequest, Result
from modules.server.body import Body
from modules.server.errors import Refused, job_failed
from modules.server.fields import Asked, read, schema

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

UNUSED_INFO: dict[str, Any] = {
    "subseed_strength": 0,
    "restore_faces": False,
    "face_restoration_model": None,
    "seed_resize_from_w": -1,
    "seed_resize_from_h": -1,
    "denoising_strength": None,
    "extra_generation_params": {},
    "is_using_inpainting_conditioning": False,
}
"""Keys of A1111's info about what this version does not do; clients look for them."""
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema()}}}}


class Closing:
    """Tells those who wait for jobs that the server is about to end. Safe with several event loops."""

    def __init__(self) -> None:
        self._begun = False
        self._waiting: set[asyncio.Task[Job]] = set()

    def begin(self) -> None:
        """Everyone who waits, now or later, is answered at once."""
        self._begun = True
        for task in list(self._waiting):
            task.get_loop().call_soon_threadsafe(task.cancel)

    async def wait_for(self, job: Coroutine[Any, Any, Job]) -> Job:
        """The finished job. Raises Refused(503) when the server ends first."""
        task = asyncio.create_task(job)
        self._waiting.add(task)
        if self._begun:
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            if not self._begun:
                raise
            raise Refused(503, "The server is stopping.", errors="The job stays in the queue and is made after the next start.") from None
        finally:
            self._waiting.discard(task)
            task.cancel()


def routes(app: App, closing: Closing) -> APIRouter:
    """The route of txt2img."""
    router = APIRouter(tags=["pictures"])
    noisy = noisy_samplers(app)

    @router.post("/sdapi/v1/txt2img", openapi_extra=_BODY, response_class=Response, responses={200: {"content": {"application/json": {}}}})
    async def txt2img(request: Request, body: Body) -> Response:
        """Make pictures from text. Answers when they are made: base64 pictures, the request, and what A1111 calls info."""
        asked = read(body, noisy)
        user = getattr(request.state, "user", None)
        job = await run_in_threadpool(submit, app, asked, user or "local")
        ended = await closing.wait_for(app.jobs.finished(job.id))
        if ended.state not in ("done", "canceled"):
            return job_failed(ended.id, ended.fault)
        return await run_in_threadpool(answer, ended, asked)

    return router


def noisy_samplers(app: App) -> frozenset[str]:
    """Names and aliases, in lower case, of the samplers that add noise of their own at each step."""
    rows = [row for _, row in app.samplers if row.options.get("uses_ensd") or row.options.get("brownian_noise")]
    return frozenset(name.casefold() for row in rows for name in (row.name, *row.aliases))


def submit(app: App, asked: Asked, owner: str) -> Job:
    """Queue what was asked, or find the job of the same task id. Raises RequestFault, ModelFault."""
    job = app.submit(asked.request, owner=owner, key=asked.key)
    if asked.key is not None and job.request != asked.request.to_data():
        raise RequestFault("force_task_id", "was used for another request; take a new one", got=asked.key)
    if asked.keep:
        app.settings.set(asked.keep)
    return job


def answer(job: Job, asked: Asked) -> Response:
    """A1111's answer for a job that was done or interrupted. Raises Refused(410) when its files are gone."""
    result = Result.from_data(job.result) if job.result else Result(pictures=())
    resolved = ResolvedRequest.from_data(job.resolved)
    images = [_base64(picture) for picture in result.pictures] if asked.request.send_images else []
    content = {"images": images, "parameters": asked.parameters, "info": json.dumps(info(job, resolved, result))}
    return Response(json.dumps(content).encode(), media_type="application/json")


def info(job: Job, resolved: ResolvedRequest, result: Result) -> dict[str, Any]:
    """What A1111 says about the pictures; `warnings` and `notes` are our additions."""
    grid_first = bool(result.pictures) and result.pictures[0].kind == "grid"
    texts = [picture.infotext for picture in result.pictures] or [infotext.write(resolved, 0)]
    return {
        "prompt": resolved.all_prompts[0],
        "all_prompts": resolved.all_prompts,
        "negative_prompt": resolved.all_negative_prompts[0],
        "all_negative_prompts": resolved.all_negative_prompts,
        "seed": resolved.all_seeds[0],
        "all_seeds": resolved.all_seeds,
        "subseed": -1,
        "all_subseeds": [-1] * len(resolved.all_seeds),
        "width": resolved.width,
        "height": resolved.height,
        "sampler_name": resolved.sampler_name,
        "cfg_scale": resolved.cfg_scale,
        "steps": resolved.steps,
        "batch_size": resolved.batch_size,
        "sd_model_name": resolved.checkpoint.model_name,
        "sd_model_hash": resolved.checkpoint.short_hash,
        "index_of_first_image": int(grid_first),
        "infotexts": texts,
        "styles": resolved.styles,
        "job_timestamp": timestamp(job.started_s or job.created_s),
        "version": infotext.VERSION,
        **UNUSED_INFO,
        "sd_vae_name": resolved.vae.name if resolved.vae else None,
        "sd_vae_hash": resolved.vae.sha256[:10] if resolved.vae else None,
        "clip_skip": resolved.settings.get("CLIP_stop_at_last_layers", 1),
        "notes": list(result.notes),
        "warnings": [*resolved.warnings, *(w for w in result.warnings if w not in resolved.warnings)],
    }


def timestamp(time_s: float) -> str:
    """A1111's job_timestamp, local time."""
    return time.strftime("%Y%m%d%H%M%S", time.localtime(time_s))


def _base64(picture: Picture) -> str:
    try:
        return base64.b64encode(Path(picture.path).read_bytes()).decode()
    except OSError as error:
        raise Refused(410, "A picture of this job is no longer there.", errors=f"{Path(picture.path).name}: {error.strerror}") from error
