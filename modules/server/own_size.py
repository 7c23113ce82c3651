"""A body that names no size: A1111's 512x512, or less when the model was made for less.

Start reading at `with_own_size`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from modules.faults import Fault
from modules.server.fields import DEFAULTS, Asked

if TYPE_CHECKING:
    from modules.app import App

USUAL_PX = int(DEFAULTS["width"])
TAKEN = "No size was asked for, and {0} was made for less than the usual {1}x{1}: its own {2}x{2} was taken."


def with_own_size(app: App, asked: Asked) -> Asked:
    """The body as it is, or with the model's own size and a note. A model that is not there is left for others to complain about."""
    if asked.sized:
        return asked
    wanted = asked.request.override_settings.get("sd_model_checkpoint") or app.settings.current.sd_model_checkpoint
    try:
        checkpoint = app.library.default_checkpoint(str(wanted))
    except Fault:
        return asked
    side = checkpoint.native_px
    if side >= USUAL_PX:
        return asked
    own = {"width": side, "height": side}
    return dataclasses.replace(
        asked,
        request=dataclasses.replace(asked.request, **own),
        parameters={**asked.parameters, **own},
        notes=(*asked.notes, TAKEN.format(checkpoint.model_name, USUAL_PX, side)),
    )
