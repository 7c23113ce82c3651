"""What computes the pictures beside torch's eager mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob

_PAGE = "Backends"


@dataclass(frozen=True, kw_only=True)
class Computing:
    """Settings of this page."""

    backend: Annotated[
        str,
        Knob(
            "Backend",
            choices="backends",
            section=_PAGE,
            infotext="Backend",
            max_chars=100,
            help="What runs the network. Each is compared with eager before it is believed; where it cannot be used, eager goes on.",
        ),
    ] = "eager"
    backend_in_background: Annotated[
        bool,
        Knob(
            "Prepare backends in the background",
            section=_PAGE,
            help="The first pictures come from eager meanwhile. Off: a picture waits until its backend is ready.",
        ),
    ] = True
    backend_cache_gb: Annotated[
        float,
        Knob(
            "Disk for backends, GiB",
            0.5,
            1000,
            ui=(1, 100),
            step=0.5,
            section=_PAGE,
            help="Graphs and compiled code that were not used for longest are removed above this.",
        ),
    ] = 20.0
