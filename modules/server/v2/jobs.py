"""/api/v2/jobs and /api/v2/queue: jobs as resources: submit, list, read, change, stop, copy; and the queue as a whole.

Knows bodies and answers; the App checks requests and the job room keeps the jobs. Following them is `events`. Start reading at `routes`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import Field

from modules.faults import RequestFault, UnknownJob
from modules.jobs import LANES, Job, Turn, filter_of
from modules.request import GenerationRequest
from modules.request.caption import CAPTIONS, CaptionRequest
from modules.request.caption_folder import CAPTION_FOLDER, FolderRequest
from modules.request.extras import EXTRAS, ExtrasRequest
from modules.server.accepted import IMG2IMG, TXT2IMG
from modules.server.control_units import FIELD, unit_of
from modules.server.errors import Refused
from modules.server.owner import owner_of
from modules.server.sent import keep
from modules.server.v2.job_bodies import KEY_CHARS, PICTURES, JobChange, Submission, When
from modules.server.v2.job_shapes import JobDetail, JobItem, JobPage, Lane, LaneState, QueueState, State, base_of, detail_of, item_of
from modules.server.v2.reading import CheckedRoute
from modules.server.v2.rights import own, visible
from modules.server.v2.shapes import PAGE_LIMIT, Asked, problems
from modules.users import ADMIN, require, viewer_of

if TYPE_CHECKING:
    from modules.app import App

BEGUN = "This job does not wait any more, so its turn cannot be changed."
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=KEY_CHARS,
        description="The same key and body give the same job again instead of another one, also after a restart.",
    ),
]


class JobsQuery(Asked):
    """Which jobs."""

    state: Annotated[list[State], Field(max_length=10, description="One or several; all when left out.")] = Field(
        default_factory=list[State]
    )
    kind: Annotated[
        str | None,
        Field(max_length=50, description='"txt2img", "img2img", "extras", "caption", "caption_folder", or a kind of work on files'),
    ] = None
    owner: Annotated[str | None, Field(max_length=200)] = None
    lane: Lane | None = None
    cursor: Annotated[str | None, Field(max_length=200, description="`next` of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 50


@dataclass(frozen=True)
class _Kind:
    """A kind of job: its record, made from plain data, and the App's way to queue it."""

    record: Callable[[dict[str, Any]], Any]
    submit: Callable[..., Job]


def routes(app: App) -> APIRouter:
    """The routes of jobs and of the queue."""
    router = APIRouter(prefix="/api/v2", tags=["v2 jobs"], route_class=CheckedRoute)
    kinds = _kinds(app)

    @router.post(
        "/jobs",
        summary="Submit a job",
        status_code=201,
        responses={
            200: {"model": JobDetail, "description": "The job of this key, which was submitted before."},
            **problems(400, 404, 413, 422),
        },
    )
    def submit(request: Request, response: Response, body: Submission, key: Key = None) -> JobDetail:
        """Check a request and queue it. Answers at once, with the job; follow it at its `events`."""
        job, new = _submit(app, request, kinds[body.kind], body, key)
        response.status_code = 201 if new else 200
        response.headers["Location"] = f"{base_of(request)}/jobs/{job.id}"
        return _detail(app, request, job)

    @router.get("/jobs", summary="List jobs", responses=problems(422))
    def jobs(request: Request, asked: Annotated[JobsQuery, Query()]) -> JobPage:
        """Running jobs, then waiting ones in the order in which they will run, then those that ended, newest first."""
        viewer = viewer_of(request)
        wanted = filter_of(asked.state or None, kind=asked.kind, owner=viewer.only or asked.owner, lane=asked.lane)
        if viewer.only is not None and asked.owner not in (None, viewer.only):
            return JobPage(items=[], next=None)
        found, following = app.jobs.page(wanted, cursor=asked.cursor, limit=asked.limit)
        return JobPage(items=[_item(app, request, job) for job in found], next=following)

    @router.get("/jobs/{job_id}", summary="Read a job", responses=problems(404))
    def job(request: Request, job_id: str) -> JobDetail:
        """A job with its request, its place in the queue, and what it gave."""
        return _detail(app, request, visible(app, request, job_id))

    @router.patch("/jobs/{job_id}", summary="Change a job that waits", responses=problems(400, 404, 409, 422))
    def change(request: Request, job_id: str, body: JobChange) -> JobDetail:
        """Move a job in the queue, give it another priority or deadline, hold or release it. 409 once it has begun."""
        found = own(app, request, job_id)
        if body.model_fields_set & {"before", "priority"}:
            require(request, ADMIN, "change the order of the queue")
        _change(app, found.id, body)
        return _detail(app, request, app.jobs.get(found.id))

    _add_actions(router, app)
    _add_queue(router, app)
    return router


def _add_actions(router: APIRouter, app: App) -> None:
    def done(request: Request, job: Job, changed: bool, sentence: str) -> JobDetail:
        if not changed:
            raise Refused(409, "Conflict", errors=sentence)
        return _detail(app, request, app.jobs.get(job.id))

    @router.post("/jobs/{job_id}/cancel", summary="Cancel a job", responses=problems(404, 409))
    def cancel(request: Request, job_id: str) -> JobDetail:
        """Take a waiting job out of the queue; stop a running one at its next step, keeping its pictures. 409 once it has ended."""
        job = visible(app, request, job_id)
        return done(request, job, app.jobs.cancel(job.id), "This job has ended already.")

    @router.post("/jobs/{job_id}/skip", summary="End the present batch", responses=problems(404, 409))
    def skip(request: Request, job_id: str) -> JobDetail:
        """End the present batch of a running job; the next one goes on. 409 when it does not run."""
        job = visible(app, request, job_id)
        return done(request, job, app.jobs.skip(job.id), "This job does not run now.")

    @router.post("/jobs/{job_id}/hold", summary="Hold a job", responses=problems(404, 409))
    def hold(request: Request, job_id: str) -> JobDetail:
        """A waiting job does not begin until it is released; others pass it. 409 once it has begun."""
        job = own(app, request, job_id)
        return done(request, job, app.jobs.hold(job.id), BEGUN)

    @router.post("/jobs/{job_id}/release", summary="Release a job", responses=problems(404, 409))
    def release(request: Request, job_id: str) -> JobDetail:
        """Undo hold; the job has kept its place."""
        job = own(app, request, job_id)
        return done(request, job, app.jobs.release(job.id), BEGUN)

    @router.post("/jobs/{job_id}/duplicate", summary="Run a job again", status_code=201, responses=problems(400, 404, 422))
    def duplicate(request: Request, response: Response, job_id: str, body: When | None = None) -> JobDetail:
        """Queue a job's request once more, with the same seeds: it gives the same pictures. The body is optional."""
        turn = Turn() if body is None else turn_of(request, body)
        copy = app.duplicate(visible(app, request, job_id).id, owner=owner_of(request), turn=turn)
        response.headers["Location"] = f"{base_of(request)}/jobs/{copy.id}"
        return _detail(app, request, copy)


def _add_queue(router: APIRouter, app: App) -> None:
    @router.get("/queue", summary="Read the state of the queue", responses=problems(), tags=["v2 queue"])
    def queue() -> QueueState:
        """Whether it is paused, how much waits in each lane, what runs, and how the worker is."""
        return _queue(app)

    @router.post("/queue/pause", summary="Pause the queue", responses=problems(), tags=["v2 queue"])
    def pause() -> QueueState:
        """No further job begins; running ones go on. Holds over a restart."""
        app.jobs.pause()
        return _queue(app)

    @router.post("/queue/resume", summary="Go on with the queue", responses=problems(), tags=["v2 queue"])
    def resume() -> QueueState:
        """Jobs begin again."""
        app.jobs.resume()
        return _queue(app)


def _kinds(app: App) -> dict[str, _Kind]:
    return {
        TXT2IMG: _Kind(GenerationRequest.from_data, app.submit),
        IMG2IMG: _Kind(GenerationRequest.from_data, app.submit),
        EXTRAS: _Kind(ExtrasRequest.from_data, app.submit_extras),
        CAPTIONS: _Kind(CaptionRequest.from_data, app.submit_caption),
        CAPTION_FOLDER: _Kind(FolderRequest.from_data, app.submit_caption_folder),
    }


def _submit(app: App, request: Request, kind: _Kind, body: Any, key: str | None) -> tuple[Job, bool]:
    """(job, it is new). Raises RequestFault when the key was used for another request."""
    owner = owner_of(request)
    asked = kind.record(with_pictures(app, body.kind, body.request.model_dump()))
    own_key = None if key is None else f"{owner}:{key}"  # another's keys are none of the caller's business
    if own_key is not None:
        try:
            return _same(app.jobs.get(own_key), asked, key), False
        except UnknownJob:
            pass
    job = kind.submit(asked, owner=owner, key=own_key, turn=turn_of(request, body))
    return _same(job, asked, key), True


def _same(job: Job, asked: Any, key: str | None) -> Job:
    """The job, if it is of that request; two that came at once with one key may have met here."""
    if key is not None and job.request != json.loads(json.dumps(asked.to_data())):
        raise RequestFault("Idempotency-Key", "was used for another request; take a new one", got=key)
    return job


def with_pictures(app: App, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values with every picture kept and named by its reference. Raises RequestFault naming the field."""

    def kept(picture: Any, field: str) -> str:
        try:
            return keep(picture, field, app.inputs, app.settings.current)
        except Refused as refused:
            raise RequestFault(field, refused.errors or str(refused.detail)) from refused

    found = dict(values)
    for field in PICTURES[kind]:
        value = values.get(field)
        if isinstance(value, list):
            found[field] = [kept(picture, field) for picture in value]
        elif value:
            found[field] = kept(value, field)
    if found.get(FIELD):
        found[FIELD] = [unit_of(unit, f"{FIELD}[{n}]", kept) for n, unit in enumerate(found[FIELD])]
    return found


def turn_of(request: Request, when: When) -> Turn:
    """Raises NotAllowed for a priority above others', RequestFault for a deadline that has passed."""
    if when.priority > 0:
        require(request, ADMIN, "submit a job before those of others")
    return Turn(priority=when.priority, deadline_s=_ahead(when.deadline_s), held=when.held)


def _ahead(deadline_s: float | None) -> float | None:
    if deadline_s is not None and deadline_s <= time.time():
        raise RequestFault("deadline_s", "has passed already; it counts seconds since 1970", got=deadline_s)
    return deadline_s


def _change(app: App, job_id: str, body: JobChange) -> None:
    """What the body names, in this order. Raises Refused(409) when the job has begun."""
    jobs, given = app.jobs, body.model_fields_set
    if {"before", "priority"} <= given:
        raise RequestFault("before", "gives the priority of the job that follows; send one of before and priority")
    deadline_s = _ahead(body.deadline_s)
    steps: dict[str, Callable[[], bool]] = {
        "priority": lambda: jobs.set_priority(job_id, body.priority),
        "before": lambda: jobs.move(job_id, body.before),
        "deadline_s": lambda: jobs.set_deadline(job_id, deadline_s),
        "held": lambda: jobs.hold(job_id) if body.held else jobs.release(job_id),
    }
    for name, step in steps.items():
        if name in given and not step():
            raise Refused(409, "Conflict", errors=BEGUN if name != "before" else "One of the two jobs does not wait any more.")


def _queue(app: App) -> QueueState:
    running = app.jobs.list(states=("running",), limit=1000)
    lanes = {lane: LaneState(waiting=app.jobs.queued(lane), running=[job.id for job in running if job.lane == lane]) for lane in LANES}
    return QueueState(paused=app.jobs.paused, worker=app.jobs.worker(), **lanes)


def _item(app: App, request: Request, job: Job) -> JobItem:
    live = app.jobs.live_of(job.id) if job.state == "running" else None
    return JobItem(**item_of(job, base_of(request), live))


def _detail(app: App, request: Request, job: Job) -> JobDetail:
    live = app.jobs.live_of(job.id) if job.state == "running" else None
    place = app.jobs.position(job.id) if job.state == "queued" else None
    return detail_of(job, base_of(request), live, place[0] if place else None)
