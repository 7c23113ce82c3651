"""Heat maps of finished captions as PNG files: laid over the picture, or alone.

Knows the results of caption jobs and where their maps are kept. Start reading at `heat_png`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from modules.caption.overlay import Kept, drawn, heat_file, png, read, sheet
from modules.faults import RequestFault
from modules.folders import Folders
from modules.pixels.incoming import flatten
from modules.server.errors import Refused

if TYPE_CHECKING:
    from modules.app import App
    from modules.jobs import Job

GONE = "the heat maps of this caption are no longer kept; ask for them again"


def heat_png(app: App, job: Job, index: int, words: Sequence[int] | None, layer: int, head: int, opacity: float | None, side: int) -> bytes:
    """A PNG of where a caption's words looked. words: None for all; layer, head: -1 for the mean; opacity: None for the map alone.

    side: the longer side of the overlay in pixels, at most. Raises Refused(404), RequestFault naming the word, layer or head.
    """
    kept = _kept(app.folders, _entry(job, index))
    heat = kept.map_of(range(len(kept.words)) if words is None else words, layer, head)
    if opacity is None:
        return png(sheet(heat))
    try:
        picture = flatten(app.inputs.open(job.resolved["sources"][index]["reference"], "images"), job.resolved["background"])
    except (RequestFault, KeyError, IndexError) as error:
        raise Refused(404, "Not Found", errors="the picture of this caption is no longer kept; give it once more") from error
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return png(drawn(picture, heat, kept.region, opacity))


def maps_of(folders: Folders, attention: dict[str, Any]) -> dict[str, Any]:
    """What a result says of its heat maps, and the maps: a grey PNG in base64 for each word, the mean over layers and heads."""
    if "fault" in attention:
        return attention
    kept = _kept(folders, {"attention": attention})
    maps = [base64.b64encode(png(sheet(kept.map_of([word])))).decode() for word in range(len(kept.words))]
    return {**{name: value for name, value in attention.items() if name != "id"}, "maps": maps}


def _entry(job: Job, index: int) -> dict[str, Any]:
    found = next((entry for entry in (job.result or {}).get("captions", ()) if entry.get("index") == index), None)
    if found is None or "id" not in found.get("attention", {}):
        raise Refused(404, "Not Found", errors="this job kept no heat maps of that picture")
    return found


def _kept(folders: Folders, entry: dict[str, Any]) -> Kept:
    found = read(heat_file(folders, str(entry["attention"]["id"])))
    if found is None:
        raise Refused(404, "Not Found", errors=GONE)
    return found
