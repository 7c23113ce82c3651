"""What /api/v2/grids takes and answers: grids, their cells, what they will take, and the axes there are, as exact shapes.

Knows shapes and the addresses of things; knows nothing about routes. Start reading at `GridDetail`, then `grid_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from modules.grids.asked import NAMES, GridOptions
from modules.grids.estimate import Estimate
from modules.grids.queueing import GridState, Prepared
from modules.grids.records import Ending
from modules.server.v2.job_bodies import Exact, Img2imgRequest, Txt2imgRequest, When, record_model
from modules.server.v2.job_shapes import JobItem, JobPicture, picture_of
from modules.server.v2.shapes import Answer

TEXT_CHARS = 200_000
GridOptionsBody = record_model(GridOptions, "GridOptions")


class GridAxis(Exact):
    """One axis."""

    type: int | str = Field("Nothing", description="Label, name of a field, or place in A1111's list; see /api/v2/grids/axes.")
    values: Annotated[str, Field(max_length=TEXT_CHARS)] = Field("", description='Text: 1-10 (+3), 0-1 [5], red, "a, b".')
    chosen: Annotated[list[str], Field(max_length=1000)] = Field(
        default_factory=list[str], description="Entries of the axis' list, in place of the text, unless csv_mode is on."
    )


class _Grid(When):
    """axes: X, Y and Z; those left out are Nothing."""

    axes: Annotated[list[GridAxis], Field(max_length=len(NAMES))] = Field(default_factory=list[GridAxis])
    options: GridOptionsBody = Field(default_factory=GridOptionsBody)  # pyright: ignore[reportInvalidTypeForm]


class GridTxt2img(_Grid):
    """Cells made from text."""

    kind: Literal["txt2img"]
    request: Txt2imgRequest  # pyright: ignore[reportInvalidTypeForm]


class GridImg2img(_Grid):
    """Cells made from pictures."""

    kind: Literal["img2img"]
    request: Img2imgRequest  # pyright: ignore[reportInvalidTypeForm]


GridSubmission = Annotated[GridTxt2img | GridImg2img, Field(discriminator="kind")]


class AxisItem(Answer):
    """An axis that can be asked for. index: its place in A1111's list; kind: how its values are read: "int", "float", "bool", "str",
    "order", "json", "none"; choices: what can be chosen, null where values are typed; own: a script brought it.
    """

    index: int
    label: str
    name: str
    kind: str
    choices: list[str] | None
    own: bool


class AxisList(Answer):
    """The axes of a kind of job, in order."""

    items: list[AxisItem]


class GridPlan(Answer):
    """What a grid will take. words: in a line; pictures: that will be made, without those that are there already (made of cells).

    megapixels: of all pictures; width, height: of the grid without words; files: that it takes; seconds: null while nothing was
    measured, sure: measured with these models at these sizes; models: by name; loads: how often one is loaded.
    """

    words: str
    cells: int
    made: int
    pictures: int
    megapixels: float
    width: int
    height: int
    files: int
    seconds: float | None
    sure: bool
    models: list[str]
    loads: int
    memory_bytes: int
    peak_bytes: int


class GridAxisState(Answer):
    """An axis of a grid. words: what stands beside the cells; values: as text; used: false for Nothing."""

    label: str
    used: bool
    words: list[str]
    values: list[str]


class GridCell(Answer):
    """A cell. x, y, z: its place from 0; made: it was there before; state: of its job, "unknown" when that is forgotten.

    url: of its job; picture: null while there is none; thumbnail: a small JPEG of it.
    """

    x: int
    y: int
    z: int
    state: str
    made: bool
    job: str
    url: str
    seconds: float | None
    fault: str
    picture: JobPicture | None
    thumbnail: str | None


class GridItem(JobItem):
    """A grid: the job that gathers its cells, how many of those there are, and how far they are. fraction: 0 to 1 of all."""

    shape: list[int]
    cells: int
    ended: int
    fraction: float
    eta_s: float | None


class GridDetail(GridItem):
    """A grid with its cells, x fastest, then y, then z. pictures: of the grid itself, once it is drawn; files: CSV and HTML beside it.

    live: number of the cell that runs; report: where the report is.
    """

    axes: list[GridAxisState]
    options: dict[str, Any]
    items: list[GridCell]
    live: int | None
    pictures: list[JobPicture]
    files: list[str]
    warnings: list[str]
    report: str


class GridPage(Answer):
    """A part of the list. next: what to send as `cursor` for the part that follows, null at the end."""

    items: list[GridItem]
    next: str | None


def plan_of(prepared: Prepared) -> GridPlan:
    """What a prepared grid will take."""
    about: Estimate = prepared.estimate
    return GridPlan(
        words=about.words, cells=about.cells, made=about.made, pictures=about.pictures, megapixels=about.megapixels,
        width=about.grid_px[0], height=about.grid_px[1], files=about.sheets, seconds=about.seconds, sure=about.sure,
        models=list(about.models), loads=about.loads, memory_bytes=about.memory_bytes, peak_bytes=about.peak_bytes,
    )  # fmt: skip


def grid_item(state: GridState, item: dict[str, Any]) -> GridItem:
    """item: the values of its job."""
    return GridItem(**item, **_progress(state))


def grid_of(state: GridState, item: dict[str, Any], base: str) -> GridDetail:
    """A grid as a whole. base: prefix of addresses."""
    row, job, result = state.row, state.job, state.job.result or {}
    url = f"{base}/jobs/{job.id}"
    pictures = [picture_of(p, f"{url}/pictures/{n}") for n, p in enumerate(result.get("pictures") or ()) if p.get("kind") == "grid"]
    items = [
        _cell(cell.place, cell.job, cell.made, ending, base) for cell, ending in zip(row.cells, state.endings, strict=True)
    ]  # fmt: skip
    axes = [GridAxisState(label=a.label, used=a.used, words=list(a.words), values=list(a.values)) for a in row.axes]
    return GridDetail(
        **item, **_progress(state), axes=axes, options=vars(row.options), items=items, live=state.live, pictures=pictures,
        files=[str(path) for path in result.get("files") or ()], warnings=[str(text) for text in result.get("warnings") or ()],
        report=f"{base}/grids/{job.id}/report",
    )  # fmt: skip


def _progress(state: GridState) -> dict[str, Any]:
    return {
        "shape": list(state.row.shape), "cells": len(state.row.cells), "ended": state.finished, "fraction": state.fraction,
        "eta_s": state.eta_s,
    }  # fmt: skip


def _cell(place: Sequence[int], job: str, made: bool, ending: Ending, base: str) -> GridCell:
    url, found = f"{base}/jobs/{job}", ending.picture
    at = ending.pictures.index(found) if found is not None else 0
    x, y, z = place
    return GridCell(
        x=x, y=y, z=z, state=ending.state, made=made, job=job, url=url, seconds=ending.seconds, fault=ending.fault,
        picture=picture_of(found, f"{url}/pictures/{at}") if found is not None else None,
        thumbnail=f"{base.removesuffix('/api/v2')}/internal/queue/{job}/thumbnail/{at}" if found is not None else None,
    )  # fmt: skip
