"""Every request that the client makes, and how its answer is read: data only, the same for the sync and the async client.

Start reading at `Call`.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from darkroom_client.records import (
    BinnedPicture,
    Choice,
    Input,
    Job,
    JobDetail,
    Model,
    ModelDetail,
    ModelHash,
    ModelNotes,
    Page,
    PictureDetail,
    QueueState,
    read,
)
from darkroom_client.records import Picture as PictureRecord

T = TypeVar("T")
R = TypeVar("R")
BASE = "/api/v2"
REPEATABLE = frozenset({"GET", "PATCH"})  # asked twice they do what once does


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request. files: parts of a form, (field, (name, bytes)). read: its answer to a record; repeatable: it may be sent again when the
    connection breaks; wait_s: the server may take that much longer.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    json: Any = None
    content: bytes | None = None
    files: Sequence[tuple[str, tuple[str, bytes]]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    repeatable: bool = False
    wait_s: float = 0.0


def made(method: str, path: str, read: Callable[[httpx.Response], R], **more: Any) -> Call[R]:
    """A call below BASE. more: fields of `Call`."""
    return Call(method, f"{BASE}{path}", read, repeatable=more.pop("repeatable", method in REPEATABLE), **more)


def one(cls: type[R]) -> Callable[[httpx.Response], R]:
    """How an answer becomes a record."""
    return lambda response: read(cls, response.json())


def page(cls: type[R]) -> Callable[[httpx.Response], Page[R]]:
    """How an answer becomes a page of records."""

    def read_page(response: httpx.Response) -> Page[R]:
        body = response.json()
        return Page([read(cls, one) for one in body["items"]], body["next"])

    return read_page


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was left out."""
    return {name: value for name, value in values.items() if value is not None}


def _id(thing: Any) -> str:
    """Of a record or the id itself, safe in a path."""
    return quote(thing if isinstance(thing, str) else thing.id, safe="")


# ---- jobs ----------------------------------------------------------------------------------------------------------------------------


def submit(kind: str, request: Mapping[str, Any], key: str | None, **when: Any) -> Call[JobDetail]:
    """Queue a job. Each has a key, so that sending it again after a broken connection gives the same job."""
    body = {"kind": kind, "request": dict(request), **_given(when)}
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return made("POST", "/jobs", one(JobDetail), json=body, headers=headers, repeatable=True)


def job(id: Any) -> Call[JobDetail]:
    """One job."""
    return made("GET", f"/jobs/{_id(id)}", one(JobDetail))


def jobs(**filters: Any) -> Call[Page[Job]]:
    """A page of jobs."""
    return made("GET", "/jobs", page(Job), params=_given(filters))


def act(id: Any, what: str) -> Call[JobDetail]:
    """what: "cancel", "skip", "hold", "release" or "duplicate"."""
    return made("POST", f"/jobs/{_id(id)}/{what}", one(JobDetail))


def change_job(id: Any, changes: Mapping[str, Any]) -> Call[JobDetail]:
    """Change the turn of a job that waits."""
    return made("PATCH", f"/jobs/{_id(id)}", one(JobDetail), json=dict(changes))


def news(id: Any, after: int, wait_s: float) -> Call[dict[str, Any]]:
    """Events behind one, as soon as there are some."""
    params = {"after": after, "wait_s": wait_s, "progress": False}
    return made("GET", f"/jobs/{_id(id)}/events", lambda response: response.json(), params=params, wait_s=wait_s)


def stream(id: Any, after: int | None, previews: str) -> Call[None]:
    """Events as they come; the answer is read line by line."""
    headers = {"Accept": "text/event-stream", **({} if after is None else {"Last-Event-ID": str(after)})}
    return made("GET", f"/jobs/{_id(id)}/events", lambda _: None, params={"previews": previews}, headers=headers)


def queue(what: str = "") -> Call[QueueState]:
    """The queue; what: "pause" or "resume" changes it."""
    return made("POST" if what else "GET", f"/queue/{what}".rstrip("/"), one(QueueState))


# ---- pictures ------------------------------------------------------------------------------------------------------------------------


def pictures(**filters: Any) -> Call[Page[PictureRecord]]:
    """A page of pictures."""
    return made("GET", "/pictures", page(PictureRecord), params=_given(filters))


def picture(id: Any) -> Call[PictureDetail]:
    """One picture."""
    return made("GET", f"/pictures/{_id(id)}", one(PictureDetail))


def mark(id: Any, favourite: bool) -> Call[PictureDetail]:
    """Mark a picture."""
    return made("PATCH", f"/pictures/{_id(id)}", one(PictureDetail), json={"favourite": favourite})


def remove_picture(id: Any) -> Call[BinnedPicture]:
    """Into the bin."""
    return made("DELETE", f"/pictures/{_id(id)}", one(BinnedPicture))


def pictures_bin() -> Call[Page[BinnedPicture]]:
    """What lies in the bin."""
    return made("GET", "/bin/pictures", page(BinnedPicture))


def restore_picture(place: str) -> Call[PictureDetail]:
    """Out of the bin."""
    return made("POST", f"/bin/pictures/{quote(place, safe='')}/restore", one(PictureDetail))


def fetch(address: str) -> Call[bytes]:
    """The bytes behind an address that a record names."""
    return Call("GET", address, lambda response: response.content, repeatable=True)


def upload(data: bytes) -> Call[Input]:
    """Send a picture file. The same bytes give the same reference."""
    return made("POST", "/inputs", one(Input), content=data, headers={"Content-Type": "application/octet-stream"}, repeatable=True)


# ---- models and choices --------------------------------------------------------------------------------------------------------------


def models(**filters: Any) -> Call[Page[Model]]:
    """A page of models."""
    return made("GET", "/models", page(Model), params=_given(filters))


def model(id: Any) -> Call[ModelDetail]:
    """One model."""
    return made("GET", f"/models/{_id(id)}", one(ModelDetail))


def model_hash(id: Any) -> Call[ModelHash]:
    """Compute its digests."""
    return made("POST", f"/models/{_id(id)}/hash", one(ModelHash), repeatable=True, wait_s=600)


def change_notes(id: Any, changes: Mapping[str, Any]) -> Call[ModelNotes]:
    """Change the notes on a model."""
    return made("PATCH", f"/models/{_id(id)}/notes", one(ModelNotes), json=_given(changes))


def refresh_models() -> Call[dict[str, int]]:
    """Look for new files."""
    return made("POST", "/models/refresh", lambda response: response.json()["counts"], repeatable=True, wait_s=120)


def choices(name: str) -> Call[list[Choice]]:
    """A list of choices."""
    return made("GET", f"/choices/{quote(name, safe='')}", lambda response: [read(Choice, one) for one in response.json()["items"]])


def choice_names() -> Call[dict[str, list[str]]]:
    """The lists there are."""
    return made("GET", "/choices", lambda response: response.json()["names"])


def following(call: Call[Page[R]], cursor: str) -> Call[Page[R]]:
    """The call for the page that follows."""
    return dataclasses.replace(call, params={**call.params, "cursor": cursor})
