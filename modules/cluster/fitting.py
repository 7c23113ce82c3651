"""Which jobs may run on another machine: those of which everything that a worker opens can be sent. The others wait for a worker here.

Start reading at `fits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.control.maps.table import MAPS
from modules.request.caption import CAPTIONS
from modules.request.extras import EXTRAS


def fits(kind: str, resolved: Mapping[str, Any]) -> bool:
    """kind, resolved: of a job. Scripts and extensions live on this machine, and so do the weights of preprocessors and of faces."""
    match kind:
        case "txt2img" | "img2img":
            units = [row["unit"] for row in resolved.get("control") or ()]
            plain = not resolved.get("visit") and not resolved["settings"].get("face_restoration")
            return plain and all(_weightless(unit["module"]) for unit in units)
        case _ if kind == CAPTIONS:
            return not resolved.get("search") and not resolved.get("words")
        case _ if kind == EXTRAS:
            asked = resolved["request"]
            faces = asked["gfpgan_visibility"] or asked["codeformer_visibility"]
            return not faces and asked["background_removal"] == "None" and not asked["postprocessing"]
        case _:
            return False


def _weightless(preprocessor: str) -> bool:
    return preprocessor not in MAPS or MAPS.get(preprocessor).works_at_once
