"""What the server answers, as frozen records. Fields that this version does not know are left out; `read` makes them from JSON.

Times are seconds since 1970, sizes pixels or bytes as the name says. Start reading at `Job` and `Picture`.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
FINISHED = frozenset({"done", "failed", "canceled", "parked"})


@dataclass(frozen=True)
class Fault:
    """Why a job failed. kind: for programs; message: a sentence to act on."""

    kind: str
    message: str


@dataclass(frozen=True)
class Progress:
    """What a running job does. fraction: 0 to 1; eta_s: seconds left, None while unknown; preview: address of a picture, or None."""

    fraction: float
    eta_s: float | None
    step: int
    steps: int
    batch_no: int
    batch_count: int
    text: str
    preview: str | None
    preview_number: int


@dataclass(frozen=True)
class JobPicture:
    """A picture of a job. kind: "sample", "grid" or "partial"; file: its address, for `fetch`."""

    index: int
    kind: str
    seed: int | None
    width: int | None
    height: int | None
    parameters: str
    saved: bool
    file: str


@dataclass(frozen=True)
class Caption:
    """What was written about a picture. details: whatever else the captioner tells."""

    index: int
    name: str
    caption: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What a job gave."""

    pictures: list[JobPicture]
    captions: list[Caption]
    files: list[str]
    warnings: list[str]
    notes: list[str]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Job:
    """A job as lists have it. state: "queued", "running", "done", "failed", "canceled" or "parked"."""

    id: str
    number: int
    kind: str
    state: str
    lane: str
    owner: str
    title: str
    priority: int
    held: bool
    deadline_s: float | None
    attempts: int
    created_s: float
    started_s: float | None
    finished_s: float | None
    progress: Progress | None
    fault: Fault | None
    url: str
    events: str

    @property
    def finished(self) -> bool:
        """Nothing more happens to it."""
        return self.state in FINISHED


@dataclass(frozen=True)
class JobDetail(Job):
    """A job with what was asked and what it gave. position: in the queue, counted from 1; resolved: with nothing left open."""

    position: int | None = None
    request: dict[str, Any] = field(default_factory=dict[str, Any])
    resolved: dict[str, Any] = field(default_factory=dict[str, Any])
    result: Result | None = None

    @property
    def pictures(self) -> list[JobPicture]:
        """The pictures it gave, none while it runs."""
        return self.result.pictures if self.result else []

    @property
    def captions(self) -> list[Caption]:
        """The captions it gave, none while it runs."""
        return self.result.captions if self.result else []


@dataclass(frozen=True)
class JobEvent:
    """One event. type: "state", "queue", "picture", "warning", "log", "done" or "progress"; id: None for progress, which is not kept.

    data: of a picture's event as `JobPicture` has it, of progress as `Progress`.
    """

    type: str
    data: dict[str, Any]
    id: int | None = None


@dataclass(frozen=True)
class QueueState:
    """The queue. paused: no further job begins; device, files, train: {"waiting": n, "running": [ids]} of each lane; worker: how it is."""

    paused: bool
    device: dict[str, Any]
    files: dict[str, Any]
    worker: dict[str, Any]
    train: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Picture:
    """A picture file in the library. kind: "txt2img", "img2img", "extras", "grid" or "other"; file, thumbnail: addresses, for `fetch`."""

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


@dataclass(frozen=True)
class PictureDetail(Picture):
    """A picture with its text. items: keys and values of it; request: the fields that ask for such a picture again."""

    prompt: str = ""
    negative_prompt: str = ""
    parameters: str = ""
    items: dict[str, str] = field(default_factory=dict[str, str])
    request: dict[str, Any] = field(default_factory=dict[str, Any])
    path: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class BinnedPicture:
    """A picture in the bin. place: to restore it by; path: where it was."""

    place: str
    name: str
    path: str
    removed_s: float


@dataclass(frozen=True)
class Model:
    """A model file or folder. name: what prompts and menus call it; insert: what goes into a prompt to use it; hash: A1111's."""

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


@dataclass(frozen=True)
class ModelNotes:
    """The person's notes on a model."""

    description: str
    notes: str
    activation_text: str
    negative_text: str
    sd_version: str
    preferred_weight: float


@dataclass(frozen=True)
class ModelDetail(Model):
    """A model with what its file says about itself."""

    path: str = ""
    parameters: int = 0
    prediction: str | None = None
    sha256: str | None = None
    content_sha256: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    notes: ModelNotes | None = None


@dataclass(frozen=True)
class ModelHash:
    """The digests of a model."""

    hash: str | None
    sha256: str | None
    content_sha256: str | None


@dataclass(frozen=True)
class Choice:
    """A value that a field takes; label: for people."""

    value: str
    label: str
    aliases: list[str]


@dataclass(frozen=True)
class Input:
    """A picture that was sent. reference: what fields such as init_images take."""

    reference: str
    width: int
    height: int


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list. next: the cursor of the part that follows, None at the end."""

    items: list[T]
    next: str | None


def read(cls: type[T], data: Mapping[str, Any]) -> T:
    """A record from JSON. Raises KeyError when a field that it needs is not there."""
    values: dict[str, Any] = {}
    for name, (kind, needed) in _fields(cls).items():
        if needed or name in data:
            values[name] = _value(kind, data[name])
    return cls(**values)


@functools.cache
def _fields(cls: type[Any]) -> dict[str, tuple[Any, bool]]:
    """Name of a field -> (its type, whether it must be there)."""
    hints = typing.get_type_hints(cls)
    missing = dataclasses.MISSING
    return {f.name: (hints[f.name], f.default is missing and f.default_factory is missing) for f in dataclasses.fields(cls)}


def _value(kind: Any, data: Any) -> Any:
    if data is None:
        return None
    if typing.get_origin(kind) is types.UnionType:  # X | None
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is list:
        [inner] = typing.get_args(kind)
        return [_value(inner, one) for one in data]
    return read(kind, data) if dataclasses.is_dataclass(kind) and isinstance(kind, type) else data
