"""/api/v2/train: sessions of training as resources: list, make, change, copy, remove, pack into a zip and take one in.

Pictures are in `train_pictures`, the training itself in `train_runs`. Sessions are named by their name, never by a path from outside.
Knows bodies and answers; `modules.train` knows the folders. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from starlette.background import BackgroundTask
from starlette.responses import FileResponse

from modules.faults import RequestFault
from modules.request.train import TrainConfig
from modules.server.v2.files import BINARY
from modules.server.v2.job_shapes import base_of
from modules.server.v2.reading import CheckedRoute
from modules.server.v2.shapes import Asked, problems
from modules.server.v2.train_shapes import (
    NAME_CHARS,
    CloneTrainSession,
    NewTrainSession,
    TrainOptions,
    TrainSessionChange,
    TrainSessionDetail,
    TrainSessionGone,
    TrainSessionPage,
)
from modules.server.v2.train_values import changed_config, detail_of, in_data, item_of, jobs_by_session, options_of, resting, session_of
from modules.train.archive import export, rename, take_in
from modules.train.sessions import Session
from modules.train.taking import take_folder

if TYPE_CHECKING:
    from modules.app import App

ZIP = "application/zip"
ZIP_BODY: dict[str, Any] = {"requestBody": {"required": False, "content": {ZIP: BINARY, "application/octet-stream": BINARY}}}


class ExportQuery(Asked):
    """What goes into the zip beside configuration, pictures, captions, samples, log and results."""

    state: bool = True
    cache: bool = False


class ImportQuery(Asked):
    """file: a zip inside the data folder, for those that are too large to send; empty: the body is the zip."""

    file: Annotated[str, Query(max_length=4000)] = ""


def routes(app: App) -> APIRouter:
    """The routes of sessions."""
    router = APIRouter(prefix="/api/v2/train", tags=["v2 train"], route_class=CheckedRoute)

    @router.get("/options", summary="Say what can be asked of a training", responses=problems())
    def options() -> TrainOptions:
        """Every field of a configuration with its range and words, the presets, the devices and the captioners."""
        return options_of(app)

    @router.get("/sessions", summary="List training sessions", responses=problems())
    def sessions(request: Request) -> TrainSessionPage:
        """All sessions, the last changed first."""
        found, jobs = Session.list(app.folders), jobs_by_session(app)
        items = [item_of(app, base_of(request), summary, jobs.get(summary.name)) for summary in found]
        return TrainSessionPage(items=items, next=None, total=len(items))

    @router.post("/sessions", summary="Make a training session", status_code=201, responses=problems(400, 404, 413, 422))
    def make(request: Request, response: Response, body: NewTrainSession) -> TrainSessionDetail:
        """A folder in models/train with a configuration; with `folder`, copies of that folder's pictures and captions too."""
        given = body.config.model_dump(exclude_unset=True) if body.config else {}
        config = changed_config(TrainConfig(), body.preset or None, given)
        source = in_data(app, body.folder, "folder") if body.folder else None
        session = Session.create(app.folders, body.name, config)
        if source is not None:
            take_folder(session, source, within=app.folders.data)
        response.headers["Location"] = f"{base_of(request)}/train/sessions/{quote(session.name)}"
        return detail_of(app, base_of(request), session)

    _add_one(router, app)
    _add_copies(router, app)
    return router


def _add_one(router: APIRouter, app: App) -> None:
    @router.get("/sessions/{name}", summary="Read a training session", responses=problems(404))
    def read(request: Request, name: str) -> TrainSessionDetail:
        """A session with its configuration, where it stands, and what it made."""
        return detail_of(app, base_of(request), session_of(app, name))

    @router.patch("/sessions/{name}", summary="Change a training session", responses=problems(400, 404, 409, 422))
    def change(request: Request, name: str, body: TrainSessionChange) -> TrainSessionDetail:
        """Change values of its configuration, or its name. What runs keeps the values it began with."""
        session = session_of(app, name)
        if body.preset is not None or body.config is not None:
            given = body.config.model_dump(exclude_unset=True) if body.config else {}
            session.save_config(changed_config(session.config(), body.preset, given))
        if body.name is not None and body.name != session.name:
            session = rename(app.folders, resting(app, session), body.name)
        return detail_of(app, base_of(request), session)

    @router.delete("/sessions/{name}", summary="Remove a training session", responses=problems(404, 409))
    def remove(name: str) -> TrainSessionGone:
        """Remove the session's folder with everything in it. What it put among the models stays there."""
        session = resting(app, session_of(app, name))
        session.delete()
        return TrainSessionGone(name=session.name)


def _add_copies(router: APIRouter, app: App) -> None:
    @router.post("/sessions/{name}/clone", summary="Copy a training session", status_code=201, responses=problems(400, 404, 422))
    def clone(request: Request, name: str, body: CloneTrainSession) -> TrainSessionDetail:
        """A copy under another name, to try other values with the same pictures."""
        copy = session_of(app, name).clone(app.folders, body.name, trained=body.progress)
        return detail_of(app, base_of(request), copy)

    answer: dict[int | str, dict[str, Any]] = {200: {"description": "A zip file.", "content": {ZIP: BINARY}}}

    @router.get(
        "/sessions/{name}/export",
        summary="Pack a training session",
        response_class=Response,
        responses={**answer, **problems(404, 422)},
    )
    def pack(name: str, asked: Annotated[ExportQuery, Query()]) -> Response:
        """The session as one zip file, to keep or to take to another machine."""
        session = session_of(app, name)
        target = app.folders.cache / "train" / f"export-{secrets.token_hex(8)}.zip"
        export(session, target, state=asked.state, cache=asked.cache)
        return FileResponse(
            target, media_type=ZIP, filename=f"{session.name}.zip", background=BackgroundTask(target.unlink, missing_ok=True)
        )

    @router.post(
        "/sessions/{name}/import",
        summary="Take in a training session",
        status_code=201,
        responses=problems(400, 413, 422),
        openapi_extra=ZIP_BODY,
    )
    async def unpack(request: Request, name: str, asked: Annotated[ImportQuery, Query()]) -> TrainSessionDetail:
        """A session of that name out of the zip that is the body, or a zip inside the data folder."""
        if len(name) > NAME_CHARS:
            raise RequestFault("session", f"is longer than {NAME_CHARS} characters")
        if asked.file:
            session = await asyncio.to_thread(_taken_in, app, in_data(app, asked.file, "file"), name)
        else:
            session = await _received(app, request, name)
        return await asyncio.to_thread(detail_of, app, base_of(request), session)


async def _received(app: App, request: Request, name: str) -> Session:
    """The session out of the body, which is kept in a file meanwhile."""
    place = app.folders.cache / "train"
    place.mkdir(parents=True, exist_ok=True)
    fd, temp = tempfile.mkstemp(dir=place, prefix="import-", suffix=".zip")
    try:
        with os.fdopen(fd, "wb") as file:
            async for chunk in request.stream():
                await asyncio.to_thread(file.write, chunk)
        return await asyncio.to_thread(_taken_in, app, Path(temp), name)
    finally:
        Path(temp).unlink(missing_ok=True)


def _taken_in(app: App, path: Path, name: str) -> Session:
    try:
        with path.open("rb") as file:
            return take_in(app.folders, file, name)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise RequestFault("file", "there is no such file in the data folder", got=path.name) from error
