"""From the canvases of the img2img tab to the pictures of a request: what was painted becomes a mask or part of the picture.

The browser sends references to the input store; the work on pixels is done here, once, when a run is asked for.
Start reading at `pictures_of`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modules.app import App
from modules.faults import RequestFault
from modules.pixels.sketch import mask_of, painted_over, sketch_to_inpaint
from modules.web.form_fields import MODES

NO_PICTURE = "there is no picture yet; drop one on the canvas, paste it, or choose a file"
NO_PAINT = "nothing is painted yet; paint over the part that shall change"
NO_MASK = "there is no mask yet; drop one beside the picture"


def begin_of(text: Any) -> dict[str, Any]:
    """What the page's script wrote: mode, image, layer, mask (references or None), and for a batch files, source, from.

    Raises RequestFault when it is something else.
    """
    try:
        found = json.loads(text) if text else None
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("mode") not in MODES:
        raise RequestFault("init_images", NO_PICTURE)
    if found.get("error"):
        raise RequestFault("init_images", str(found["error"])[:500])
    return found


def pictures_of(
    app: App, begin: Mapping[str, Any], *, transparency: float, blur: int, inverted: bool, grows: bool = False
) -> dict[str, Any]:
    """The fields init_images and mask of one run. transparency, blur: of an inpaint sketch; inverted: what is not masked is painted.
    grows: the picture is outpainted, so that there need be no mask.

    Raises RequestFault for what is missing.
    """
    mode, image, layer = str(begin["mode"]), begin.get("image"), begin.get("layer")
    if not image:
        raise RequestFault("init_images", NO_PICTURE)
    if mode == "inpaint_upload":
        if not begin.get("mask") and not grows:
            raise RequestFault("mask", NO_MASK)
        return {"init_images": [image], "mask": begin.get("mask") or None}
    if mode == "img2img" or (mode == "sketch" and not layer):
        return {"init_images": [image], "mask": None}
    picture = app.inputs.open(str(image))
    if mode == "sketch":
        return {"init_images": [app.inputs.put_picture(painted_over(picture, app.inputs.open(str(layer))))], "mask": None}
    if not layer and not inverted and not grows:
        raise RequestFault("mask", NO_PAINT)
    if not layer:
        return {"init_images": [image], "mask": None}
    paint = app.inputs.open(str(layer), "mask")
    if mode == "inpaint":
        mask = mask_of(paint, picture.size)
        if mask.getbbox() is None and not inverted and not grows:
            raise RequestFault("mask", NO_PAINT)
        return {"init_images": [image], "mask": app.inputs.put_picture(mask, "mask")}
    begun, mask = sketch_to_inpaint(picture, paint, transparency=transparency, blur=blur)
    return {"init_images": [app.inputs.put_picture(begun)], "mask": app.inputs.put_picture(mask, "mask")}
