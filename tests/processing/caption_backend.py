"""A runner that captions and nothing else, for tests in a true worker process without a picture model to load."""

from __future__ import annotations

from typing import Any

from modules.folders import Folders
from modules.inputs import Inputs
from modules.processing.caption_folder import run_folder
from modules.processing.caption_run import CaptionDesk
from modules.processing.captioner_slot import CaptionerSlot
from modules.processing.captions import run_captions
from modules.request.caption_folder import CAPTION_FOLDER


class Control:
    """Stands for the worker's end of the conversation; keeps what was told."""

    def __init__(self) -> None:
        self.interrupted = False
        self.told: list[dict[str, Any]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []

    def take_skip(self) -> bool:
        return False

    def progress(self, **told: Any) -> None:
        self.told.append(told)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    def status(self, message: str) -> None:
        self.events.append(("status", {"message": message}))


PLENTY = (10**11, 10**11)


def desk_of(folders: Folders, **changes: Any) -> CaptionDesk:
    """A desk on the processor; changes: arguments of its slot."""
    usual: dict[str, Any] = {"device": "cpu", "dtype": "float32", "dtypes": ("float32", "bfloat16")}
    slot = CaptionerSlot(**{**usual, "memory": lambda: PLENTY, "make_room": lambda: False, **changes})
    return CaptionDesk(folders=folders, inputs=Inputs(folders), slot=slot)


class CaptionsOnly:
    def __init__(self, folders: Folders) -> None:
        self._desk = desk_of(folders)

    def device(self) -> dict[str, Any]:
        return {"name": "captions", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {}

    def warm(self, status: Any) -> None:
        status("Ready", model=None)

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        return (run_folder if job.get("kind") == CAPTION_FOLDER else run_captions)(job, control, self._desk)


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> CaptionsOnly:
    return CaptionsOnly(folders)
