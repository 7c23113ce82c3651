"""/api/v2/models: the model files of every kind: lists with filters, one in detail, notes, hashes, previews; and looking for new ones.

Knows the shapes; the library knows the files. Models are named by id, never by a path from outside. Start reading at `routes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from modules.library.rows import LISTS, REFUSED
from modules.library.sidecars import EMBEDDED, TEXT_LIMIT_CHARS, WEIGHT, WEIGHT_RANGE, notes_of, previews_of, write_notes
from modules.library.thumbnails import Thumbnails
from modules.server.errors import Refused
from modules.server.models import family_title
from modules.server.v2.files import file_answer, file_responses
from modules.server.v2.reading import CheckedRoute
from modules.server.v2.shapes import PAGE_LIMIT, Answer, Asked, Page, from_cursor, problems, to_cursor

if TYPE_CHECKING:
    from modules.app import App
    from modules.library import ModelRow

METADATA_CHARS = 2000
NOTE_KEYS = {
    "description": "description", "notes": "notes", "activation_text": "activation text", "negative_text": "negative text",
    "sd_version": "sd version", "preferred_weight": WEIGHT,
}  # fmt: skip
"""Field -> key in the person's file, which is A1111's."""
Text = Annotated[str, Field(max_length=TEXT_LIMIT_CHARS)]


class ModelFile(Answer):
    """A model file or folder. name: what menus and prompts call it; title: path below its folder; kind: "checkpoint", "lora", ...

    family: a name such as "sdxl", null where only the architecture is known; hash: A1111's short one, null until it is computed;
    described: false while only name and size are known; refusal: why it cannot be used; needs: parts that it lacks. insert: what
    goes into a prompt to use it. changed_s: seconds since 1970. thumbnail: path on this server, null without a preview.
    """

    id: str
    name: str
    title: str
    kind: str
    format: str
    family: str | None
    family_title: str
    architecture: str | None
    variant: str
    precision: str
    native_px: int
    size_bytes: int
    changed_s: float
    hash: str | None
    described: bool
    refusal: str | None
    alias: str
    needs: list[str]
    insert: str
    thumbnail: str | None


class ModelPage(Page[ModelFile]):
    """A part of the list. unread: files that the background has not opened yet."""

    unread: int


class ModelNotes(Answer):
    """The person's notes on a model, kept in A1111's JSON file beside it."""

    description: str
    notes: str
    activation_text: str
    negative_text: str
    sd_version: str
    preferred_weight: float


class ModelDetail(ModelFile):
    """A model with what its file says about itself. sha256: of the file; content_sha256: without its header. path: on the server."""

    path: str
    parameters: int
    prediction: str | None
    sha256: str | None
    content_sha256: str | None
    metadata: dict[str, str]
    notes: ModelNotes


class ModelHash(Answer):
    """The digests of a model. hash: A1111's short one."""

    hash: str | None
    sha256: str | None
    content_sha256: str | None


class ModelCounts(Answer):
    """How many models there are of every kind that can be listed."""

    counts: dict[str, int]


class NoteChanges(Asked):
    """The notes to change; what is left out stays."""

    description: Text | None = None
    notes: Text | None = None
    activation_text: Text | None = None
    negative_text: Text | None = None
    sd_version: Text | None = None
    preferred_weight: Annotated[float | None, Field(ge=WEIGHT_RANGE[0], le=WEIGHT_RANGE[1], allow_inf_nan=False)] = None


class ModelQuery(Asked):
    """Which models. search: words that must all stand in name, path, alias or family."""

    kind: Annotated[
        str, Field(max_length=40, description="empty: all that can be used", json_schema_extra={"enum": ["", *LISTS, REFUSED]})
    ] = ""
    family: Annotated[str, Field(max_length=40, description="such as sd15 or sdxl; what is made for its network counts too")] = ""
    search: Annotated[str, Field(max_length=200, description="words that must all stand in name, path, alias or family")] = ""
    cursor: Annotated[str, Field(max_length=4000, description="`next` of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=PAGE_LIMIT)] = 50


def routes(app: App) -> APIRouter:
    """The routes of models."""
    router = APIRouter(prefix="/api/v2/models", tags=["v2 models"], route_class=CheckedRoute)

    @router.get("", summary="List and search models", responses=problems(422))
    def models(request: Request, asked: Annotated[ModelQuery, Query()]) -> ModelPage:
        """Model files by name, a page at a time."""
        place = from_cursor(asked.cursor, "models", (str, str)) if asked.cursor else None
        rows, last = app.library.after(asked.kind, asked.search, asked.family, place, asked.limit)
        return ModelPage(
            items=[ModelFile(**values) for values in _values(request, app, rows)],
            next=to_cursor("models", last) if last else None,
            total=app.library.count(asked.kind, asked.search, asked.family),
            unread=app.library.unread(),
        )

    @router.post("/refresh", summary="Look for new models", responses=problems())
    def refresh() -> ModelCounts:
        """Look at the model folders again; answers when every file has a row."""
        app.library.refresh()
        return ModelCounts(counts=app.library.counts())

    _add_single(router, app)
    return router


def _add_single(router: APIRouter, app: App) -> None:
    thumbnails = Thumbnails(app.folders.cache / "thumbnails")
    picture: dict[str, Any] = {"response_class": Response, "responses": file_responses("image/webp") | problems(400, 404, 416, 422)}

    @router.get("/{id}", summary="Read one model", responses=problems(404, 422))
    def model(request: Request, id: str) -> ModelDetail:
        """Everything that a model file says about itself, and the person's notes."""
        row = app.library.described(_row(app, id))
        told = app.library.metadata(row)
        return ModelDetail(
            **_values(request, app, [row])[0],
            path=row.path,
            parameters=row.parameters,
            prediction=row.prediction,
            sha256=row.sha256,
            content_sha256=row.content_sha256,
            metadata={key: _short(value) for key, value in sorted(told.items()) if key != EMBEDDED},
            notes=_notes(notes_of(row)),
        )

    @router.patch("/{id}/notes", summary="Change the notes on a model", responses=problems(404, 422))
    def change_notes(id: str, changes: NoteChanges) -> ModelNotes:
        """Change some of the notes; what others wrote into that file is kept."""
        given = changes.model_dump(exclude_none=True)
        return _notes(write_notes(_row(app, id), {NOTE_KEYS[name]: value for name, value in given.items()}))

    @router.post("/{id}/hash", summary="Compute the hash of a model", responses=problems(404, 422))
    def digest(id: str) -> ModelHash:
        """The digests of a model; takes seconds for a large file that was never hashed."""
        row = app.library.hashed(_row(app, id))
        return ModelHash(hash=row.short_hash, sha256=row.sha256, content_sha256=row.content_sha256)

    @router.head("/{id}/thumbnail", include_in_schema=False)
    @router.get("/{id}/thumbnail", summary="Fetch a model's preview", **picture)
    def thumbnail(request: Request, id: str) -> Response:
        """The picture beside a model, or inside it, at most 400 pixels wide and high."""
        row = _row(app, id)
        made = thumbnails.of(row, app.library.metadata(row))
        if made is None:
            raise Refused(404, "Not Found", errors="there is no picture beside this model")
        return file_answer(request, made, "image/webp")


def _row(app: App, key: str) -> ModelRow:
    row = app.library.row(key)
    if row is None:
        raise Refused(404, "Not Found", errors="this model is not there any more; look at the list again")
    return row


def _values(request: Request, app: App, rows: list[ModelRow]) -> list[dict[str, Any]]:
    """The fields of `ModelFile` for many rows; each folder is looked at once for previews."""
    pictured = previews_of(rows)
    names = app.library.prompt_names("lora", [row for row in rows if row.kind == "lora"])
    default = app.settings.current.extra_networks_default_multiplier
    prefix = f"{request.scope.get('root_path', '').rstrip('/')}/api/v2/models"
    found: list[dict[str, Any]] = []
    for row in rows:
        has_picture = row.id in pictured or row.extra.get("pictured", False)
        found.append({
            "id": row.id, "name": row.name, "title": row.title, "kind": row.kind, "format": row.format, "family": row.family,
            "family_title": family_title(row), "architecture": row.architecture, "variant": row.variant, "precision": row.precision,
            "native_px": row.native_px, "size_bytes": row.size_bytes, "changed_s": row.changed_s, "hash": row.short_hash,
            "described": row.described, "refusal": row.refusal or None, "alias": row.alias, "needs": list(row.extra.get("needs", [])),
            "insert": _insert(row, names.get(row.id, row.name), default),
            "thumbnail": f"{prefix}/{row.id}/thumbnail" if has_picture else None,
        })  # fmt: skip
    return found


def _insert(row: ModelRow, name: str, default_weight: float) -> str:
    """What goes into a prompt to use it; "" for what is chosen elsewhere or cannot be used."""
    if row.kind == "lora" and row.usable:
        return f"<lora:{name}:{notes_of(row)[WEIGHT] or default_weight:g}>"
    return row.name if row.kind == "embedding" and row.usable else ""


def _notes(notes: dict[str, Any]) -> ModelNotes:
    return ModelNotes(**{name: notes[key] for name, key in NOTE_KEYS.items()})


def _short(text: str) -> str:
    return text if len(text) <= METADATA_CHARS else f"{text[:METADATA_CHARS]}… ({len(text)} characters)"
