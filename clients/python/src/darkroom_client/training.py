"""Sessions of training: their records, and every request about them. Data only, as in `calls`.

Start reading at `TrainSession`; the clients' methods are `train_...`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from darkroom_client.calls import Call, made, one, page
from darkroom_client.records import JobDetail, Page


@dataclass(frozen=True)
class TrainSession:
    """A session. state: "new", "queued", "running", "paused", "stopped", "done" or "failed"; step: it would go on from; of: all steps."""

    name: str
    state: str
    method: str
    checkpoint: str
    captioner: str
    pictures: int
    step: int
    of: int
    changed_s: float
    job: str | None
    broken: str


@dataclass(frozen=True)
class TrainFile:
    """A file that a training made. step: None for the last one; insert: what goes into a prompt to use it."""

    name: str
    kind: str
    step: int | None
    size_bytes: int
    insert: str
    installed: bool


@dataclass(frozen=True)
class TrainSessionDetail(TrainSession):
    """A session as a whole. config: every value; folder: on the server; outputs: what it made, the last result first."""

    folder: str = ""
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    outputs: list[TrainFile] = field(default_factory=list[TrainFile])
    total_bytes: int = 0


@dataclass(frozen=True)
class TrainMetrics:
    """Figures of steps. points: {"step", "epoch", "loss", "val_loss", "lr", "it_s", ...}; last: what to ask for as `after` next.

    begun: another number when earlier points were cut off, so that all should be asked for again.
    """

    points: list[dict[str, Any]]
    last: int
    begun: int
    state: str
    step: int
    of: int
    eta_s: float | None


@dataclass(frozen=True)
class Trial:
    """What goes into txt2img to try a result."""

    prompt: str
    checkpoint: str
    width: int
    height: int
    insert: str
    inserts: list[str]


def _place(session: TrainSession | str, rest: str = "") -> str:
    name = session if isinstance(session, str) else session.name
    return f"/train/sessions/{quote(name, safe='')}{rest}"


def sessions() -> Call[Page[TrainSession]]:
    """All sessions."""
    return made("GET", "/train/sessions", page(TrainSession))


def session(which: TrainSession | str) -> Call[TrainSessionDetail]:
    """One session."""
    return made("GET", _place(which), one(TrainSessionDetail))


def make(name: str, preset: str, folder: str, config: Mapping[str, Any]) -> Call[TrainSessionDetail]:
    """A new session."""
    body = {"name": name, "preset": preset, "folder": folder, "config": dict(config)}
    return made("POST", "/train/sessions", one(TrainSessionDetail), json=body, wait_s=600)


def change(which: TrainSession | str, preset: str | None, config: Mapping[str, Any]) -> Call[TrainSessionDetail]:
    """Values of its configuration."""
    return made("PATCH", _place(which), one(TrainSessionDetail), json={"preset": preset, "config": dict(config)})


def remove(which: TrainSession | str) -> Call[str]:
    """Remove it with everything in it."""
    return made("DELETE", _place(which), lambda response: str(response.json()["name"]))


def clone(which: TrainSession | str, name: str, progress: bool) -> Call[TrainSessionDetail]:
    """A copy."""
    return made("POST", _place(which, "/clone"), one(TrainSessionDetail), json={"name": name, "progress": progress}, wait_s=600)


def pack(which: TrainSession | str, state: bool, cache: bool) -> Call[bytes]:
    """Its zip."""
    asked = {"state": state, "cache": cache}
    return made("GET", _place(which, "/export"), lambda response: response.content, params=asked, wait_s=600)


def take_in(name: str, data: bytes) -> Call[TrainSessionDetail]:
    """A session out of a zip."""
    headers = {"Content-Type": "application/zip"}
    return made("POST", _place(name, "/import"), one(TrainSessionDetail), content=data, headers=headers, wait_s=600)


def send(which: TrainSession | str, files: Iterable[Path | tuple[str, bytes]]) -> Call[dict[str, Any]]:
    """Pictures, captions and zips. The same file twice is kept once, so that it may be sent again."""
    named = [("files", (f.name, f.read_bytes()) if isinstance(f, Path) else f) for f in files]
    return made("POST", _place(which, "/pictures"), _json, files=named, repeatable=True, wait_s=600)


def caption(which: TrainSession | str, file: str, text: str | None) -> Call[dict[str, Any]]:
    """Write the caption of a picture."""
    return made("PATCH", _place(which, f"/pictures/{quote(file)}"), _json, json={"caption": text})


def examine(which: TrainSession | str) -> Call[dict[str, Any]]:
    """What would be trained, and what is wrong."""
    return made("POST", _place(which, "/examine"), _json, repeatable=True, wait_s=600)


def start(which: TrainSession | str, again: bool) -> Call[JobDetail]:
    """Begin, or go on."""
    return made("POST", _place(which, "/start"), one(JobDetail), json={"again": again}, wait_s=600)


def act(which: TrainSession | str, what: str) -> Call[JobDetail]:
    """what: "stop" or "pause"."""
    return made("POST", _place(which, f"/{what}"), one(JobDetail))


def metrics(which: TrainSession | str, after: int) -> Call[TrainMetrics]:
    """Figures of later steps."""
    return made("GET", _place(which, "/metrics"), one(TrainMetrics), params={"after": after})


def try_it(which: TrainSession | str, step: int | None, weight: float) -> Call[Trial]:
    """Put a result among the models."""
    return made("POST", _place(which, "/tryit"), one(Trial), json={"step": step, "weight": weight}, repeatable=True, wait_s=60)


def _json(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = response.json()
    return found
