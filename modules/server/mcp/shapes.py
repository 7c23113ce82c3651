"""What the tools answer beside pictures, as data; and how a Knob becomes the description of an argument.

Start reading at `described`, then `JobFacts`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Described

from modules.knobs import KnobField


def described(field: KnobField) -> Any:
    """The description and limits of an argument, as the field's Knob declares them."""
    knob = field.knob
    return Described(
        description=f"{knob.label}. {knob.help}".strip(),
        ge=knob.low,
        le=knob.high,
        max_length=knob.max_chars if field.kind is str else None,
    )


class Facts(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(protected_namespaces=())


class PictureFacts(Facts):
    """A picture of a job. picture: the name by which the tools take it again, "" when it was not kept; path: on the server's disk."""

    picture: str
    path: str
    seed: int
    width: int
    height: int
    parameters: str


class CaptionFacts(Facts):
    """What was said about a picture."""

    name: str
    caption: str


class JobFacts(Facts):
    """A job. state: queued, running, done, failed, canceled or parked; place: in the queue, from 1; progress: 0 to 1; eta_s: seconds left.

    created_s: seconds since 1970; problem: why it failed; warnings: what did not go as asked.
    """

    job: str
    kind: str
    state: str
    title: str
    created_s: float
    place: int | None = None
    progress: float | None = None
    eta_s: float | None = None
    pictures: list[PictureFacts] = []
    captions: list[CaptionFacts] = []
    warnings: list[str] = []
    problem: str | None = None


class JobList(Facts):
    """Running and queued jobs in the order they run, then finished ones, the latest first."""

    jobs: list[JobFacts]


class ModelFacts(Facts):
    """A model file. name: what `checkpoint` or a prompt takes; insert: what goes into a prompt to use it; family: what it is made for."""

    name: str
    kind: str
    family: str
    insert: str
    hash: str | None


class ModelList(Facts):
    """Models by name. total: how many there are."""

    models: list[ModelFacts]
    total: int
