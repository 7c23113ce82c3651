"""A captioner exported to ONNX as a job. The graphs are `modules.caption.onnx_export`'s. Start reading at `export_captioner`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modules.caption.installed import describe
from modules.caption.loading import load
from modules.caption.onnx_export import export
from modules.caption.onnx_files import files, size_bytes
from modules.upkeep.places import room_for
from modules.upkeep.report import Report

DISK = 6  # times the size of the weights, which may be of 16 bits: float32, int8, and room to work


def export_captioner(work: dict[str, Any], report: Report) -> None:
    """Carry out a planned export. Raises ModelFault, DiskFault, Cancelled; what was there before stays then."""
    folder = Path(work["paths"]["model"])
    found = describe(folder, work["model"])
    room_for(folder, DISK * found.size_bytes, f"{found.name} as ONNX")
    report.say(f"Loading {found.name}…")
    captioner = load(found, device="cpu", dtype="float32")
    about = export(captioner, tuple(work["precisions"]), report.say)
    sizes = {name: size_bytes(folder, name) for name in about.precisions}
    report.notes |= {"bytes": sizes, "compared": {name: dict(rows) for name, rows in (about.checked or {}).items()}}
    for name in about.precisions:
        for path in files(folder, name):
            report.made(path)
