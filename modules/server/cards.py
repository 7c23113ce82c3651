"""/sd_extra_networks: what A1111's cards of models and the extensions around them ask for: thumbnails, metadata, covers, single cards.

Knows A1111's names for the lists; only models that the library knows, and pictures beside them, are ever shown. Start reading at `routes`.
"""

from __future__ import annotations

import base64
import binascii
import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import FileResponse, Response

from modules.faults import RequestFault
from modules.library.sidecars import embedded_preview, preview_of, previews_of
from modules.library.thumbnails import Thumbnails
from modules.pixels.metadata import picture_format
from modules.server.errors import Refused

if TYPE_CHECKING:
    from modules.app import App
    from modules.library import ModelRow

# A1111's name of a list of cards -> the library's kind.
PAGES = {
    "lora": "lora", "checkpoints": "checkpoint", "textual inversion": "embedding", "textual_inversion": "embedding",
    "hypernetworks": "hypernetwork",
}  # fmt: skip
COVERS = "ssmd_cover_images"  # kohya's key: a list of base64 pictures as JSON
TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
KEPT = {"Cache-Control": "private, max-age=86400"}
Name = Annotated[str, Query(max_length=1000)]


def routes(app: App) -> APIRouter:
    """The routes of the cards."""
    router = APIRouter(prefix="/sd_extra_networks", tags=["models"])
    thumbnails = Thumbnails(app.folders.cache / "thumbnails")

    @router.get("/thumb", response_class=FileResponse)
    def thumb(filename: Annotated[str, Query(max_length=4000)] = "") -> FileResponse:
        """A small picture of a model. filename: the path of a model, or of the picture beside one."""
        row = _row_of(app, filename)
        made = thumbnails.of(row, app.library.metadata(row)) if row is not None else None
        if made is None:
            raise Refused(404, "File not found", errors="filename: no model of the lists has such a picture")
        return FileResponse(made, media_type="image/webp", headers=KEPT)

    @router.get("/metadata")
    def metadata(page: Name = "", item: Name = "") -> dict[str, str]:
        """What a model's file says about itself, as JSON text: {metadata}; {} for a model that is not there."""
        row = _named(app, page, item)
        if row is None:
            return {}
        return {"metadata": json.dumps(app.library.metadata(row), indent=4, ensure_ascii=False)}

    @router.get("/cover-images", response_class=Response)
    def cover_images(page: Name = "", item: Name = "", index: Annotated[int, Query(ge=0, le=1000)] = 0) -> Response:
        """A picture that a model's file carries in itself."""
        row = _named(app, page, item)
        data = _cover(app.library.metadata(row), index) if row is not None else None
        kind = _kind(data) if data else None
        if data is None or kind is None:
            raise Refused(404, "File not found", errors="index: the model is not there or carries no such picture")
        return Response(data, media_type=kind, headers=KEPT)

    @router.get("/get-single-card")
    def single_card(page: Name = "", tabname: Name = "", name: Name = "") -> dict[str, str]:
        """The card of a model as HTML: {html}. tabname: txt2img or img2img."""
        row = _named(app, page, name)
        if row is None:
            raise Refused(404, "Card not found", errors="name: there is no such model in this list")
        return {"html": _card(row, tabname)}

    return router


def _named(app: App, page: str, item: str) -> ModelRow | None:
    """The model of that name in a list. Names are the library's, as they are typed in prompts."""
    kind = PAGES.get(page.casefold())
    if kind is None or not item:
        return None
    wanted = item.casefold()
    return next((row for row in app.library.rows(kind) if wanted in (row.name.casefold(), row.title.casefold())), None)


def _row_of(app: App, filename: str) -> ModelRow | None:
    """The model that a path belongs to: its own, or that of the picture beside it."""
    wanted = Path(filename.partition("?")[0])
    if not filename or "\x00" in filename:
        return None
    rows = app.library.rows()
    own = next((row for row in rows if Path(row.path) == wanted), None)
    if own is not None:
        return own
    near = [row for row in rows if wanted.name.startswith(Path(row.path).stem) and wanted.parent in (Path(row.path).parent, Path(row.path))]
    pictures = previews_of(near)
    return next((row for row in near if pictures.get(row.id) == wanted), None)


def _cover(metadata: dict[str, str], index: int) -> bytes | None:
    if COVERS not in metadata:
        return embedded_preview(metadata) if index == 0 else None
    try:
        found: Any = json.loads(metadata[COVERS])
        return base64.b64decode(found[index], validate=True)
    except (ValueError, binascii.Error, LookupError, TypeError, RecursionError):
        return None


def _kind(data: bytes) -> str | None:
    """The media type of a picture that browsers show; None for anything else."""
    try:
        return TYPES.get(picture_format(data))
    except RequestFault:
        return None


def _card(row: ModelRow, tabname: str) -> str:
    name = escape(row.name, quote=True)
    picture = ""
    if preview_of(row) is not None:
        picture = f'<img src="sd_extra_networks/thumb?filename={quote(row.path)}" class="preview" loading="lazy" alt="">'
    return (
        f'<div class="card" data-name="{name}" data-tabname="{escape(tabname, quote=True)}">{picture}'
        f'<div class="actions"><span class="name">{name}</span></div></div>'
    )
