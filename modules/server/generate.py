"""POST /sdapi/v1/txt2img and img2img: a body becomes a job; the answer waits for it and carries the pictures.

Knows A1111's answer; the job does the work and goes on when the client leaves. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from modules import infotext
from modules.families import FAMILIES
from modules.faults import RequestFault, UnknownName
from modules.grids.asked import names_grid
from modules.grids.records import GRID
from modules.request import Picture, ResolvedRequest, Result
from modules.server.accepted import IMG2IMG, TXT2IMG
from modules.server.body import Body
from modules.server.errors import Refused, job_failed
from modules.server.fields import Asked, read, schema
from modules.server.grid import resolved_of, submit_grid
from modules.server.own_size import with_own_size
from modules.server.owner import owner_of
from modules.server.sent import keep
from modules.users import ADMIN

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

# Keys of the parameters text that A1111's info has under names of their own; all others are its extra_generation_params.
CORE = frozenset({
    "Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE hash", "VAE", "Variation seed",
    "Variation seed strength", "Seed resize from", "Denoising strength", "Clip skip", "RNG", "Tiling", "Face restoration",
})  # fmt: skip


def _body(task: str) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema(task)}}}}


_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}}}}


T = TypeVar("T")


class Closing:
    """Tells those who wait for jobs that the server is about to end. Safe with several event loops."""

    def __init__(self) -> None:
        self._begun = False
        self._waiting: set[asyncio.Task[Any]] = set()

    def begin(self) -> None:
        """Everyone who waits, now or later, is answered at once."""
        self._begun = True
        for task in list(self._waiting):
            task.get_loop().call_soon_threadsafe(task.cancel)

    async def wait_for(self, coming: Coroutine[Any, Any, T]) -> T:
        """What is waited for, such as the finished job. Raises Refused(503) when the server ends first."""
        task = asyncio.create_task(coming)
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
    """The routes of txt2img and img2img."""
    router = APIRouter(tags=["pictures"])

    @router.post("/sdapi/v1/txt2img", openapi_extra=_body(TXT2IMG), response_class=Response, responses=_ANSWER)
    async def txt2img(request: Request, body: Body) -> Response:
        """Make pictures from text. Answers when they are made: base64 pictures, the request, and what A1111 calls info."""
        return await _made(request, body, TXT2IMG)

    @router.post("/sdapi/v1/img2img", openapi_extra=_body(IMG2IMG), response_class=Response, responses=_ANSWER)
    async def img2img(request: Request, body: Body) -> Response:
        """Make pictures from pictures, or paint a masked part of one anew. Answers as txt2img does."""
        return await _made(request, body, IMG2IMG)

    async def _made(request: Request, body: dict[str, Any], task: str) -> Response:
        asked = await run_in_threadpool(_asked, app, body, task)
        try:
            job = await run_in_threadpool(submit, app, asked, owner_of(request))
        except UnknownName as fault:
            if fault.field == "sampler_name":  # the one name that A1111 refuses in words of its own
                raise Refused(400, "Sampler not found", errors=fault.message) from fault
            raise
        ended = await closing.wait_for(app.jobs.finished(job.id))
        if ended.state not in ("done", "canceled"):
            return job_failed(ended.id, ended.fault)
        return await run_in_threadpool(answer, ended, asked)

    return router


def _asked(app: App, body: dict[str, Any], task: str) -> Asked:
    current, scripts = app.settings.current, app.scripts.told_by if app.scripts is not None else None
    return with_own_size(app, read(body, task, lambda picture, field: keep(picture, field, app.inputs, current), current, scripts))


def submit(app: App, asked: Asked, owner: str) -> Job:
    """Queue what was asked, or find the job of the same task id. Raises RequestFault, ModelFault."""
    if asked.keep:
        app.allowance.require(owner, ADMIN, "keep settings (override_settings_restore_afterwards: false)")
    if names_grid(asked.request.script_name):
        job = submit_grid(app, asked.request, owner, asked.key)
    else:
        job = app.submit(asked.request, owner=owner, key=asked.key)
    if asked.key is not None and job.kind != GRID and job.request != asked.request.to_data():
        raise RequestFault("force_task_id", "was used for another request; take a new one", got=asked.key)
    if asked.keep:
        app.settings.set(asked.keep)
    return job


def answer(job: Job, asked: Asked) -> Response:
    """A1111's answer for a job that was done or interrupted. Raises Refused(410) when its files are gone."""
    result = Result.from_data(job.result) if job.result else Result(pictures=())
    resolved = ResolvedRequest.from_data(resolved_of(job))
    images = [_base64(picture) for picture in result.pictures] if asked.request.send_images else []
    told = info(job, resolved, result)
    told["warnings"] = [*asked.notes, *told["warnings"]]
    content = {"images": images, "parameters": asked.parameters, "info": json.dumps(told)}
    return Response(json.dumps(content).encode(), media_type="application/json")


def info(job: Job, resolved: ResolvedRequest, result: Result) -> dict[str, Any]:
    """What A1111 says about the pictures; `warnings` and `notes` are our additions."""
    grid_first = bool(result.pictures) and result.pictures[0].kind == "grid"
    texts = [picture.infotext for picture in result.pictures] or [infotext.write(resolved, 0)]
    known = resolved.seed_resize_from or (-1, -1)
    faces = bool(resolved.settings.get("face_restoration", False))
    variant = FAMILIES.get(resolved.checkpoint.family).variant(resolved.checkpoint.variant)
    return {
        "prompt": resolved.all_prompts[0],
        "all_prompts": resolved.all_prompts,
        "negative_prompt": resolved.all_negative_prompts[0],
        "all_negative_prompts": resolved.all_negative_prompts,
        "seed": resolved.all_seeds[0],
        "all_seeds": resolved.all_seeds,
        "subseed": resolved.all_subseeds[0] if resolved.all_subseeds else -1,
        "all_subseeds": resolved.all_subseeds or [-1] * len(resolved.all_seeds),
        "subseed_strength": resolved.subseed_strength,
        "width": resolved.width,
        "height": resolved.height,
        "sampler_name": resolved.sampler_name,
        "cfg_scale": resolved.cfg_scale,
        "steps": resolved.steps,
        "batch_size": resolved.batch_size,
        "restore_faces": faces,
        "face_restoration_model": resolved.settings.get("face_restoration_model") if faces else None,
        "sd_model_name": resolved.checkpoint.model_name,
        "sd_model_hash": resolved.checkpoint.short_hash,
        "sd_vae_name": resolved.vae.name if resolved.vae else None,
        "sd_vae_hash": resolved.vae.sha256[:10] if resolved.vae else None,
        "seed_resize_from_w": known[0],
        "seed_resize_from_h": known[1],
        "denoising_strength": resolved.denoising_strength,
        "extra_generation_params": {key: value for key, value in infotext.pairs(resolved, 0).items() if key not in CORE},
        "index_of_first_image": int(grid_first),
        "infotexts": texts,
        "styles": resolved.styles,
        "job_timestamp": timestamp(job.started_s or job.created_s),
        "clip_skip": resolved.settings.get("CLIP_stop_at_last_layers", 1),
        "is_using_inpainting_conditioning": "Inpaint" in variant.tasks.get("txt2img", ""),
        "version": infotext.VERSION,
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
