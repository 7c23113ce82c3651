"""What /api/v2/train takes and answers about the pictures of a session: lists, captions, crops and the report before a training.

Knows shapes; knows nothing about routes or files. Start reading at `TrainPicture`, then `TrainReport`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from modules.server.v2.job_bodies import Exact
from modules.server.v2.job_shapes import JobItem
from modules.server.v2.shapes import Answer, Asked, Page

CAPTION_CHARS = 20_000


class Box(Answer):
    """A part of a picture in its own pixels, upright."""

    x: int
    y: int
    width: int
    height: int


class TrainPicture(Answer):
    """A picture of a session. file: its name, with a folder such as 10_cat/ before it where it lies in one.

    width, height: upright; 0 when it cannot be read, and `problem` says why. caption: null without one; crop: null for the whole picture;
    crop_reason: what the smart crop saw in it, such as a face; bucket: the size it is trained in, null while nothing says so.
    url, thumbnail: where to fetch it.
    """

    file: str
    width: int
    height: int
    size_bytes: int
    caption: str | None
    crop: Box | None
    crop_by: Literal["", "hand", "smart"]
    crop_reason: str
    bucket: tuple[int, int] | None
    repeats: int
    problem: str
    url: str
    thumbnail: str


class TrainPicturePage(Page[TrainPicture]):
    """The pictures of a session in natural order."""


class TrainPicturesQuery(Asked):
    """Which pictures. search: words that caption or name have."""

    search: Annotated[str, Field(max_length=200)] = ""
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 200


class NotTaken(Answer):
    """A file that was not taken, and why."""

    name: str
    why: str


class PicturesTaken(Answer):
    """What became of files that were sent. pictures: their names in the session; captions: how many captions came with them."""

    pictures: list[str]
    captions: int
    refused: list[NotTaken]


class TakePictures(Exact):
    """Pictures that the server has already. folder: inside the data folder; inputs: references of /api/v2/inputs; pictures: ids of
    /api/v2/pictures, whose prompt becomes the caption when captions=true; texts: captions of `inputs`, in the same order.
    """

    folder: str = Field("", max_length=4000)
    inputs: list[Annotated[str, Field(max_length=200)]] = Field(default_factory=list[str], max_length=1000)
    pictures: list[Annotated[str, Field(max_length=200)]] = Field(default_factory=list[str], max_length=1000)
    texts: list[Annotated[str, Field(max_length=CAPTION_CHARS)]] = Field(default_factory=list[str], max_length=1000)
    captions: bool = True


class CropWish(Exact):
    """A part of a picture in its own pixels, upright."""

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class PictureChange(Exact):
    """What is left out stays. caption: null removes it; crop: null takes the whole picture."""

    caption: str | None = Field(None, max_length=CAPTION_CHARS)
    crop: CropWish | None = None


class SmartCrop(Exact):
    """Crop to the subject. files: only these; all when empty. keep: leave the crops that a person made."""

    files: list[Annotated[str, Field(max_length=400)]] = Field(default_factory=list[str], max_length=10_000)
    keep: bool = True


class Cropped(Answer):
    """What was cropped, and what could not be."""

    changed: list[TrainPicture]
    refused: list[NotTaken]


class TrainProblem(Answer):
    """Something about the dataset. name: of the picture, empty when it is about all; kind: for programs; text: a sentence without the name;
    fatal: it keeps the training from starting.
    """

    name: str
    kind: str
    text: str
    fatal: bool


class TrainBucket(Answer):
    """Pictures that are trained in one size. examples: of an epoch, with repeats."""

    width: int
    height: int
    pictures: int
    examples: int


class TrainReport(Answer):
    """What would be trained. ok: it can start; message: why it cannot, empty when it can; field: the value that stops it, null when none
    does; line: where that stands in config.toml. summary: a sentence.

    held: kept apart for validation; class_missing: pictures of the class that are made before the training; examples: of an epoch, with
    repeats; batches, steps_per_epoch: of an epoch; epochs: begun ones. family: of the model, empty for a captioner.
    """

    ok: bool
    message: str
    field: str | None
    line: int | None
    summary: str
    family: str
    model: str
    pictures: int
    broken: int
    held: int
    examples: int
    class_pictures: int
    class_missing: int
    batches: int
    steps_per_epoch: int
    epochs: int
    problems: list[TrainProblem]
    buckets: list[TrainBucket]


class CaptionWish(Exact):
    """Captions of a session's pictures. With `tool` they are changed at once; without one a captioner is queued.

    request: fields of a folder's captions (model, existing, prefix, ...), as in a job of the kind caption_folder. tool: "add_front",
    "add_back", "remove", "replace", "dedupe", "sort", "lower", "set" or "undo", which takes the last change back; find: what it is about;
    put: what comes there. files: only these pictures; all when empty. Without tool and request nothing is changed, and the tags are told.
    """

    request: dict[str, Any] = Field(default_factory=dict[str, Any])
    tool: str = Field("", max_length=40)
    find: str = Field("", max_length=2000)
    put: str = Field("", max_length=2000)
    files: list[Annotated[str, Field(max_length=400)]] = Field(default_factory=list[str], max_length=10_000)


class TagCount(Answer):
    """How many captions have a tag."""

    tag: str
    count: int


class Captioned(Answer):
    """job: the captioner's, null after a tool; changed: captions that a tool changed; tags: the most frequent, after the change."""

    job: JobItem | None
    changed: int
    tags: list[TagCount]
