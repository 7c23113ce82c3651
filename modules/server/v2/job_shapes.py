"""What /api/v2/jobs answers: jobs, what they are doing, what they gave, and their events, as exact shapes.

Knows shapes and the addresses of things; knows nothing about routes. Start reading at `JobItem`, then `detail_of`.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Request, WebSocket
from pydantic import Field

from modules.jobs import Event, Job, Live
from modules.server.v2.shapes import Answer

TITLE_CHARS = 500
State = Literal["queued", "running", "done", "failed", "canceled", "parked"]
Lane = Literal["device", "files", "train"]


class JobFault(Answer):
    """Why a job failed or was canceled. kind: for programs; message: a sentence to act on."""

    kind: str
    message: str


class Progress(Answer):
    """What a running job does. fraction: 0 to 1 of the whole job; eta_s: seconds left, null while unknown.

    step of steps: of the present batch; batch_no: counted from 0; preview: an address or a data URI, null without one; preview_number
    grows with each.
    """

    fraction: float
    eta_s: float | None
    step: int
    steps: int
    batch_no: int
    batch_count: int
    text: str
    preview: str | None
    preview_number: int


class JobPicture(Answer):
    """A picture that a job made. kind: "sample", "grid" or "partial"; saved: it lies under outputs/; file: where to fetch it."""

    index: int
    kind: str
    seed: int | None
    width: int | None
    height: int | None
    parameters: str
    saved: bool
    file: str


class JobCaption(Answer):
    """What was written about a picture. details: candidates, scores of texts and whatever else the captioner tells."""

    index: int
    name: str
    caption: str
    details: dict[str, Any]


class JobResult(Answer):
    """What a job gave. files: paths that work on model files made; seconds: spent on each part."""

    pictures: list[JobPicture]
    captions: list[JobCaption]
    files: list[str]
    warnings: list[str]
    notes: list[str]
    seconds: dict[str, float]


class JobItem(Answer):
    """A job. number: order of arrival; times in seconds since 1970; title: the beginning of its prompt, or what it works on.

    held: it waits until it is released; deadline_s: canceled if it has not begun by then; attempts: how often it was begun.
    url, events: where to read the job and to follow it.
    """

    id: str
    number: int
    kind: str
    state: State
    lane: Lane
    owner: str
    title: str
    priority: int
    held: bool
    deadline_s: float | None
    attempts: int
    created_s: float
    started_s: float | None
    finished_s: float | None
    progress: Progress | None
    fault: JobFault | None
    url: str
    events: str


class JobDetail(JobItem):
    """A job with what was asked and what it gave. position: its place in the queue of its lane, counted from 1; null when it does not
    wait. resolved: the request with nothing left open, seeds drawn.
    """

    position: int | None
    request: dict[str, Any]
    resolved: dict[str, Any]
    result: JobResult | None


class JobPage(Answer):
    """A part of the list. next: what to send as `cursor` for the part that follows, null at the end."""

    items: list[JobItem]
    next: str | None


class JobEvent(Answer):
    """One event. id: what to send as `after` to go on behind it; job: null for the queue as a whole; number: 1, 2, ... in its job.

    type: "state", "queue" (priority, hold, deadline or pause changed), "picture", "warning", "log" or "done", the last one of a job.
    """

    id: int
    job: str | None
    number: int
    type: str
    time_s: float
    data: dict[str, Any]


class JobEvents(Answer):
    """Events, as far as there were some in time. last: what to send as `after` next."""

    events: list[JobEvent]
    last: int
    state: State
    finished: bool
    position: int | None
    progress: Progress | None


class Changes(Answer):
    """Events of all jobs, as far as there were some in time. last: what to send as `after` next."""

    events: list[JobEvent]
    last: int


class LaneState(Answer):
    """A lane: how many jobs wait, and the ids of those that run."""

    waiting: int
    running: list[str]


class QueueState(Answer):
    """The queue. paused: no further job begins. worker: of the first device: state, device, model and message."""

    paused: bool
    device: LaneState
    files: LaneState
    train: LaneState
    worker: dict[str, Any] = Field(description="state, pid, device, model, memory, message")


def base_of(request: Request | WebSocket) -> str:
    """The prefix under which this API is seen, behind a proxy too."""
    return f"{request.scope.get('root_path', '').rstrip('/')}/api/v2"


def item_of(job: Job, base: str, live: Live | None = None) -> dict[str, Any]:
    """The values of a `JobItem`."""
    names = ("id", "number", "kind", "state", "lane", "owner", "priority", "held", "deadline_s", "attempts", "created_s", "started_s")
    url = f"{base}/jobs/{job.id}"
    return {
        **{name: getattr(job, name) for name in names},
        "finished_s": job.finished_s,
        "title": str(job.request.get("prompt") or job.resolved.get("title") or "")[:TITLE_CHARS],
        "progress": progress_of(live, url),
        "fault": fault_of(job.fault),
        "url": url,
        "events": f"{url}/events",
    }


def detail_of(job: Job, base: str, live: Live | None, position: int | None) -> JobDetail:
    """A job as a whole."""
    values = item_of(job, base, live)
    return JobDetail(**values, position=position, request=job.request, resolved=job.resolved, result=result_of(job, base))


def fault_of(fault: dict[str, Any] | None) -> JobFault | None:
    """Of `Fault.data()`."""
    return None if fault is None else JobFault(kind=str(fault.get("kind", "unexpected")), message=str(fault.get("message", "")))


def progress_of(live: Live | None, url: str, preview: str | None = None) -> Progress | None:
    """url: of the job. preview: what stands for the picture, when it is not its address."""
    if live is None:
        return None
    return Progress(
        fraction=live.fraction,
        eta_s=live.eta_s,
        step=live.step,
        steps=live.steps,
        batch_no=live.batch_no,
        batch_count=live.batch_count,
        text=live.text,
        preview=(preview or f"{url}/preview?number={live.preview_number}") if live.preview else None,
        preview_number=live.preview_number if live.preview else 0,
    )


def result_of(job: Job, base: str) -> JobResult | None:
    """What the job gave, as far as its kind has it."""
    if job.result is None:
        return None
    found, url = job.result, f"{base}/jobs/{job.id}/pictures"
    return JobResult(
        pictures=[picture_of(picture, f"{url}/{place}") for place, picture in enumerate(found.get("pictures") or ())],
        captions=[_caption(row) for row in found.get("captions") or ()],
        files=[str(path) for path in found.get("files") or ()],
        warnings=[str(text) for text in found.get("warnings") or ()],
        notes=[str(text) for text in found.get("notes") or ()],
        seconds={str(name): float(spent) for name, spent in _named(found.get("seconds")).items()},
    )


def picture_of(data: dict[str, Any], url: str) -> JobPicture:
    """data: of a `Picture` as the job keeps it. url: where to fetch it."""
    return JobPicture(
        index=int(data.get("index", 0)),
        kind=str(data.get("kind", "sample")),
        seed=data.get("seed"),
        width=data.get("width"),
        height=data.get("height"),
        parameters=str(data.get("infotext", "")),
        saved=bool(data.get("saved", True)),
        file=url,
    )


def event_of(event: Event, base: str, *, over_all: bool = False) -> JobEvent:
    """An event, numbered within its job or over all of them. A picture's gets the address of the picture in place of its path."""
    data = event.data
    if event.type == "picture":
        data = picture_of(data, f"{base}/jobs/{event.job}/events/{event.number}/picture").model_dump()
    number = event.serial if over_all else event.number
    return JobEvent(id=number, job=event.job or None, number=event.number, type=event.type, time_s=event.time_s, data=data)


def _caption(row: dict[str, Any]) -> JobCaption:
    details = {name: value for name, value in row.items() if name not in ("index", "name", "caption")}
    return JobCaption(index=int(row.get("index", 0)), name=str(row.get("name", "")), caption=str(row.get("caption") or ""), details=details)


def _named(seconds: Any) -> dict[str, Any]:
    """Work on model files tells one figure, pictures one for each part."""
    if isinstance(seconds, dict):
        return seconds
    return {} if seconds is None else {"total": seconds}
