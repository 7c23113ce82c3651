"""/api/v2/grids: X/Y/Z grids as resources: what they will take, submit, follow, stop, draw again, and their reports.

Knows bodies and answers; the App checks grids and queues their cells. Start reading at `routes`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from modules.faults import RequestFault, UnknownJob
from modules.grids.asked import GridAsked
from modules.grids.axes import axes_of
from modules.grids.queueing import GridState, state_of
from modules.grids.records import GRID, CellRow, Ending
from modules.grids.report import csv_text, html_text
from modules.jobs import Job, filter_of
from modules.request import GenerationRequest
from modules.server.errors import Refused
from modules.server.owner import owner_of
from modules.server.v2.grid_shapes import (
    AxisItem,
    AxisList,
    GridDetail,
    GridPage,
    GridPlan,
    GridSubmission,
    grid_item,
    grid_of,
    plan_of,
)
from modules.server.v2.job_shapes import JobDetail, base_of, detail_of, item_of
from modules.server.v2.jobs import Key, turn_of, with_pictures
from modules.server.v2.reading import CheckedRoute
from modules.server.v2.rights import own, visible
from modules.server.v2.shapes import PAGE_LIMIT, Asked, problems
from modules.users import viewer_of

if TYPE_CHECKING:
    from modules.app import App

ENDED = "This grid has ended already."
TEXT = {"schema": {"type": "string"}}
REPORT: dict[int | str, dict[str, Any]] = {200: {"description": "A page or a table.", "content": {"text/html": TEXT, "text/csv": TEXT}}}


class GridsQuery(Asked):
    """Which grids."""

    cursor: Annotated[str | None, Field(max_length=200, description="`next` of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 20


def routes(app: App) -> APIRouter:
    """The routes of grids."""
    router = APIRouter(prefix="/api/v2/grids", tags=["v2 grids"], route_class=CheckedRoute)

    @router.get("/axes", summary="List the axes of grids", responses=problems(422))
    def axes(kind: Literal["txt2img", "img2img"] = "txt2img") -> AxisList:
        """What X, Y and Z can be: A1111's axes at its places, those of scripts, then every other field of a request."""
        lists, found = app.grid_lists(), axes_of(kind, app.grid_axes(kind))
        rows = [
            AxisItem(index=n, label=one.label, name=one.name, kind=one.kind, choices=one.listed(lists), own=one.own)
            for n, one in enumerate(found)
        ]  # fmt: skip
        return AxisList(items=rows)

    @router.post("/plan", summary="Say what a grid will take", responses=problems(400, 404, 413, 422))
    def plan(request: Request, body: GridSubmission) -> GridPlan:
        """Check a grid and say how many pictures, how long and how many loads of models it takes. Nothing is queued."""
        asked, grid = _asked(app, body)
        return plan_of(app.plan_grid(asked, grid, owner=owner_of(request)))

    @router.post(
        "",
        summary="Submit a grid",
        status_code=201,
        responses={200: {"model": GridDetail, "description": "The grid of this key."}, **problems(400, 404, 413, 422)},
    )
    def submit(request: Request, response: Response, body: GridSubmission, key: Key = None) -> GridDetail:
        """Queue a job for each cell that is missing, and one that gathers them. Answers at once; ask for the grid to follow it."""
        job, new = _submit(app, request, body, key)
        response.status_code = 201 if new else 200
        response.headers["Location"] = f"{base_of(request)}/grids/{job.id}"
        return _detail(app, request, job)

    @router.get("", summary="List grids", responses=problems(422))
    def grids(request: Request, asked: Annotated[GridsQuery, Query()]) -> GridPage:
        """Grids that run or wait, then those that ended, newest first."""
        wanted = filter_of(None, kind=GRID, owner=viewer_of(request).only)
        found, following = app.jobs.page(wanted, cursor=asked.cursor, limit=asked.limit)
        base = base_of(request)
        return GridPage(items=[grid_item(state_of(job, app.jobs), item_of(job, base)) for job in found], next=following)

    _add_one(router, app)
    return router


def _add_one(router: APIRouter, app: App) -> None:
    @router.get("/{grid_id}", summary="Read a grid", responses=problems(404, 422))
    def grid(request: Request, grid_id: str) -> GridDetail:
        """A grid with what became of each cell so far."""
        return _detail(app, request, _grid(app, request, grid_id))

    @router.post("/{grid_id}/cancel", summary="Cancel a grid", responses=problems(404, 409, 422))
    def cancel(request: Request, grid_id: str) -> GridDetail:
        """Stop the cells that run and take out those that wait; the grid is drawn with what there is. 409 once it has ended."""
        job = _grid(app, request, grid_id)
        if not app.jobs.cancel(job.id):
            raise Refused(409, "Conflict", errors=ENDED)
        return _detail(app, request, app.jobs.get(job.id))

    @router.post("/{grid_id}/draw", summary="Draw a grid again", status_code=201, responses=problems(404, 422))
    def draw(request: Request, response: Response, grid_id: str) -> JobDetail:
        """Draw the grid once more from the pictures of its cells, as they are now."""
        own(app, request, grid_id)
        copy = app.duplicate(_grid(app, request, grid_id).id, owner=owner_of(request))
        base = base_of(request)
        response.headers["Location"] = f"{base}/jobs/{copy.id}"
        place = app.jobs.position(copy.id)
        return detail_of(copy, base, None, place[0] if place else None)

    @router.get(
        "/{grid_id}/report", summary="Read the report of a grid", response_class=Response, responses={**REPORT, **problems(404, 422)}
    )
    def report(request: Request, grid_id: str, form: Literal["html", "csv"] = "html") -> Response:
        """What the cells gave: a page that shows each picture large, or a table."""
        state = state_of(_grid(app, request, grid_id), app.jobs)
        if form == "csv":
            return Response(csv_text(state.row, state.endings, _link), media_type="text/csv; charset=utf-8")
        title = str(state.job.resolved.get("title", ""))
        about = f"{state.finished} of {len(state.row.cells)} cells"
        return Response(html_text(state.row, state.endings, _link, title, about), media_type="text/html; charset=utf-8")


def _link(cell: CellRow, ending: Ending) -> str:
    """As seen from the report's own address."""
    found = ending.picture
    return f"../../jobs/{cell.job}/pictures/{ending.pictures.index(found)}" if found is not None else ""


def _asked(app: App, body: Any) -> tuple[GenerationRequest, GridAsked]:
    """The request and the grid of a body. Raises RequestFault."""
    data = body.model_dump()
    asked = GenerationRequest.from_data(with_pictures(app, body.kind, data["request"]))
    return asked, GridAsked.from_data({"axes": data["axes"], "options": data["options"]})


def _submit(app: App, request: Request, body: Any, key: str | None) -> tuple[Job, bool]:
    """(the grid's job, it is new). Raises RequestFault when the key was used for another grid."""
    owner = owner_of(request)
    asked, grid = _asked(app, body)
    own_key = None if key is None else f"{owner}:{key}"
    if own_key is not None:
        try:
            return _same(app.jobs.get(own_key), grid, key), False
        except UnknownJob:
            pass
    return _same(app.submit_grid(asked, grid, owner=owner, key=own_key, turn=turn_of(request, body)), grid, key), True


def _same(job: Job, grid: GridAsked, key: str | None) -> Job:
    if key is not None and job.request.get("grid") != json.loads(json.dumps(grid.to_data())):
        raise RequestFault("Idempotency-Key", "was used for another request; take a new one", got=key)
    return job


def _grid(app: App, request: Request, grid_id: str) -> Job:
    """The job of a grid. Raises UnknownJob, also for one that the caller may not know of, and for a job that is no grid."""
    job = visible(app, request, grid_id)
    if job.kind != GRID:
        raise UnknownJob(f"The job {grid_id[:80]!r} is no grid.", id=grid_id[:80])
    return job


def _detail(app: App, request: Request, job: Job) -> GridDetail:
    state: GridState = state_of(job, app.jobs)
    base = base_of(request)
    return grid_of(state, item_of(job, base, app.jobs.live_of(job.id) if job.state == "running" else None), base)
