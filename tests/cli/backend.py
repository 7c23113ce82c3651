"""A runner for the command line's tests: writes the prompt and seed into a text file instead of painting."""

from __future__ import annotations

import os
from typing import Any

from modules.faults import BlankPicture
from modules.folders import Folders, write_atomic


class TextRunner:
    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def device(self) -> dict[str, Any]:
        return {"name": "text", "count": 1}

    def memory(self) -> dict[str, Any]:
        return {}

    def warm(self, status: Any) -> None:
        status("Ready", model="text")

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        resolved = job["resolved"]
        if resolved["prompt"] == "fail":
            raise BlankPicture("There is no picture. Try another sampler.")
        if resolved["prompt"] == "die":
            os._exit(3)
        path = self._folders.outputs / f"{job['id']}.txt"
        write_atomic(path, f"{resolved['prompt']} {resolved['all_seeds'][0]}".encode())
        return "done", {"pictures": [{"path": str(path), "kind": "sample"}], "warnings": ["made up"]}


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> TextRunner:
    return TextRunner(folders)
