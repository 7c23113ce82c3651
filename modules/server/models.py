"""/internal/models: what the Models tab shows and does: pages of a list, one model in detail, previews, notes, the bin.

Knows rows as JSON; the library knows what they mean. Models are named by id, never by a path from outside. Start reading at `routes`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import FileResponse

from modules.families import FAMILIES
from modules.faults import ModelFault, RequestFault
from modules.library.sidecars import EMBEDDED, notes_of, previews_of, write_notes
from modules.library.thumbnails import Thumbnails
from modules.server.body import Body
from modules.server.errors import Refused

if TYPE_CHECKING:
    from modules.app import App
    from modules.library import ModelRow

PAGE_ROWS = 200
SHOWN_METADATA_CHARS = 2000
HINT_CHARS = 160


def routes(app: App) -> APIRouter:
    """The routes of the Models tab."""
    router = APIRouter(prefix="/internal/models", tags=["page"])
    thumbnails = Thumbnails(app.folders.cache / "thumbnails")

    @router.get("")
    def models(
        kind: Annotated[str, Query(max_length=40)] = "",
        search: Annotated[str, Query(max_length=200)] = "",
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
        limit: Annotated[int, Query(ge=0, le=PAGE_ROWS)] = 60,
    ) -> dict[str, Any]:
        """Some rows of a list, how many there are, and how many files are still to be read."""
        rows = app.library.rows(kind, search, offset, limit)
        total = app.library.count(kind, search)
        return {"rows": _cards(app, rows), "total": total, "counts": app.library.counts(), "unread": app.library.unread()}

    @router.get("/{key}")
    def model(key: str) -> dict[str, Any]:
        """One model: everything its file says about itself, and the person's notes."""
        row = app.library.described(_row(app, key))
        metadata = app.library.metadata(row)
        shown = {k: _short(v) for k, v in sorted(metadata.items()) if k != EMBEDDED}
        return {
            **_cards(app, [row])[0], "path": row.path, "parameters": row.parameters, "prediction": row.prediction, "sha256": row.sha256,
            "content_sha256": row.content_sha256, "extra": dict(row.extra), "metadata": shown, "notes": notes_of(row),
        }  # fmt: skip

    @router.get("/{key}/thumbnail", response_class=FileResponse)
    def thumbnail(key: str) -> FileResponse:
        """A small picture of a model; 404 when it has none."""
        row = _row(app, key)
        made = thumbnails.of(row, app.library.metadata(row))
        if made is None:
            raise Refused(404, "Not Found", errors="there is no picture beside this model")
        return FileResponse(made, media_type="image/webp", headers={"Cache-Control": "private, max-age=86400"})

    @router.post("/{key}/notes")
    def notes(key: str, body: Body) -> dict[str, Any]:
        """Change the person's notes: some of the keys that `notes` of a model has."""
        return write_notes(_row(app, key), body)

    @router.post("/{key}/hash")
    def digest(key: str) -> dict[str, Any]:
        """Compute the hash of a model, which takes seconds for large files."""
        row = app.library.hashed(_row(app, key))
        return {"hash": row.short_hash, "sha256": row.sha256, "content_sha256": row.content_sha256}

    @router.post("/{key}/remove")
    def remove(key: str, body: Body) -> dict[str, str]:
        """Move a model into the bin. The body repeats its title, so that nothing else is hit. Answers the place in the bin."""
        row = _row(app, key)
        if body.get("title") != row.title:
            raise RequestFault("title", "is not the title of this model; look at the list again", got=body.get("title"))
        return {"place": str(app.library.remove(row))}

    _add_general(router, app)
    return router


def _add_general(router: APIRouter, app: App) -> None:
    @router.post("/restore")
    def restore(body: Body) -> dict[str, bool]:
        """Put a model back from a place in the bin."""
        place = body.get("place")
        if not isinstance(place, str) or not place or "\x00" in place:
            raise RequestFault("place", "must be what removing the model answered", got=place)
        app.library.restore(Path(place))
        return {"ok": True}

    @router.post("/refresh")
    def refresh() -> dict[str, bool]:
        """Look at the model folders again."""
        app.library.refresh()
        return {"ok": True}


def _row(app: App, key: str) -> ModelRow:
    row = app.library.row(key)
    if row is None:
        raise Refused(404, "Not Found", errors="this model is not there any more; look at the list again")
    return row


def _cards(app: App, rows: list[ModelRow]) -> list[dict[str, Any]]:
    """Rows as the page shows them. insert: what a click puts into the prompt; preview: there is a picture to ask for."""
    pictures = previews_of(rows)
    names = app.library.prompt_names("lora", [row for row in rows if row.kind == "lora"])
    weight = app.settings.current.extra_networks_default_multiplier
    return [_card(row, row.id in pictures, names.get(row.id, row.name), weight) for row in rows]


def _card(row: ModelRow, pictured: bool, name: str, weight: float) -> dict[str, Any]:
    notes = notes_of(row)
    words = {"lora": f"<lora:{name}:{notes['preferred weight'] or weight:g}>", "embedding": row.name}
    return {
        "id": row.id, "name": row.name, "title": row.title, "kind": row.kind, "place": row.place, "format": row.format,
        "family": family_title(row), "variant": row.variant, "precision": row.precision, "size_bytes": row.size_bytes,
        "hash": row.short_hash, "changed_s": row.changed_s, "described": row.described, "refusal": row.refusal, "alias": row.alias,
        "needs": list(row.extra.get("needs", [])), "preview": pictured or row.extra.get("pictured", False),
        "insert": words.get(row.kind, "") if row.usable else "", "activation": notes["activation text"], "negative": notes["negative text"],
        "hint": (notes["description"] or notes["notes"]).strip().partition("\n")[0][:HINT_CHARS],
    }  # fmt: skip


def family_title(row: ModelRow) -> str:
    """The family for people: of a checkpoint its own, of a LoRA those of its architecture; "" when the file does not tell."""
    try:
        return FAMILIES.get(row.family).title if row.family else _architectures().get(row.architecture or "", "")
    except (RequestFault, ModelFault):  # an index written by a version that knew more families
        return row.family or ""


def _architectures() -> dict[str, str]:
    found: dict[str, str] = {}
    for _, family in FAMILIES:
        found.setdefault(family.architecture, family.title)
    return found


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_METADATA_CHARS else f"{text[:SHOWN_METADATA_CHARS]}… ({len(text)} characters)"
