"""/api/v2/train/sessions/{name}: the training itself: begin, pause, stop, the figures on the way, the samples, and trying the result.

Knows bodies and answers; the job room runs the training. Start reading at `routes`.
"""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath

from modules.faults import RequestFault
from modules.folders import safe_join
from modules.jobs import Job, Turn
from modules.library.thumbnails import Thumbnails
from modules.processing.train_plan import side_of
from modules.server.errors import Refused
from modules.server.owner import owner_of
from modules.server.v2.files import file_answer, file_responses
from modules.server.v2.job_shapes import JobDetail, base_of, detail_of
from modules.server.v2.jobs import Key
from modules.server.v2.reading import CheckedRoute
from modules.server.v2.rights import own
from modules.server.v2.shapes import Asked, problems
from modules.server.v2.train_shapes import (
    MOST_POINTS,
    StartTraining,
    TrainMetrics,
    TrainPoint,
    TrainSample,
    TrainSamples,
    Trial,
    TryIt,
)
from modules.server.v2.train_values import active_job, jobs_by_session, session_of, state_of, url_of
from modules.train.metrics import points_after
from modules.train.results import install, outputs, samples

if TYPE_CHECKING:
    from modules.app import App

TYPES = ("image/png", "image/jpeg", "image/webp")
NOTHING = "Nothing is under way with this session."


class MetricsQuery(Asked):
    """Which points. most: as many at most; where there are more, every n-th is given, and always the last one."""

    after: Annotated[int, Query(ge=-1, description="points of later steps; -1 for all")] = -1
    most: Annotated[int, Query(ge=10, le=MOST_POINTS)] = 2000


def routes(app: App) -> APIRouter:
    """The routes of a session's training."""
    router = APIRouter(prefix="/api/v2/train/sessions/{name}", tags=["v2 train"], route_class=CheckedRoute)
    _add_acts(router, app)
    _add_looks(router, app)
    _add_trial(router, app)
    return router


def _add_acts(router: APIRouter, app: App) -> None:
    @router.post("/start", summary="Begin a training, or go on", status_code=201, responses=problems(400, 404, 409, 422))
    def start(request: Request, response: Response, name: str, body: StartTraining | None = None, key: Key = None) -> JobDetail:
        """Check everything and queue the training; it goes on from its last state. One that was paused is let go on with its job."""
        session, wish = session_of(app, name), body or StartTraining()
        waiting = active_job(app, session.name)
        if waiting is not None and waiting.held and not wish.again:
            app.jobs.release(own(app, request, waiting.id).id)
            response.status_code = 200
            return _detail(app, request, app.jobs.get(waiting.id))
        if waiting is not None:
            raise Refused(409, "Conflict", errors="This session waits or is being trained already.")
        owner = owner_of(request)
        own_key = None if key is None else f"{owner}:{key}"
        job = app.submit_train(session, owner=owner, key=own_key, again=wish.again, turn=Turn(held=wish.held))
        response.headers["Location"] = f"{base_of(request)}/jobs/{job.id}"
        return _detail(app, request, job)

    @router.post("/stop", summary="Stop a training", responses=problems(404, 409))
    def stop(request: Request, name: str) -> JobDetail:
        """Save its state after the step in hand and end the job. Starting goes on from there."""
        job = _active(app, request, name)
        app.jobs.cancel(job.id)
        return _detail(app, request, app.jobs.get(job.id))

    @router.post("/pause", summary="Pause a training", responses=problems(404, 409))
    def pause(request: Request, name: str) -> JobDetail:
        """Save its state after the step in hand, free the device, and let the job wait until it is started or released."""
        job = _active(app, request, name)
        if not app.jobs.set_aside(job.id):
            raise Refused(409, "Conflict", errors=NOTHING)
        return _detail(app, request, app.jobs.get(job.id))


def _add_looks(router: APIRouter, app: App) -> None:
    @router.get("/metrics", summary="Read the figures of a training", responses=problems(404, 422))
    def metrics(name: str, asked: Annotated[MetricsQuery, Query()]) -> TrainMetrics:
        """Loss, rates and speed by step. Ask again with `last` as `after`; draw anew when `begun` has changed."""
        session = session_of(app, name)
        found = points_after(session.paths.metrics, asked.after, asked.most)
        job = jobs_by_session(app).get(session.name)
        summary = session.summary()
        live = app.jobs.live_of(job.id) if job is not None and job.state == "running" else None
        step = max(live.step if live is not None else summary.step, 0)
        return TrainMetrics(
            points=[TrainPoint(**point) for point in found.points],
            last=found.last,
            begun=found.begun,
            thinned=found.thinned,
            state=state_of(summary, job),
            step=step or summary.step,
            of=summary.steps,
            eta_s=live.eta_s if live else None,
            text=live.text if live else "",
        )

    @router.get("/samples", summary="List the samples of a training", responses=problems(404))
    def sample_list(request: Request, name: str) -> TrainSamples:
        """Pictures that were made on the way from the sample prompts."""
        session = session_of(app, name)
        url = f"{url_of(base_of(request), session.name)}/samples"
        rows: list[TrainSample] = []
        for one in samples(session):
            place = f"{url}/{one.file}"
            rows.append(
                TrainSample(file=one.file, step=one.step, prompt=one.prompt, text=one.text, url=place, thumbnail=f"{place}?small=true")
            )
        return TrainSamples(items=rows)

    thumbnails = Thumbnails(app.folders.cache / "thumbnails")
    file_route: dict[str, Any] = {"response_class": Response, "responses": file_responses(*TYPES) | problems(400, 404, 416, 422)}

    @router.head("/samples/{file}", include_in_schema=False)
    @router.get("/samples/{file}", summary="Fetch a sample", **file_route)
    def sample(request: Request, name: str, file: Annotated[str, InPath(max_length=300)], small: bool = False) -> Response:
        """The picture, or with small=true one of at most 400 pixels."""
        path = safe_join(session_of(app, name).paths.samples, file)
        media_type = mimetypes.guess_type(path.name)[0] or ""
        if media_type not in TYPES or not path.is_file():
            raise Refused(404, "Not Found", errors="there is no such sample")
        made = thumbnails.of_file(path) if small else None
        return file_answer(request, made or path, "image/webp" if made else media_type)


def _add_trial(router: APIRouter, app: App) -> None:
    @router.post("/tryit", summary="Get ready to try what was trained", responses=problems(404, 422))
    def tryit(name: str, body: TryIt | None = None) -> Trial:
        """Put a result, or every saved step, among the models, and say what goes into txt2img to use it."""
        session, wish = session_of(app, name), body or TryIt(step=None, all_steps=False, weight=1.0)
        found = outputs(session)
        chosen = found if wish.all_steps else [one for one in found if one.step == wish.step]
        if not chosen:
            raise RequestFault("step", "nothing was saved there", got=wish.step, allowed=[one.step for one in found])
        config = session.config()
        installed = install(app.folders, chosen, config.method)
        app.library.refresh()
        return _trial(app, config, installed, wish)


def _trial(app: App, config: Any, installed: list[Any], wish: TryIt) -> Trial:
    inserts = [one.insert(wish.weight) for one in installed]
    prompt = ", ".join(filter(None, [*filter(None, inserts[:1]), config.trigger_word.strip()]))
    checkpoint, side = config.checkpoint, side_of(config, app.settings.current, app.library)
    if installed[0].is_checkpoint:
        app.library.refresh("checkpoint")
        checkpoint = app.library.find_checkpoint(installed[0].path.stem if installed[0].path.is_file() else installed[0].path.name).title
    elif checkpoint:
        checkpoint = app.library.find_checkpoint(checkpoint).title
    return Trial(
        prompt=prompt,
        checkpoint=checkpoint,
        width=side,
        height=side,
        insert=inserts[0],
        inserts=inserts,
        files=[str(one.path) for one in installed],
    )


def _active(app: App, request: Request, name: str) -> Job:
    """The job of a session that waits or runs. Raises Refused(409) when there is none."""
    job = active_job(app, session_of(app, name).name)
    if job is None:
        raise Refused(409, "Conflict", errors=NOTHING)
    return own(app, request, job.id)


def _detail(app: App, request: Request, job: Job) -> JobDetail:
    live = app.jobs.live_of(job.id) if job.state == "running" else None
    place = app.jobs.position(job.id) if job.state == "queued" else None
    return detail_of(job, base_of(request), live, place[0] if place else None)
