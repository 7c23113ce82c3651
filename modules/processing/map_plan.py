"""From a `MapRequest` to a `ResolvedMap`: which preprocessor, its values, and everything that can be wrong before it is queued.

Reads the table and looks for files; imports no torch. Start reading at `resolve_maps`.
"""

from __future__ import annotations

from modules.control.maps.files import lacking
from modules.control.maps.table import MAPS
from modules.faults import ModelFault, RequestFault
from modules.folders import Folders
from modules.inputs import Inputs
from modules.request.control_map import MOST_PICTURES, MapRequest, ResolvedMap


def resolve_maps(request: MapRequest, folders: Folders, inputs: Inputs) -> ResolvedMap:
    """The request with nothing left open. Raises UnknownName("module"), RequestFault naming the field, ModelFault naming the file."""
    row = MAPS.get(request.module)
    if not request.images:
        raise RequestFault("images", "a picture is needed")
    if len(request.images) > MOST_PICTURES:
        raise RequestFault("images", f"are {len(request.images)}; take {MOST_PICTURES} at once at most")
    for field, references in (("images", request.images), ("masks", request.masks)):
        for reference in references:
            if field == "images" or reference:
                inputs.path(str(reference), field)
    if why := lacking(row, folders):
        raise ModelFault(why)
    size = None
    if request.pixel_perfect and row.resolution:
        if not request.width or not request.height:
            raise RequestFault("width", "and height of the run are needed for a pixel-perfect map")
        size = (request.width, request.height)
    side, a, b = row.closed(request.processor_res, request.threshold_a, request.threshold_b)
    count = len(request.images)
    masks = [*request.masks, *[""] * count][:count]
    idle = bool(request.masks) and row.gives == "map"
    return ResolvedMap(
        title=f"Control map: {row.name}" if count == 1 else f"Control maps: {row.name}, {count} pictures",
        module=row.name,
        images=tuple(request.images),
        masks=tuple(masks),
        resolution=side,
        a=a,
        b=b,
        resize_mode=request.resize_mode,
        size=size,
        n_iter=count,
        warnings=(f"The preprocessor {row.name} makes nothing of a mask.",) if idle else (),
    )
