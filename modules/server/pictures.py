"""/internal/history: what the History tab shows and does: pages of the list, single pictures, comparing, marks, the bin.

Knows rows as JSON; the library knows the files. Pictures are named by id, never by a path from outside. Start reading at `routes`.
"""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import FileResponse

from modules.faults import RequestFault, UnknownName
from modules.library.pictures import KINDS, SORTS, PictureRow, Wish, differences
from modules.library.thumbnails import SIDE_PX, Thumbnails
from modules.pixels.metadata import read_parameters
from modules.server.body import Body
from modules.server.errors import Refused

if TYPE_CHECKING:
    from modules.app import App

PAGE_ROWS = 200
IDS = 500
HINT_CHARS = 200
SMALL_BYTES = 150_000  # a picture so small is its own thumbnail
TYPES = ("image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "image/bmp", "image/tiff")
KEPT = {"Cache-Control": "private, max-age=86400"}


class Asked(BaseModel):
    """The part of a list that is wanted; see `modules.library.pictures.Wish`."""

    search: str = Field("", max_length=2000)
    model: str = Field("", max_length=300)
    sampler: str = Field("", max_length=300)
    kind: str = Field("", max_length=20)
    since_s: float | None = None
    until_s: float | None = None
    least_px: int | None = Field(None, ge=0, le=10**6)
    most_px: int | None = Field(None, ge=0, le=10**6)
    favourites: bool = False
    sort: str = "newest"
    offset: int = Field(0, ge=0, le=10**9)
    limit: int = Field(100, ge=0, le=PAGE_ROWS)


def routes(app: App) -> APIRouter:
    """The routes of the History tab."""
    router = APIRouter(prefix="/internal/history", tags=["page"])

    @router.get("")
    def pictures(asked: Annotated[Asked, Query()]) -> dict[str, Any]:
        """Some rows of a list, how many there are, and how many files are still to be read; looking: more may come."""
        page = app.pictures.page(_wish(asked), asked.offset, asked.limit)
        return {"rows": [_card(row) for row in page.rows], "total": page.total, "unread": page.unread, "looking": page.looking}

    @router.get("/choices")
    def choices() -> dict[str, Any]:
        """What the list can be filtered and ordered by."""
        found = app.pictures.choices()
        counts = dict(found["kind"])
        kinds = [{"kind": kind, "title": title, "count": counts.get(kind, 0)} for kind, title in KINDS.items()]
        sorts = [{"sort": name, "title": title} for name, (_, title) in SORTS.items()]
        return {"kinds": kinds, "sorts": sorts, "models": [v for v, _ in found["model"]], "samplers": [v for v, _ in found["sampler"]]}

    @router.get("/compare")
    def compare(first: str, second: str) -> dict[str, Any]:
        """Two pictures and why they differ: keys with both values, and the words of the prompts."""
        a, b = _row(app, first), _row(app, second)
        found = differences.settings(a.infotext, b.infotext)
        return {
            "pictures": [_card(a), _card(b)],
            "settings": [{"key": d.key, "first": d.first, "second": d.second} for d in found],
            "prompt": _pieces(a.prompt, b.prompt),
            "negative": _pieces(a.negative, b.negative),
        }

    _add_bin(router, app)
    _add_changes(router, app)
    _add_single(router, app)
    return router


def _add_changes(router: APIRouter, app: App) -> None:
    @router.post("/favourite")
    def favourite(body: Body) -> dict[str, Any]:
        """Mark pictures ("on": true) or take the mark away; body: ids, on."""
        rows = _rows(app, body)
        if not isinstance(body.get("on"), bool):
            raise RequestFault("on", "must be true or false", got=body.get("on"))
        app.pictures.set_favourite(rows, body["on"])
        return {"ids": [row.id for row in rows], "on": body["on"]}

    @router.post("/rebuild")
    def rebuild() -> dict[str, bool]:
        """Forget the index and make it anew from the files."""
        app.pictures.rebuild()
        return {"ok": True}

    @router.post("/refresh")
    def refresh() -> dict[str, bool]:
        """Look at every folder and file again."""
        app.pictures.refresh(thorough=True)
        return {"ok": True}

    @router.post("/text")
    async def text(request: Request) -> dict[str, str]:
        """The parameters text of the picture file that is the body; "" when it carries none."""
        data = await request.body()
        return {"infotext": (await asyncio.to_thread(read_parameters, data))[0]}


def _add_bin(router: APIRouter, app: App) -> None:
    thumbnails = Thumbnails(app.folders.cache / "thumbnails")

    @router.get("/bin")
    def in_bin() -> dict[str, Any]:
        """What lies in the bin, the latest first, and where that is."""
        found = app.pictures.in_bin()
        rows = [{"place": b.place, "name": Path(b.path).name, "path": b.path, "removed_s": b.removed_s} for b in found]
        return {"rows": rows, "folder": str(found[0].picture.parent.parent) if found else ""}

    @router.get("/bin/{place}/thumbnail", response_class=FileResponse)
    def bin_thumbnail(place: str) -> FileResponse:
        """A small picture of what lies in the bin."""
        found = next((b for b in app.pictures.in_bin() if b.place == place), None)
        made = thumbnails.of_file(found.picture) if found else None
        if made is None:
            raise Refused(404, "Not Found", errors="there is no such picture in the bin")
        return FileResponse(made, media_type="image/webp", headers=KEPT)

    @router.post("/remove")
    def remove(body: Body) -> dict[str, Any]:
        """Move pictures into the bin; body: ids. Answers the places there, for `restore`."""
        places = [app.pictures.remove(row).place for row in _rows(app, body)]
        return {"places": places}

    @router.post("/restore")
    def restore(body: Body) -> dict[str, Any]:
        """Put pictures back; body: places, as `remove` answered them."""
        places = body.get("places")
        if not isinstance(places, list) or not all(isinstance(p, str) and "\x00" not in p for p in places) or len(places) > IDS:
            raise RequestFault("places", "must be what removing the pictures answered", got=type(places).__name__)
        rows = [app.pictures.restore(place) for place in places]
        return {"ids": [row.id for row in rows if row]}


def _add_single(router: APIRouter, app: App) -> None:
    thumbnails = Thumbnails(app.folders.cache / "thumbnails")

    @router.get("/{key}")
    def picture(key: str) -> dict[str, Any]:
        """One picture with its whole text, and that text as keys and values."""
        row = _row(app, key)
        return {
            **_card(row), "path": row.path, "size_bytes": row.size_bytes, "infotext": row.infotext, "prompt": row.prompt,
            "negative": row.negative, "items": differences.readable(row.infotext), "problem": row.problem, "job": row.job,
        }  # fmt: skip

    @router.get("/{key}/thumbnail", response_class=FileResponse)
    def thumbnail(key: str) -> FileResponse:
        """A small picture of a picture."""
        row = _row(app, key)
        path = Path(row.path)
        if row.size_bytes <= SMALL_BYTES and 0 < max(row.width, row.height) <= SIDE_PX and _media_type(path) in TYPES[:3]:
            return FileResponse(path, media_type=_media_type(path), headers=KEPT)
        made = thumbnails.of_file(path)
        if made is None:
            raise Refused(404, "Not Found", errors=f"{row.name} is no picture that can be read")
        return FileResponse(made, media_type="image/webp", headers=KEPT)

    @router.get("/{key}/file/{name}", response_class=FileResponse)
    def file(key: str, name: str) -> FileResponse:
        """The file itself. name: what the browser shall call it; the path comes from the index."""
        row = _row(app, key)
        path = Path(row.path)
        if (media_type := _media_type(path)) not in TYPES or not path.is_file():
            raise Refused(404, "Not Found", errors=f"{name[:100]} is no longer there")
        return FileResponse(path, media_type=media_type, filename=path.name, content_disposition_type="inline", headers=KEPT)


def _wish(asked: Asked) -> Wish:
    """Raises UnknownName for an order or a kind that there is not."""
    if asked.sort not in SORTS:
        raise UnknownName("sort", asked.sort, SORTS)
    if asked.kind and asked.kind not in KINDS:
        raise UnknownName("kind", asked.kind, KINDS)
    return Wish(**asked.model_dump(exclude={"offset", "limit"}))


def _rows(app: App, body: dict[str, Any]) -> list[PictureRow]:
    """The pictures that a body names by "ids"; those that are gone are left out."""
    ids = body.get("ids")
    if not isinstance(ids, list) or not all(isinstance(key, str) for key in ids) or not 0 < len(ids) <= IDS:
        raise RequestFault("ids", f"must be a list of 1 to {IDS} ids of pictures", got=type(ids).__name__)
    if rows := app.pictures.rows(list(dict.fromkeys(ids))):
        return rows
    raise _gone()


def _row(app: App, key: str) -> PictureRow:
    row = app.pictures.row(key)
    if row is None:
        raise _gone()
    return row


def _gone() -> Refused:
    return Refused(404, "Not Found", errors="this picture is not there any more; look at the list again")


def _media_type(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or ""


def _card(row: PictureRow) -> dict[str, Any]:
    """A row as the list shows it; addresses are relative to the page."""
    return {
        "id": row.id, "name": row.name, "kind": row.kind, "width": row.width, "height": row.height, "created_s": row.created_s,
        "described": row.described, "favourite": row.favourite, "hint": row.prompt[:HINT_CHARS], "model": row.model,
        "model_hash": row.model_hash, "seed": None if row.seed is None else str(row.seed), "sampler": row.sampler, "steps": row.steps,
        "cfg": row.cfg, "thumbnail": f"internal/history/{row.id}/thumbnail?{quote(row.stamp)}",
        "file": f"internal/history/{row.id}/file/{quote(row.name, safe='')}",
    }  # fmt: skip


def _pieces(first: str, second: str) -> list[list[str]]:
    return [[piece.side, piece.text] for piece in differences.words(first, second)]
