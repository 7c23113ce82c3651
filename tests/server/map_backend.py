"""A runner that makes control maps and nothing else, for tests in a true worker process without a picture model to load."""

from __future__ import annotations

from typing import Any

from modules.control.maps.ground import Ground
from modules.folders import Folders
from modules.inputs import Inputs
from modules.processing.maps import MapDesk, run_maps


class MapsOnly:
    def __init__(self, folders: Folders) -> None:
        self._desk = MapDesk(ground=Ground(folders=folders), inputs=Inputs(folders), make_room=lambda: False)

    def device(self) -> dict[str, Any]:
        return {"name": "maps", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {}

    def warm(self, status: Any) -> None:
        status("Ready", model=None)

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        return run_maps(job, control, self._desk)


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> MapsOnly:
    return MapsOnly(folders)
