"""The runner of the worker for files: takes a job on model files and has it done. It never touches a device.

Start reading at `FilesRunner.run`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from modules.faults import Fault
from modules.folders import Folders
from modules.hardware.memory import memory
from modules.upkeep.reach import Reach
from modules.upkeep.report import Report

# Kind of work -> what does it. Imported when first asked for: a download needs no torch.
DOING: Mapping[str, str] = {
    "convert": "modules.upkeep.convert:convert",
    "quantise": "modules.upkeep.quantise:quantise",
    "merge": "modules.upkeep.merge:merge",
    "unpickle": "modules.upkeep.unpickle:unpickle",
    "download": "modules.upkeep.download:download",
    "extract_lora": "modules.upkeep.loras:extract_lora",
    "merge_lora": "modules.upkeep.loras:merge_lora",
    "import": "modules.upkeep.imports.doing:carry_out",
    "export_captioner": "modules.upkeep.captioners:export_captioner",
}


class FilesRunner:
    """See `modules.jobs.worker.Runner` for the contract. reach: who downloads may ask; hub_base: the hub's address."""

    def __init__(self, reach: Reach | None = None, hub_base: str | None = None) -> None:
        self._reach = reach or Reach()
        self._hub_base = hub_base

    def device(self) -> dict[str, Any]:
        return {"name": "files", "count": 1}

    def memory(self) -> dict[str, Any]:
        return memory("cpu", "cpu")

    def warm(self, status: Any) -> None:
        """There is nothing to get ready."""

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]:
        """Do a job of one of `work.KINDS`. Returns ("done", `Report.to_data()`). Raises Fault, Cancelled."""
        if job["kind"] not in DOING:
            raise Fault(f"This version knows no work of the kind {job['kind']!r}. It was asked for by another version; ask again.")
        report = Report(control)
        for warning in job["resolved"].get("warnings", ()):
            report.warn(warning)
        module, _, name = DOING[job["kind"]].partition(":")
        do: Callable[..., None] = getattr(importlib.import_module(module), name)
        asks = {"reach": self._reach, "hub_base": self._hub_base} if job["kind"] == "download" else {}
        do(job["resolved"], report, **asks)
        return "done", report.to_data()


def build(folders: Folders, flags: dict[str, Any], device_index: int) -> FilesRunner:
    """For the worker process for files."""
    return FilesRunner()
