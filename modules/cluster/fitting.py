"""Which jobs may run on another machine: those of which everything that a worker opens can be sent. The others wait for a worker here.

Start reading at `fits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.control.maps.files import PACKAGE
from modules.control.maps.table import MAPS
from modules.request.caption import CAPTIONS
from modules.request.extras import EXTRAS, TILES


def fits(kind: str, resolved: Mapping[str, Any]) -> bool:
    """kind, resolved: of a job. Scripts and extensions live on this machine."""
    match kind:
        case "txt2img" | "img2img":
            units = [row["unit"] for row in resolved.get("control") or ()]
            return not resolved.get("visit") and all(_sendable(unit["module"]) for unit in units)
        case _ if kind == CAPTIONS:
            return not resolved.get("search") and not resolved.get("words")
        case _ if kind == EXTRAS:
            return not resolved["request"]["postprocessing"]
        case _:
            return kind == TILES


def _sendable(preprocessor: str) -> bool:
    """What it reads are files, and no package that the other machine may lack."""
    return preprocessor not in MAPS or not any(needed.published.startswith(PACKAGE) for needed in MAPS.get(preprocessor).needs)
