"""A runner that does Extras and nothing else, for tests in a true worker process without a model to load."""

from __future__ import annotations

from typing import Any

from modules.folders import Folders
from modules.inputs import Inputs
from modules.processing.extras import Desk, run_extras
from modules.saver import Saver
from modules.upscale.shelf import Shelf


class ExtrasOnly:
    def __init__(self, folders: Folders) -> None:
        self._desk = Desk(folders=folders, saver=Saver(folders), inputs=Inputs(folders), shelf=Shelf())

    def device(self) -> dict[str, Any]:
        return {"name": "extras", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {}

    def warm(self, status: Any) -> None:
        status("Ready", model=None)

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        return run_extras(job, control, self._desk)


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> ExtrasOnly:
    return ExtrasOnly(folders)
