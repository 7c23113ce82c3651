"""Which captioner is exported to ONNX, and what speaks against it. Reads descriptions only; no torch. Start reading at `plan_export`."""

from __future__ import annotations

from typing import Any

from modules.caption import CAPTIONERS
from modules.caption.installed import captioners, find
from modules.caption.onnx_files import ABOUT, FOLDER, KINDS, MADE_WITH, PRECISIONS, need
from modules.faults import RequestFault
from modules.folders import Folders
from modules.upkeep.work import ExportCaptioner

BOTH = "both"


def plan_export(asked: ExportCaptioner, folders: Folders) -> dict[str, Any]:
    """Raises UnknownName, ModelFault, RequestFault: no such captioner, one that has no ONNX form, packages that are missing."""
    need(MADE_WITH, "Exporting to ONNX")
    found = find(*captioners(folders), asked.model)
    kind = CAPTIONERS.get(found.kind)
    if found.kind not in KINDS:
        can = ", ".join(CAPTIONERS.get(name).title for name in KINDS)
        raise RequestFault("model", f"{found.name} is {kind.title}, which has no ONNX form here; these have: {can}", got=asked.model)
    if (found.path / FOLDER / ABOUT).is_file() and not asked.overwrite:
        raise RequestFault("model", f"{found.name} was exported before; send overwrite to do it again", got=asked.model)
    return {
        "title": f"Export {found.name} to ONNX",
        "paths": {"model": str(found.path)},
        "model": found.name,
        "precisions": list(PRECISIONS) if asked.precision == BOTH else [asked.precision],
        "target": str(found.path / FOLDER),
    }
