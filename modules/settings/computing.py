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
    cross_attention_optimization: Annotated[
        str,
        Knob(
            "Cross attention optimization",
            choices="attentions",
            section=_PAGE,
            max_chars=100,
            help="How attention is computed. Automatic leaves it to torch; what cannot be used here is told beside the picture.",
        ),
    ] = "Automatic"
    cuda_allow_tf32: Annotated[
        bool,
        Knob(
            "TF32 on NVIDIA cards",
            section=_PAGE,
            help="Shortened float32, faster on cards from Ampere on. Counts only where the program computes in float32.",
        ),
    ] = True
    cudnn_benchmark: Annotated[
        bool,
        Knob(
            "cuDNN tries its kernels",
            section=_PAGE,
            help="The fastest is taken for each new size: its first picture takes longer, the next ones are a little faster.",
        ),
    ] = False
    opt_channelslast: Annotated[
        bool,
        Knob(
            "Channels last",
            section=_PAGE,
            help="Another order of a UNet's numbers in memory: faster in half precision on newer cards and on processors with AMX.",
        ),
    ] = False
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
