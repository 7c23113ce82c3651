"""What /api/v2/jobs takes: one body for each kind of job, made from the same declarations as the page's controls.

Every Knob becomes a field with its type, range, choices, default and words, so that the OpenAPI document says exactly what is taken.
Knows declarations; knows nothing about jobs. Start reading at `Submission`.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Container, Iterable, Mapping
from typing import Annotated, Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, create_model

from modules.knobs import Knob, KnobField, knobs_of
from modules.request import GenerationRequest
from modules.request.caption import CAPTIONS, CaptionRequest
from modules.request.caption_folder import CAPTION_FOLDER, NOT_FOR_FOLDERS, FolderRequest
from modules.request.extras import EXTRAS, ExtrasRequest
from modules.server.accepted import IMG2IMG, TXT2IMG
from modules.server.fields import fields_of

PRIORITY = 100
KEY_CHARS = 200
PICTURE = "A picture: base64, a data URI, or the reference of one sent to /api/v2/inputs."
PICTURES: Mapping[str, tuple[str, ...]] = {  # fields that hold pictures, of each kind of job
    TXT2IMG: ("style_image", "firstpass_image"),
    IMG2IMG: ("init_images", "mask", "style_image"),
    EXTRAS: ("images",),
    CAPTIONS: ("images",),
    CAPTION_FOLDER: (),
}
NEEDED = frozenset({"init_images", "images"})
FOLDERS = ("input_dir", "output_dir")  # of the server's disk: not for callers from elsewhere


class Exact(BaseModel):
    """Takes values of the very types that are described, and no name that is not."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False)


class When(Exact):
    """When a job may have its turn. priority: higher ones begin first; deadline_s: seconds since 1970, canceled if not begun by then."""

    priority: int = Field(0, ge=-PRIORITY, le=PRIORITY, description="Higher ones begin first; above 0 takes an administrator.")
    deadline_s: float | None = Field(
        None, ge=0, description="Seconds since 1970. A job that has not begun by then is canceled; null: it waits as long as it takes."
    )
    held: bool = Field(False, description="It waits and does not begin until it is released.")


class JobChange(Exact):
    """What can be changed of a job that waits; what is left out stays. before: id of the job to stand before, null: behind all."""

    before: str | None = Field(None, max_length=KEY_CHARS, description="It takes that job's priority. Takes an administrator.")
    priority: int = Field(0, ge=-PRIORITY, le=PRIORITY, description="It goes behind those that have it. Takes an administrator.")
    deadline_s: float | None = Field(None, ge=0, description="Seconds since 1970; null: none.")
    held: bool = Field(False, description="True: it does not begin; false: it may.")


def record_model(record: type, name: str, *, without: Container[str] = (), pictures: Iterable[str] = ()) -> type[Exact]:
    """A model of a dataclass's Knobs. pictures: fields that hold pictures, described as such and without a limit on their length."""
    hints = typing.get_type_hints(record, include_extras=True)
    fields: dict[str, Any] = {}
    for field in knobs_of(record).values():
        if field.name not in without:
            plain = typing.get_args(hints[field.name])[0]
            fields[field.name] = _field(field, plain, is_picture=field.name in pictures)
    return create_model(name, __base__=Exact, __doc__=(record.__doc__ or "").split("\n")[0], **fields)


def _field(field: KnobField, plain: Any, *, is_picture: bool) -> tuple[Any, Any]:
    """(annotation, Field) of a Knob."""
    knob = field.knob
    bounds: dict[str, Any] = {"ge": knob.low, "le": knob.high, "max_length": None if is_picture else knob.max_chars}
    limits: Any = Field(**{name: value for name, value in bounds.items() if value is not None})
    inner = Literal[knob.choices] if isinstance(knob.choices, tuple) else _without_none(plain)  # pyright: ignore[reportInvalidTypeForm]
    kind: Any = Annotated[inner, limits]
    told: dict[str, Any] = {"title": knob.label, "description": _description(knob, is_picture)}
    if is_picture and field.name in NEEDED:
        return kind, Field(min_length=1, **told)
    if field.kind in (list, dict):
        return kind, Field(default_factory=field.kind, **told)
    return (kind | None if field.optional else kind), Field(field.default, **told)


def _without_none(plain: Any) -> Any:
    """(int | None) -> int."""
    if isinstance(plain, types.UnionType):
        parts = [part for part in typing.get_args(plain) if part is not type(None)]
        return parts[0] if len(parts) == 1 else plain
    return plain


def _description(knob: Knob, is_picture: bool) -> str | None:
    listed = f"One of /api/v2/choices/{knob.choices}." if isinstance(knob.choices, str) else ""
    return " ".join(filter(None, (knob.help, PICTURE if is_picture else "", listed))) or None


def _task_model(task: str, name: str) -> type[Exact]:
    known = fields_of(task)
    without = [field for field in knobs_of(GenerationRequest) if field not in known]
    return record_model(GenerationRequest, name, without=without, pictures=PICTURES[task])


Txt2imgRequest = _task_model(TXT2IMG, "Txt2imgRequest")
Img2imgRequest = _task_model(IMG2IMG, "Img2imgRequest")
ExtrasJobRequest = record_model(ExtrasRequest, "ExtrasJobRequest", without=FOLDERS, pictures=PICTURES[EXTRAS])
CaptionJobRequest = record_model(CaptionRequest, "CaptionJobRequest", pictures=PICTURES[CAPTIONS])


FolderJobRequest = record_model(FolderRequest, "CaptionFolderJobRequest", without=NOT_FOR_FOLDERS)


class SubmitTxt2img(When):
    """Pictures from text."""

    kind: Literal["txt2img"]
    request: Txt2imgRequest  # pyright: ignore[reportInvalidTypeForm]


class SubmitImg2img(When):
    """Pictures from pictures; inpainting with a mask."""

    kind: Literal["img2img"]
    request: Img2imgRequest  # pyright: ignore[reportInvalidTypeForm]


class SubmitExtras(When):
    """Pictures enlarged or finished."""

    kind: Literal["extras"]
    request: ExtrasJobRequest  # pyright: ignore[reportInvalidTypeForm]


class SubmitCaption(When):
    """Words for pictures."""

    kind: Literal["caption"]
    request: CaptionJobRequest  # pyright: ignore[reportInvalidTypeForm]


class SubmitCaptionFolder(When):
    """Captions into files, for the pictures of a folder of the data folder."""

    kind: Literal["caption_folder"]
    request: FolderJobRequest  # pyright: ignore[reportInvalidTypeForm]


Submission = Annotated[SubmitTxt2img | SubmitImg2img | SubmitExtras | SubmitCaption | SubmitCaptionFolder, Field(discriminator="kind")]
SUBMISSIONS: Mapping[str, type[When]] = {
    TXT2IMG: SubmitTxt2img, IMG2IMG: SubmitImg2img, EXTRAS: SubmitExtras, CAPTIONS: SubmitCaption, CAPTION_FOLDER: SubmitCaptionFolder,
}  # fmt: skip


def with_close_matches(error: RequestValidationError) -> RequestValidationError:
    """The same error; where a field is not known it names those that are nearest."""
    return RequestValidationError([_told(one) for one in error.errors()], body=error.body)


def _told(one: dict[str, Any]) -> dict[str, Any]:
    if one.get("type") != "extra_forbidden":
        return one
    *_, name = one["loc"]
    near = difflib.get_close_matches(str(name)[:100], _names_beside(one["loc"][1:-1]), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see /docs for those there are"
    return {**one, "msg": f"there is no such field; {hint}", "type": "unknown_field"}


def _names_beside(place: tuple[str | int, ...]) -> list[str]:
    """Names of the fields that the object at this place of a body takes."""
    model: type[BaseModel] = SUBMISSIONS.get(str(place[0]), JobChange) if place else JobChange
    for part in place[1:]:
        inner = model.model_fields[str(part)].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
