"""/api/v2/pictures: the pictures that were made, with search, files, thumbnails, marks and the bin.

Knows the shapes; the library knows the files. Pictures are named by id, never by a path from outside. Start reading at `routes`.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from modules import infotext
from modules.faults import RequestFault, UnknownName
from modules.library.pictures import KINDS, PLACES, PictureRow, Wish
from modules.library.thumbnails import SIDE_PX, Thumbnails
from modules.server.errors import Refused
from modules.server.v2.files import file_answer, file_responses
from modules.server.v2.reading import CheckedRoute
from modules.server.v2.shapes import PAGE_LIMIT, Answer, Asked, Page, from_cursor, problems, to_cursor

if TYPE_CHECKING:
    from modules.app import App

PROMPT_START_CHARS = 200
SMALL_BYTES = 150_000  # a picture so small is its own thumbnail
TYPES = ("image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "image/bmp", "image/tiff")
NUMBER = (int, float)
# Order -> types of a place in it.
PLACE_TYPES: dict[str, tuple[type | tuple[type, ...], ...]] = {
    "newest": (NUMBER, int),
    "oldest": (NUMBER, int),
    "name": (str, NUMBER, int),
    "largest": (int, NUMBER, int),
    "seed": (int, NUMBER, int),
}


class PictureItem(Answer):
    """A picture file. created_s: seconds since 1970; described: false while only its name and size are known; job: that made it.

    kind: "txt2img", "img2img", "extras", "grid" or "other". seed, steps, cfg: null where its text has none. file, thumbnail: paths
    on this server.
    """

    id: str
    name: str
    kind: str
    width: int
    height: int
    size_bytes: int
    created_s: float
    described: bool
    favourite: bool
    job: str | None
    prompt_start: str
    model: str
    model_hash: str
    seed: int | None
    sampler: str
    scheduler: str
    steps: int | None
    cfg: float | None
    file: str
    thumbnail: str


class PictureDetail(PictureItem):
    """A picture with its text. parameters: as it stands in the file; items: its keys and values, as text; path: on the server's disk.

    request: the fields that ask for such a picture again, for `/sdapi/v1/txt2img` or a job. problem: why the file could not be read.
    """

    prompt: str
    negative_prompt: str
    parameters: str
    items: dict[str, str]
    request: dict[str, Any]
    path: str
    problem: str | None


class PicturePage(Page[PictureItem]):
    """A part of the list. unread: files whose text is not known yet; looking: the folders are still being looked through."""

    unread: int
    looking: bool


class PictureChange(Asked):
    """What can be changed of a picture."""

    favourite: bool


class BinnedPicture(Answer):
    """A picture in the bin. place: what to restore it by; path: where it was; removed_s: seconds since 1970."""

    place: str
    name: str
    path: str
    removed_s: float


class BinPage(Page[BinnedPicture]):
    """What lies in the bin, the latest first."""


class PictureQuery(Asked):
    """Which pictures, in which order. search: words, "a phrase", -not, prompt:, negative:, model:, name: and seed:."""

    search: Annotated[str, Field(max_length=2000, description='words, "a phrase", -not, prompt:, negative:, model:, name:, seed:')] = ""
    model: Annotated[str, Field(max_length=300, description="the model's name as the parameters text has it")] = ""
    sampler: Annotated[str, Field(max_length=300)] = ""
    kind: Annotated[str, Field(max_length=20, json_schema_extra={"enum": ["", *KINDS]})] = ""
    job: Annotated[str, Field(max_length=100, description="id of the job that made them")] = ""
    since_s: Annotated[float | None, Field(description="not older; seconds since 1970", allow_inf_nan=False)] = None
    until_s: Annotated[float | None, Field(description="older; seconds since 1970", allow_inf_nan=False)] = None
    least_px: Annotated[int | None, Field(ge=0, le=10**6, description="the longer side")] = None
    most_px: Annotated[int | None, Field(ge=0, le=10**6, description="the longer side")] = None
    favourites: bool = False
    sort: Annotated[str, Field(max_length=20, json_schema_extra={"enum": list(PLACES)})] = "newest"
    cursor: Annotated[str, Field(max_length=4000, description="`next` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 50


def routes(app: App) -> APIRouter:
    """The routes of pictures and of their bin."""
    router = APIRouter(prefix="/api/v2", tags=["v2 pictures"], route_class=CheckedRoute)

    @router.get("/pictures", summary="List and search pictures", responses=problems(422))
    def pictures(request: Request, asked: Annotated[PictureQuery, Query()]) -> PicturePage:
        """Pictures under the output folders, a page at a time; what is saved meanwhile does not shift later pages."""
        place = from_cursor(asked.cursor, _sort(asked), PLACE_TYPES[asked.sort]) if asked.cursor else None
        page = app.pictures.after(_wish(asked), place, asked.limit)
        following = to_cursor(asked.sort, page.place) if page.place else None
        items = [PictureItem(**_item(request, row)) for row in page.rows]
        return PicturePage(items=items, next=following, total=page.total, unread=page.unread, looking=page.looking)

    @router.get("/pictures/{id}", summary="Read one picture", responses=problems(404, 422))
    def picture(request: Request, id: str) -> PictureDetail:
        """Everything that a picture file says about itself."""
        return _detail(request, app, _row(app, id))

    @router.patch("/pictures/{id}", summary="Mark a picture", responses=problems(404, 422))
    def change(request: Request, id: str, change: PictureChange) -> PictureDetail:
        """Mark a picture as a favourite, or take the mark away."""
        app.pictures.set_favourite([_row(app, id)], change.favourite)
        return _detail(request, app, _row(app, id))

    @router.delete("/pictures/{id}", summary="Move a picture to the bin", responses=problems(404, 422))
    def remove(id: str) -> BinnedPicture:
        """Take a picture away, with the text file beside it. It can be put back by its `place`."""
        binned = app.pictures.remove(_row(app, id))
        return BinnedPicture(place=binned.place, name=Path(binned.path).name, path=binned.path, removed_s=binned.removed_s)

    _add_files(router, app)
    _add_bin(router, app)
    return router


def _add_files(router: APIRouter, app: App) -> None:
    thumbnails = Thumbnails(app.folders.cache / "thumbnails")
    file_route: dict[str, Any] = {"response_class": Response, "responses": file_responses(*TYPES) | problems(400, 404, 416, 422)}

    @router.head("/pictures/{id}/file", include_in_schema=False)
    @router.get("/pictures/{id}/file", summary="Fetch a picture file", **file_route)
    def file(request: Request, id: str) -> Response:
        """The file as it lies on the disk, its parameters inside. Answers Range, If-None-Match and If-Modified-Since."""
        row = _row(app, id)
        if (media_type := _media_type(row.path)) not in TYPES:
            raise Refused(404, "Not Found", errors=f"{row.name} is of no kind that is handed out")
        return file_answer(request, Path(row.path), media_type, name=row.name)

    @router.head("/pictures/{id}/thumbnail", include_in_schema=False)
    @router.get("/pictures/{id}/thumbnail", summary="Fetch a small picture", **file_route)
    def thumbnail(request: Request, id: str) -> Response:
        """The picture at most 400 pixels wide and high. Answers as the file does."""
        row = _row(app, id)
        small = row.size_bytes <= SMALL_BYTES and 0 < max(row.width, row.height) <= SIDE_PX
        if small and (media_type := _media_type(row.path)) in TYPES[:3]:
            return file_answer(request, Path(row.path), media_type)
        made = thumbnails.of_file(Path(row.path))
        if made is None:
            raise Refused(404, "Not Found", errors=f"{row.name} is no picture that can be read")
        return file_answer(request, made, "image/webp")


def _add_bin(router: APIRouter, app: App) -> None:
    @router.get("/bin/pictures", summary="List the pictures in the bin", responses=problems())
    def in_bin() -> BinPage:
        """The pictures that were taken away last, up to 500."""
        found = app.pictures.in_bin()
        items = [BinnedPicture(place=b.place, name=Path(b.path).name, path=b.path, removed_s=b.removed_s) for b in found]
        return BinPage(items=items, next=None, total=len(items))

    @router.post("/bin/pictures/{place}/restore", summary="Put a picture back", responses=problems(404, 409, 422))
    def restore(request: Request, place: str) -> PictureDetail:
        """Put a picture back where it was. 409 when another file has taken its name since."""
        binned = next((b for b in app.pictures.in_bin() if b.place == place), None)
        if binned is not None and Path(binned.path).exists():
            raise Refused(409, "Conflict", errors=f"{Path(binned.path).name} is there again; move that one away first")
        try:
            row = app.pictures.restore(place)
        except RequestFault as fault:
            raise Refused(404, "Not Found", errors=fault.message) from fault
        if row is None:
            raise _gone()
        return _detail(request, app, row)


def _sort(asked: PictureQuery) -> str:
    """Raises UnknownName for an order that there is not."""
    if asked.sort not in PLACES:
        raise UnknownName("sort", asked.sort, PLACES)
    return asked.sort


def _wish(asked: PictureQuery) -> Wish:
    """Raises UnknownName for an order or a kind that there is not."""
    if asked.kind and asked.kind not in KINDS:
        raise UnknownName("kind", asked.kind, KINDS)
    return Wish(sort=_sort(asked), **asked.model_dump(exclude={"sort", "cursor", "limit"}))


def _row(app: App, key: str) -> PictureRow:
    row = app.pictures.row(key)
    if row is None:
        raise _gone()
    return row


def _gone() -> Refused:
    return Refused(404, "Not Found", errors="this picture is not there any more; look at the list again")


def _media_type(path: str) -> str:
    return mimetypes.guess_type(path)[0] or ""


def _item(request: Request, row: PictureRow) -> dict[str, Any]:
    """A row as the list shows it. Its addresses bear the prefix that a proxy shows the server under."""
    own = f"{request.scope.get('root_path', '').rstrip('/')}/api/v2/pictures/{row.id}"
    return {
        "id": row.id, "name": row.name, "kind": row.kind, "width": row.width, "height": row.height, "size_bytes": row.size_bytes,
        "created_s": row.created_s, "described": row.described, "favourite": row.favourite, "job": row.job or None,
        "prompt_start": row.prompt[:PROMPT_START_CHARS], "model": row.model, "model_hash": row.model_hash, "seed": row.seed,
        "sampler": row.sampler, "scheduler": row.scheduler, "steps": row.steps, "cfg": row.cfg, "file": f"{own}/file",
        "thumbnail": f"{own}/thumbnail",
    }  # fmt: skip


def _detail(request: Request, app: App, row: PictureRow) -> PictureDetail:
    parsed = infotext.parse(row.infotext)
    return PictureDetail(
        **_item(request, row),
        prompt=row.prompt,
        negative_prompt=row.negative,
        parameters=row.infotext,
        items={key: value for key, value in parsed.items() if key in parsed.told},
        request=infotext.to_request(parsed, app.settings.current) if parsed.told else {},
        path=row.path,
        problem=row.problem or None,
    )
