"""A runner that holds a model, gives it away when it is asked to, and asks for room itself where a job says so."""

from __future__ import annotations

from typing import Any

from modules.folders import Folders


class Holding:
    """Counts how often it gave room."""

    def __init__(self) -> None:
        self._gave = 0

    def device(self) -> dict[str, Any]:
        return {"name": "holding", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {"ram": {"free": 1, "used": 1, "total": 2}, "cuda": {"error": "none"}}

    def warm(self, status: Any) -> None:
        status("Ready", model="held")

    def give_room(self) -> None:
        self._gave += 1

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        room = control.make_room(10.0) if job["resolved"].get("room") else None
        return "done", {"room": room, "gave": self._gave}


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> Holding:
    return Holding()
