"""Progress, interrupt and skip: A1111's GET /sdapi/v1/progress, and the poll of the page, POST /internal/progress.

Knows the shapes of these answers; the job room knows the figures. Start reading at `routes`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Request

from modules.faults import RequestFault, UnknownJob
from modules.knobs import Knob, coerce, knobs_of
from modules.server.body import Body
from modules.server.fields import KEY_LIMIT_CHARS
from modules.server.generate import timestamp
from modules.server.grid import as_one
from modules.server.lane import Lane
from modules.users import Viewer, viewer_of

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job, Live

START_FRACTION = 0.01
WAITING = "Waiting..."
NO_TIME = "0"
RUNNING_SEEN = 40  # of the running jobs, some of which may only be saving


@dataclass(frozen=True, kw_only=True)
class PollBody:
    """The body of POST /internal/progress, A1111's names. id_live_preview: number of the preview that the caller shows."""

    id_task: Annotated[str, Knob("Task", max_chars=KEY_LIMIT_CHARS)]
    id_live_preview: Annotated[int, Knob("Preview that is shown")] = -1
    live_preview: Annotated[bool, Knob("A preview is wanted")] = True


def routes(app: App, lane: Lane) -> APIRouter:
    """The routes of progress, interrupt and skip."""
    router = APIRouter(tags=["progress"])

    @router.get("/sdapi/v1/progress")
    async def progress(request: Request, skip_current_image: bool = False) -> dict[str, Any]:
        """What is being made now. Idle is progress 0 and state.job_count 0. current_image: a base64 preview, or null."""
        return await lane.run(_progress, app, viewer_of(request), with_preview=not skip_current_image)

    @router.post("/sdapi/v1/interrupt")
    def interrupt(request: Request) -> dict[str, Any]:
        """Stop the current job at its next step; its pictures so far are kept. Other jobs are not touched."""
        job = current(app, viewer_of(request))
        if job is not None:
            app.jobs.interrupt(job.group_id or job.id)  # of a grid all cells that are left, as A1111 does
        return {}

    @router.post("/sdapi/v1/skip")
    def skip(request: Request) -> None:
        """End the current batch; the next one goes on."""
        viewer = viewer_of(request)
        if viewer.only is None:
            app.jobs.skip()
        elif (job := current(app, viewer)) is not None:
            app.jobs.skip(job.id)

    @router.post("/internal/progress")
    async def internal_progress(request: Request, body: Body) -> dict[str, Any]:
        """How a job is doing, by its id or task id: {id_task, id_live_preview: -1, live_preview: true}."""
        return await lane.run(_poll, app, viewer_of(request), _asked(body))

    @router.get("/internal/pending-tasks")
    async def pending_tasks(request: Request) -> dict[str, Any]:
        """The tasks that wait, by task id where one was given."""
        owner = viewer_of(request).only
        waiting = await lane.run(app.jobs.list, states=("queued",), owner=owner, lane="device", limit=10_000)
        return {"size": len(waiting), "tasks": [job.key or job.id for job in waiting]}

    return router


def current(app: App, viewer: Viewer) -> Job | None:
    """The job of pictures that this person would say is being made: the running one, or the next while nothing runs yet."""
    waiting = () if app.jobs.paused else ("queued", "running")  # one that begins between two looks is found by the third
    for state in ("running", *waiting):
        if found := app.jobs.list(states=(state,), owner=viewer.only, lane="device", limit=RUNNING_SEEN if state == "running" else 1):
            return next((job for job in found if (live := app.jobs.live_of(job.id)) is None or not live.saving), found[0])
    return None


def _progress(app: App, viewer: Viewer, *, with_preview: bool) -> dict[str, Any]:
    """A1111's answer, of the current job."""
    job = current(app, viewer)
    if job is None:
        return {"progress": 0.0, "eta_relative": 0.0, "state": _state(None, None), "current_image": None, "textinfo": None}
    live = app.jobs.live(job.id)
    live = as_one(app, job) or live
    preview = live.preview if live is not None and with_preview else None
    return {
        "progress": a1111_fraction(live),
        "eta_relative": live.eta_s if live is not None and live.eta_s is not None else 0.0,
        "state": _state(job, live),
        "current_image": base64.b64encode(preview).decode() if preview else None,
        "textinfo": (live.text if live else WAITING) or None,
    }


def a1111_fraction(live: Live | None) -> float:
    """A1111's sum: 0.01, the batches done, and the part of this one; never above 1."""
    if live is None:
        return START_FRACTION
    count = max(1, live.batch_count)
    within = live.step / live.steps if live.steps > 0 else 0.0
    return min(1.0, max(0.0, START_FRACTION + (live.batch_no + within) / count))


def _state(job: Job | None, live: Live | None) -> dict[str, Any]:
    """A1111's state. job_count is 0 only when there is nothing to do."""
    flags = live.flags if live else frozenset[str]()
    count = live.batch_count if live else int((job.resolved if job else {}).get("n_iter", 1))
    name = "" if job is None else f"scripts_{job.kind}"
    if job is not None and live is not None and live.batch_count > 1:
        name = f"Batch {live.batch_no + 1} out of {live.batch_count}"
    return {
        "skipped": "skip" in flags,
        "interrupted": "interrupt" in flags,
        "stopping_generation": False,
        "job": name,
        "job_count": 0 if job is None else max(1, count),
        "job_timestamp": timestamp(job.started_s) if job is not None and job.started_s else NO_TIME,
        "job_no": live.batch_no if live else 0,
        "sampling_step": live.step if live else 0,
        "sampling_steps": live.steps if live else 0,
    }


def _poll(app: App, viewer: Viewer, poll: PollBody) -> dict[str, Any]:
    """The answer of /internal/progress; a task that nobody knows is waited for, as it may still come, and so is another's to a guest."""
    try:
        job = app.jobs.get(poll.id_task)
    except UnknownJob:
        return _polled(None, None, None, [])
    if not viewer.sees(job.owner):
        return _polled(None, None, None, [])
    live = app.jobs.live(job.id) if job.state == "running" else as_one(app, job) if job.state == "queued" else None
    place = app.jobs.position(job.id) if live is None else None
    answer = _polled(job, live, place, _warnings(app, job))
    if not poll.live_preview or answer["id_live_preview"] == poll.id_live_preview:
        answer["live_preview"] = None
    return answer


def _polled(job: Job | None, live: Live | None, place: tuple[int, int] | None, warnings: list[str]) -> dict[str, Any]:
    """A1111's names first, ours after them."""
    text = WAITING if live is None else live.text
    if place is not None:
        text = f"In queue: {place[0]}/{place[1]}"
    preview = live.preview if live else None
    return {
        "active": live is not None or (job is not None and job.state == "running"),
        "queued": job is not None and job.state == "queued" and live is None,
        "completed": job is not None and job.finished,
        "progress": live.fraction if live else None,
        "eta": live.eta_s if live else None,
        "live_preview": f"data:image/jpeg;base64,{base64.b64encode(preview).decode()}" if preview else None,
        "id_live_preview": live.preview_number if live and preview else -1,
        "textinfo": text,
        "state": job.state if job else "unknown",
        "step": live.step if live else 0,
        "steps": live.steps if live else 0,
        "position": place[0] if place else None,
        "position_of": place[1] if place else None,
        "warnings": warnings,
        "fault": job.fault if job else None,
    }


def _warnings(app: App, job: Job) -> list[str]:
    """In the order they came, each once: from resolving the request, then from the run."""
    told = [str(event.data.get("text", "")) for event in app.jobs.events(job.id) if event.type == "warning"]
    return list(dict.fromkeys([*job.resolved.get("warnings", ()), *(text for text in told if text)]))


def _asked(body: dict[str, Any]) -> PollBody:
    """The body, read laxly. Raises RequestFault."""
    given = {name: coerce(field, body[name]) for name, field in knobs_of(PollBody).items() if body.get(name) is not None}
    if "id_task" not in given:
        raise RequestFault("id_task", "a task id is needed", got=body.get("id_task"))
    return PollBody(**given)
