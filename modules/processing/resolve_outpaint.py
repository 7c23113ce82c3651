"""Stage 1c: a picture that grows on its sides: how large it becomes, and which fields then mean nothing. No torch.

The picture keeps its own size; width, height, resize mode and "Resize by" do not count. Start reading at `grown`.
"""

from __future__ import annotations

import dataclasses

from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.pixels.ground import Ground, turns
from modules.pixels.resizing import Size
from modules.request import GenerationRequest, Outpaint
from modules.request.outpaint import MATCHED

OWN_SIZE = "Outpainting keeps the picture's own size; “Resize by” had no effect."
IDLE = ("resize_mode", "inpaint_full_res", "inpaint_full_res_padding", "inpainting_fill")  # fields of Repaint that then say nothing
_FIELDS = ("outpaint_left", "outpaint_right", "outpaint_up", "outpaint_down")


def outpaint_of(request: GenerationRequest) -> Outpaint | None:
    """How the pictures of a request grow, None when they do not; fields without effect at their defaults."""
    asked = request.group(Outpaint)
    if not request.init_images or not any(asked.sides):
        return None
    if asked.outpaint_begin != MATCHED:
        asked = dataclasses.replace(asked, outpaint_falloff=1.0, outpaint_color_variation=0.0)
    return asked if len(turns(asked.sides)) > 1 else dataclasses.replace(asked, outpaint_in_turns=False)


def grown(request: GenerationRequest, sizes: list[Size], step: int) -> dict[str, int]:
    """Width and height in pixels to paint at, multiples of step, when pictures of these sizes (width, height) grow.

    {} when they do not. Raises RequestFault for pictures of several sizes, and for a side beyond what width and height may be.
    """
    asked = outpaint_of(request)
    if asked is None:
        return {}
    if len(set(sizes)) > 1:
        raise RequestFault("init_images", "must be of one size to be outpainted in one batch; send them one by one")
    size = Ground.around(sizes[0], asked.sides, step).size
    for axis, name in enumerate(("width", "height")):
        most = int(knobs_of(GenerationRequest)[name].knob.high or 0)
        if size[axis] > most:
            field = next(f for f in _FIELDS[2 * axis : 2 * axis + 2] if getattr(asked, f) or f == _FIELDS[2 * axis + 1])
            raise RequestFault(field, f"would make the {name} {size[axis]} px; the most is {most}", got=getattr(asked, field), allowed=most)
    return {"width": size[0], "height": size[1]}
