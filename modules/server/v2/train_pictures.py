"""/api/v2/train/sessions/{name}/pictures and what is done to them: taken in, looked at, captioned, cropped, examined.

A picture is named by its place in the session's folder of pictures, and only files in there are handed out. Knows bodies and answers;
`modules.train.data` knows what makes a picture fit to be trained. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Query, Request, Response, UploadFile
from fastapi import Path as InPath

from modules.faults import DiskFault, RequestFault, UnknownName
from modules.folders import safe_join
from modules.library.thumbnails import Thumbnails
from modules.processing.train_plan import side_of
from modules.request.caption_folder import FolderRequest
from modules.server.errors import Refused
from modules.server.owner import owner_of
from modules.server.v2.files import file_answer, file_responses
from modules.server.v2.job_shapes import JobItem, base_of
from modules.server.v2.job_shapes import item_of as job_item
from modules.server.v2.reading import CheckedRoute
from modules.server.v2.shapes import problems
from modules.server.v2.train_picture_shapes import (
    Captioned,
    CaptionWish,
    Cropped,
    NotTaken,
    PictureChange,
    PicturesTaken,
    SmartCrop,
    TagCount,
    TakePictures,
    TrainPicture,
    TrainPicturePage,
    TrainPicturesQuery,
    TrainReport,
)
from modules.server.v2.train_report import report_of
from modules.server.v2.train_values import in_data, picture_url, resting, session_of, url_of
from modules.train.collection import Collection, Item
from modules.train.sessions import Session
from modules.train.taking import Taken, take, take_folder

if TYPE_CHECKING:
    from modules.app import App

TYPES = ("image/png", "image/jpeg", "image/webp", "image/avif", "image/bmp", "image/tiff")
TAGS = 200
FilePath = Annotated[str, InPath(max_length=400, description="as `file` of a picture says, perhaps with a folder")]
Sent = Annotated[list[UploadFile], File(description="Pictures, captions (.txt, .caption) of the same names, and zips of both.")]


def routes(app: App) -> APIRouter:
    """The routes of a session's pictures."""
    router = APIRouter(prefix="/api/v2/train/sessions/{name}", tags=["v2 train"], route_class=CheckedRoute)

    @router.post("/pictures", summary="Send pictures to a training session", status_code=201, responses=problems(404, 413, 422))
    async def send(name: str, files: Sent) -> PicturesTaken:
        """Multipart: pictures, captions and zips of both. Nothing is written over; the same bytes are kept once."""
        return await asyncio.to_thread(_sent, app, name, files)

    @router.post("/pictures/take", summary="Take pictures of this server", status_code=201, responses=problems(400, 404, 413, 422))
    def take_here(name: str, body: TakePictures) -> PicturesTaken:
        """Copies of a folder's pictures, of pictures that were sent to /api/v2/inputs, or of those in the library."""
        return _told(_taken(app, session_of(app, name), body))

    @router.get("/pictures", summary="List the pictures of a training session", responses=problems(404, 422))
    def pictures(request: Request, name: str, asked: Annotated[TrainPicturesQuery, Query()]) -> TrainPicturePage:
        """The pictures with captions and crops, in natural order."""
        session = session_of(app, name)
        collection = _collection(app, session)
        found = collection.items(search=asked.search)
        rows = collection.looked_at(found[asked.offset : asked.offset + asked.limit])
        following = asked.offset + asked.limit
        return TrainPicturePage(
            items=[_picture(request, session, row) for row in rows],
            next=str(following) if following < len(found) else None,
            total=len(found),
        )

    _add_one(router, app)
    _add_work(router, app)
    return router


def _add_one(router: APIRouter, app: App) -> None:
    thumbnails = Thumbnails(app.folders.cache / "thumbnails")
    file_route: dict[str, Any] = {"response_class": Response, "responses": file_responses(*TYPES) | problems(400, 404, 416, 422)}

    @router.head("/pictures/{file:path}/thumbnail", include_in_schema=False)
    @router.get("/pictures/{file:path}/thumbnail", summary="Fetch a small picture of a training session", **file_route)
    def thumbnail(request: Request, name: str, file: FilePath) -> Response:
        """The picture at most 400 pixels wide and high."""
        path = _path(session_of(app, name), file)
        made = thumbnails.of_file(path)
        if made is None:
            raise Refused(404, "Not Found", errors=f"{path.name} is no picture that can be read")
        return file_answer(request, made, "image/webp")

    @router.head("/pictures/{file:path}", include_in_schema=False)
    @router.get("/pictures/{file:path}", summary="Fetch a picture of a training session", **file_route)
    def picture(request: Request, name: str, file: FilePath) -> Response:
        """The file as it lies in the session."""
        path = _path(session_of(app, name), file)
        media_type = mimetypes.guess_type(path.name)[0] or ""
        if media_type not in TYPES:
            raise Refused(404, "Not Found", errors="this is no picture that is handed out")
        return file_answer(request, path, media_type, name=path.name)

    @router.patch("/pictures/{file:path}", summary="Caption or crop a picture of a training session", responses=problems(400, 404, 422))
    def change(request: Request, name: str, file: FilePath, body: PictureChange) -> TrainPicture:
        """Write its caption, or choose the part of it that is trained."""
        session = session_of(app, name)
        _path(session, file)
        collection = _collection(app, session)
        if "caption" in body.model_fields_set:
            collection.write_caption(file, body.caption)
        if "crop" in body.model_fields_set:
            collection.crop(file, None if body.crop is None else (body.crop.x, body.crop.y, body.crop.width, body.crop.height))
        return _picture(request, session, collection.item(file))

    @router.delete("/pictures/{file:path}", summary="Remove a picture from a training session", responses=problems(404, 409, 422))
    def remove(request: Request, name: str, file: FilePath) -> TrainPicture:
        """Remove the session's copy of a picture, with its caption and crop."""
        session = resting(app, session_of(app, name))
        _path(session, file)
        collection = _collection(app, session)
        gone = _picture(request, session, collection.item(file))
        collection.remove(file)
        return gone


def _add_work(router: APIRouter, app: App) -> None:
    @router.post("/examine", summary="Check what would be trained", responses=problems(404, 422))
    def check(name: str) -> TrainReport:
        """Look at every file and every value, and say what would be trained and what is wrong, before anything is queued."""
        return report_of(app, session_of(app, name))

    @router.post("/crop", summary="Crop pictures to their subject", responses=problems(400, 404, 422))
    def crop(request: Request, name: str, body: SmartCrop | None = None) -> Cropped:
        """Find the subject of each picture (faces, else what stands out, else the detail) and crop to it."""
        session, wish = session_of(app, name), body or SmartCrop()
        collection = _collection(app, session)
        for file in wish.files:
            _path(session, file)
        changed, refused = collection.smart_crop(wish.files, keep_own=wish.keep)
        return Cropped(
            changed=[_picture(request, session, item) for item in changed],
            refused=[NotTaken(name=file, why=why) for file, why in refused],
        )

    @router.post("/captions", summary="Caption the pictures of a training session", responses=problems(400, 404, 422))
    def captions(request: Request, name: str, body: CaptionWish) -> Captioned:
        """Queue a captioner for the session's pictures, or change captions with a tool; the tags that there are then."""
        session = session_of(app, name)
        collection = _collection(app, session)
        for file in body.files:
            _path(session, file)
        if body.tool:
            changed = collection.change_captions(body.tool, body.find, body.put, body.files)
            return Captioned(job=None, changed=changed, tags=_tags(collection))
        if not body.request:  # only how often which tag is there
            return Captioned(job=None, changed=0, tags=_tags(collection))
        if body.files:
            raise RequestFault("files", "a captioner looks at the whole session; existing=skip leaves captions alone that are there")
        asked = FolderRequest.from_data({"output": ".txt", **body.request, "folder": str(session.paths.pictures), "recursive": True})
        if asked.output != ".txt":
            raise RequestFault("output", "captions of a session are .txt files beside their pictures", got=asked.output)
        job = app.submit_caption_folder(asked, owner=owner_of(request), anywhere=True)
        return Captioned(job=JobItem(**job_item(job, base_of(request))), changed=0, tags=_tags(collection))


def _collection(app: App, session: Session) -> Collection:
    """The session's pictures, with sizes as its model has them."""
    try:
        return Collection(session, side_of(session.config(), app.settings.current, app.library))
    except (RequestFault, DiskFault):  # a configuration that cannot be read is told elsewhere
        return Collection(session)


def _sent(app: App, name: str, files: list[UploadFile]) -> PicturesTaken:
    def read() -> Iterator[tuple[str, bytes]]:
        for file in files:
            yield file.filename or "", file.file.read()

    return _told(take(session_of(app, name), read()))


def _taken(app: App, session: Session, body: TakePictures) -> Taken:
    """Raises RequestFault for a folder outside the data folder, an unknown input or an unknown picture."""
    taken = Taken()
    if body.folder:
        _add(taken, take_folder(session, in_data(app, body.folder, "folder"), within=app.folders.data))
    files: list[tuple[str, bytes]] = []
    for number, reference in enumerate(body.inputs):
        path = app.inputs.path(reference, "inputs")
        stem = reference.rpartition(":")[2].rpartition("/")[2][:16]
        files.append((f"{stem}{path.suffix or '.png'}", path.read_bytes()))
        if number < len(body.texts) and body.texts[number].strip():
            files.append((f"{stem}.txt", body.texts[number].encode()))
    for row in _rows(app, body.pictures):
        path = Path(row.path)
        files.append((path.name, path.read_bytes()))
        if body.captions and row.prompt:
            files.append((path.with_suffix(".txt").name, row.prompt.encode()))
    _add(taken, take(session, files))
    return taken


def _rows(app: App, ids: list[str]) -> list[Any]:
    rows = {row.id: row for row in app.pictures.rows(ids)}
    for one in ids:
        if one not in rows or not Path(rows[one].path).is_file():
            raise UnknownName("pictures", one, [])
    return [rows[one] for one in ids]


def _add(taken: Taken, more: Taken) -> None:
    taken.pictures += more.pictures
    taken.captions += more.captions
    taken.refused += more.refused


def _told(taken: Taken) -> PicturesTaken:
    return PicturesTaken(
        pictures=taken.pictures, captions=taken.captions, refused=[NotTaken(name=name, why=why) for name, why in taken.refused]
    )


def _path(session: Session, file: str) -> Path:
    """Of a picture in the session. Raises Refused(404)."""
    try:
        path = safe_join(session.paths.pictures, file)
    except RequestFault as fault:
        raise Refused(404, "Not Found", errors=fault.message) from fault
    if not Collection(session).has(file):
        raise Refused(404, "Not Found", errors="this session has no such picture; look at the list again")
    return path


def _picture(request: Request, session: Session, item: Item) -> TrainPicture:
    url = picture_url(url_of(base_of(request), session.name), item.file)
    return TrainPicture(**item.to_data(), url=url, thumbnail=f"{url}/thumbnail")


def _tags(collection: Collection) -> list[TagCount]:
    return [TagCount(tag=tag, count=count) for tag, count in collection.tags()[:TAGS]]
