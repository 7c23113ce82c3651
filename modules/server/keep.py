"""/internal/keep and /internal/zip: pictures of jobs that a person picks out: into the folder for the good ones, or into one file.

Pictures are named "job/place", never by a path. The folder has a log.csv with A1111's columns. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import csv
import io
import threading
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from modules import infotext
from modules.faults import DiskFault, RequestFault
from modules.folders import write_atomic
from modules.request import Picture
from modules.server.body import Body
from modules.server.errors import Refused
from modules.users import Viewer, viewer_of

if TYPE_CHECKING:
    from modules.app import App

PICTURES = 1000
COLUMNS = ("prompt", "seed", "width", "height", "sampler", "cfgs", "steps", "filename", "negative_prompt")


def routes(app: App) -> APIRouter:
    """The routes for chosen pictures."""
    router = APIRouter(prefix="/internal", tags=["page"])
    lock = threading.Lock()  # the log has one writer at a time

    @router.post("/keep")
    async def keep(request: Request, body: Body) -> dict[str, Any]:
        """Copy pictures into the folder of the setting outdir_save; body: pictures ("job/place"). Answers the files' names."""
        chosen = _chosen(app, viewer_of(request), body.get("pictures"))
        folder = app.folders.data / app.settings.current.outdir_save
        return {"files": await asyncio.to_thread(_keep, folder, chosen, lock), "folder": str(folder)}

    @router.get("/zip", response_class=Response)
    async def zip_file(request: Request, pictures: Annotated[list[str], Query()]) -> Response:
        """Pictures ("job/place") in one file, as they are."""
        data = await asyncio.to_thread(_zipped, _chosen(app, viewer_of(request), pictures))
        name = f"darkroom-{time.strftime('%Y%m%d-%H%M%S')}.zip"
        return Response(data, media_type="application/zip", headers={"Content-Disposition": f'attachment; filename="{name}"'})

    return router


def _chosen(app: App, viewer: Viewer, names: Any) -> list[Picture]:
    """The pictures of names "job/place". Raises RequestFault, UnknownJob, Refused."""
    if not isinstance(names, list) or not 0 < len(names) <= PICTURES:
        raise RequestFault("pictures", f"must be a list of 1 to {PICTURES} names", got=type(names).__name__)
    found: list[Picture] = []
    for name in names:
        job, _, place = str(name).partition("/")
        found_job = app.jobs.get(job)
        pictures = (found_job.result or {}).get("pictures", []) if viewer.sees(found_job.owner) else []
        if not place.isdecimal() or int(place) >= len(pictures):
            raise Refused(404, "Not Found", errors=f"pictures: this job has {len(pictures)} pictures")
        picture = Picture(**pictures[int(place)])
        if not Path(picture.path).is_file():
            raise Refused(404, "Not Found", errors=f"{Path(picture.path).name} is no longer there")
        found.append(picture)
    return found


def _keep(folder: Path, pictures: Sequence[Picture], lock: threading.Lock) -> list[str]:
    names: list[str] = []
    for picture in pictures:
        source = Path(picture.path)
        name = _free(folder, source.name, source.read_bytes())
        names.append(name)
        with lock:
            _log(folder / "log.csv", picture, name)
    return names


def _free(folder: Path, name: str, data: bytes) -> str:
    """Write under this name, or with a number behind it when another picture has it. The same picture is not written twice."""
    stem, suffix = Path(name).stem, Path(name).suffix
    number = 0
    while True:
        wanted = folder / (f"{stem}-{number}{suffix}" if number else name)
        if wanted.is_file() and wanted.read_bytes() == data:
            return wanted.name
        try:
            write_atomic(wanted, data, overwrite=False)
        except FileExistsError:
            number += 1
            continue
        return wanted.name


def _log(path: Path, picture: Picture, name: str) -> None:
    """A line behind the others; the heading first."""
    told = infotext.parse(picture.infotext)
    row = (
        told.get("Prompt", ""), picture.seed, picture.width, picture.height, told.get("Sampler", ""), told.get("CFG scale", ""),
        told.get("Steps", ""), name, told.get("Negative prompt", ""),
    )  # fmt: skip
    lines = io.StringIO()
    writer = csv.writer(lines)
    if not path.is_file():
        writer.writerow(COLUMNS)
    writer.writerow(row)
    try:
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(lines.getvalue())
    except OSError as error:
        raise DiskFault(f"cannot write {path.name} in {path.parent}: {error.strerror}. The picture itself was copied.") from error


def _zipped(pictures: Sequence[Picture]) -> bytes:
    """Stored, not packed: pictures are packed already. Names that come twice get a number in front."""
    buffer = io.BytesIO()
    taken: set[str] = set()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for n, picture in enumerate(pictures):
            name = Path(picture.path).name
            if name in taken:
                name = f"{n}-{name}"
            taken.add(name)
            file.write(picture.path, name)
    return buffer.getvalue()
