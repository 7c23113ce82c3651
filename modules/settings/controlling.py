"""ControlNet: how many units the page has, what becomes of control maps. Names are those of the well-known extension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob

_PAGE = "ControlNet"


@dataclass(frozen=True, kw_only=True)
class Controlling:
    """Settings of this page."""

    control_net_unit_count: Annotated[
        int, Knob("Units on the page", 1, 10, step=1, section=_PAGE, help="Over the API a run may have up to 10.")
    ] = 3
    control_net_models_path: Annotated[
        str,
        Knob(
            "Extra path to scan for ControlNet models",
            section=_PAGE,
            max_chars=1000,
            restart=True,
            help="A folder beside models/ControlNet.",
        ),
    ] = ""
    control_net_no_detectmap: Annotated[
        bool, Knob("Do not append detectmap to output", section=_PAGE, help="Control maps are not shown after the pictures.")
    ] = False
    control_net_detectmap_autosaving: Annotated[
        bool, Knob("Allow detectmap auto saving", section=_PAGE, help="Control maps are saved beside the pictures.")
    ] = False
