"""/api/v2: following jobs. Events of a job by long poll, as a stream (SSE) and over a WebSocket; events of all jobs; previews.

Knows how things are sent; `following` knows what. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response, WebSocket
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import Field

from modules.faults import UnknownJob
from modules.server.errors import Refused, fault_response
from modules.server.v2.files import file_answer, file_responses
from modules.server.v2.following import QUIET, Follower, Told, changes, preview_of
from modules.server.v2.job_shapes import Changes, JobEvents, base_of, event_of, progress_of
from modules.server.v2.rights import media_type_of, visible
from modules.server.v2.shapes import Asked, problems
from modules.users import USER, require

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Event
    from modules.server.generate import Closing

WAIT_S = 60.0
MOST = 2**53
RETRY_MS = 2000
STREAM = "text/event-stream"
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
ENDED, GONE = 1000, 1001
Previews = Literal["none", "url", "inline"]
After = Annotated[int | None, Field(ge=0, le=MOST, description="Go on behind the event of this id.")]
WaitS = Annotated[float, Field(ge=0, le=WAIT_S, allow_inf_nan=False, description="Wait so long for the next one; not for streams.")]
LastId = Annotated[str | None, Header(alias="Last-Event-ID", description="For streams: as `after`, sent by browsers when they come again.")]


class EventsQuery(Asked):
    """Which events of a job, and what else."""

    after: After = None
    wait_s: WaitS = 0
    progress: Annotated[bool, Field(description="Tell what the job is doing, too.")] = True
    previews: Annotated[Previews, Field(description="Previews as addresses, as data URIs, or not at all.")] = "url"


class FollowQuery(Asked):
    """What to follow over a WebSocket."""

    after: After = None
    progress: bool = True
    previews: Previews = "url"


class ChangesQuery(Asked):
    """Which events of all jobs. Without `after`: those from now on."""

    after: After = None
    wait_s: WaitS = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 200


def _with_stream(told: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"content": {STREAM: {"schema": {"type": "string", "description": told}}}},
        204: {"description": "For streams: the job has ended and all its events are known."},
    }


def routes(app: App, closing: Closing) -> APIRouter:
    """The routes of events, previews and pictures of jobs."""
    router = APIRouter(prefix="/api/v2", tags=["v2 jobs"])
    stream = _with_stream("Events after the standard for server-sent events: id, event (the type) and data (a JobEvent, or Progress).")

    @router.get("/jobs/{job_id}/events", summary="Follow a job", responses={**stream, **problems(404, 422, 503)}, response_model=JobEvents)
    async def events(request: Request, job_id: str, asked: Annotated[EventsQuery, Query()], last: LastId = None) -> Any:
        """The job's events behind `after`: at once, or, with `wait_s`, as soon as there are some.

        With `Accept: text/event-stream` all of them as they come, and `progress` between them, until the job has ended.
        """
        job = await asyncio.to_thread(visible, app, request, job_id)
        after = _behind(asked.after, last) or 0
        if _wants_stream(request):
            if job.finished and not await asyncio.to_thread(app.jobs.events, job.id, after):
                return Response(status_code=204)  # which tells a browser not to come again
            follower = Follower(app, closing, job.id, base_of(request), progress=asked.progress, previews=asked.previews)
            return _stream(follower.told(after))
        found = await closing.wait_for(app.jobs.wait_events(job.id, after, asked.wait_s))
        return await asyncio.to_thread(_events, app, request, job.id, asked, after, found)

    @router.get("/events", summary="Follow all jobs", responses={**stream, **problems(422, 503)}, response_model=Changes)
    async def all_events(request: Request, asked: Annotated[ChangesQuery, Query()], last: LastId = None) -> Any:
        """The events of all jobs behind `after`, or from now on: at once, with `wait_s` as soon as there are some, or as a stream."""
        require(request, USER, "follow everybody's jobs")
        after = _behind(asked.after, last)
        after = await asyncio.to_thread(app.jobs.last_change) if after is None else after
        if _wants_stream(request):
            return _stream(changes(app, closing, base_of(request), after))
        found = await closing.wait_for(app.jobs.wait_changes(after, asked.limit, asked.wait_s))
        shown = [event_of(event, base_of(request), over_all=True) for event in found]
        return Changes(events=shown, last=shown[-1].id if shown else after)

    _add_socket(router, app, closing)
    _add_pictures(router, app)
    return router


def _add_socket(router: APIRouter, app: App, closing: Closing) -> None:
    @router.websocket("/jobs/{job_id}/ws")
    async def socket(websocket: WebSocket, job_id: str, asked: Annotated[FollowQuery, Query()]) -> None:
        """Messages of JSON: {"id", "type", "data"} as in the stream. Closed with 1000 once the job has ended, 1001 or 1012 at a stop."""
        try:
            job = await asyncio.to_thread(visible, app, websocket, job_id)
        except UnknownJob as fault:
            await websocket.send_denial_response(fault_response(fault))
            return
        await websocket.accept()
        follower = Follower(app, closing, job.id, base_of(websocket), progress=asked.progress, previews=asked.previews)
        sending = asyncio.create_task(_send(websocket, follower.told(asked.after or 0)))
        hearing = asyncio.create_task(_until_gone(websocket))
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
                await websocket.close(ENDED if follower.ended else GONE)
        finally:
            for task in (sending, hearing):
                task.cancel()


def _add_pictures(router: APIRouter, app: App) -> None:
    files: dict[str, Any] = {"response_class": Response, "responses": file_responses("image/png", "image/jpeg", "image/webp")}
    files["responses"] |= problems(400, 404, 416, 422)

    @router.get("/jobs/{job_id}/preview", summary="Fetch the preview of a running job", **files)
    def preview(request: Request, job_id: str) -> Response:
        """A small picture of what is being made, JPEG. `number` in the query only tells browsers that it is another one."""
        live = app.jobs.live_of(visible(app, request, job_id).id)
        if live is None or not live.preview:
            raise Refused(404, "Not Found", errors="There is no preview of this job now.")
        return Response(live.preview, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @router.get("/jobs/{job_id}/pictures/{place}", summary="Fetch a picture of a job", **files)
    def picture(request: Request, job_id: str, place: int) -> Response:
        """A picture of the job's result by its place there, counted from 0."""
        found = (visible(app, request, job_id).result or {}).get("pictures") or []
        if not 0 <= place < len(found):
            raise Refused(404, "Not Found", errors=f"This job has {len(found)} pictures.")
        return _picture(request, found[place])

    @router.get("/jobs/{job_id}/events/{number}/picture", summary="Fetch the picture that an event tells of", **files)
    def event_picture(request: Request, job_id: str, number: Annotated[int, Field(ge=1, le=MOST)]) -> Response:
        """The picture of an event of type "picture", also while the job goes on."""
        found = app.jobs.events(visible(app, request, job_id).id, number - 1)[:1]
        if not found or found[0].number != number or found[0].type != "picture":
            raise Refused(404, "Not Found", errors="There is no such event, or it tells of no picture.")
        return _picture(request, found[0].data)


def _picture(request: Request, data: dict[str, Any]) -> Response:
    path = Path(str(data.get("path", "")))
    return file_answer(request, path, media_type_of(path), name=path.name)


def _events(app: App, request: Request, job_id: str, asked: EventsQuery, after: int, found: list[Event]) -> JobEvents:
    """The answer of a poll, with the job as it is now."""
    job = visible(app, request, job_id)
    live = app.jobs.live_of(job.id) if asked.progress and job.state == "running" else None
    progress = progress_of(live, f"{base_of(request)}/jobs/{job.id}", preview_of(live, asked.previews) if live else None)
    if progress is not None and asked.previews == "none":
        progress = progress.model_copy(update={"preview": None})
    place = app.jobs.position(job.id) if job.state == "queued" else None
    return JobEvents(
        events=[event_of(event, base_of(request)) for event in found],
        last=found[-1].number if found else after,
        state=job.state,  # pyright: ignore[reportArgumentType]
        finished=job.finished,
        position=place[0] if place else None,
        progress=progress,
    )


def _wants_stream(request: Request) -> bool:
    return STREAM in request.headers.get("accept", "")


def _behind(after: int | None, last: str | None) -> int | None:
    """Behind which event to go on. What a browser sends when it comes again counts more than the address it comes to."""
    if last is not None and last.isdecimal() and int(last[:20]) <= MOST:
        return int(last)
    return after


def _stream(told: AsyncIterator[Told]) -> Response:
    """Server-sent events."""

    async def lines() -> AsyncIterator[bytes]:
        yield format_sse_event(retry=RETRY_MS)
        async for one in told:
            yield _line(one)

    return EventSourceResponse(lines(), headers=STREAM_HEADERS)


def _line(told: Told) -> bytes:
    if told == QUIET:
        return format_sse_event(comment="still here")
    number = None if told.number is None else str(told.number)
    return format_sse_event(id=number, event=told.type, data_str=json.dumps(told.data))


async def _send(websocket: WebSocket, told: AsyncIterator[Told]) -> None:
    async for one in told:
        if one != QUIET:
            await websocket.send_text(json.dumps({"id": one.number, "type": one.type, "data": one.data}))


async def _until_gone(websocket: WebSocket) -> None:
    """Whatever a client says is not listened to; only that it leaves."""
    with contextlib.suppress(RuntimeError):
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
