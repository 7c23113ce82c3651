"""What may be done to a network's predictions and weights on the way. Everything is off by default.

What each field means for which models stands in `modules.steering.table`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob

SCHEDULES = ("Constant", "Linear up", "Linear down", "Cosine up", "Cosine down")


@dataclass(frozen=True, kw_only=True)
class Steering:
    """Fields of `modules.steering`. Shares of a run count from 0 (its first network call) to 1."""

    cfg_rescale: Annotated[
        float, Knob("CFG rescale", 0, 1, step=0.05, infotext="CFG rescale", help="Takes back the contrast that a high CFG scale adds.")
    ] = 0.0
    cfg_schedule: Annotated[
        str, Knob("CFG schedule", choices=SCHEDULES, infotext="CFG schedule", help="How the CFG scale changes along the steps.")
    ] = "Constant"
    cfg_schedule_min: Annotated[
        float,
        Knob(
            "CFG schedule minimum",
            0,
            100,
            ui=(0, 30),
            step=0.5,
            infotext="CFG schedule minimum",
            help="The lower end; the CFG scale is the upper.",
        ),
    ] = 1.0
    cfg_start: Annotated[
        float,
        Knob("Guidance start", 0, 1, step=0.01, infotext="Guidance start", help="Before this share of the steps there is no guidance."),
    ] = 0.0
    cfg_stop: Annotated[
        float, Knob("Guidance stop", 0, 1, step=0.01, infotext="Guidance stop", help="After this share of the steps there is no guidance.")
    ] = 1.0
    freeu: Annotated[bool, Knob("FreeU", infotext="FreeU", help="Weighs a UNet's two ways anew, for fuller detail.")] = False
    freeu_b1: Annotated[
        float | None,
        Knob("FreeU b1", 0.1, 3, step=0.05, infotext="FreeU b1", help="Backbone, first stage; empty takes the published value."),
    ] = None
    freeu_b2: Annotated[
        float | None,
        Knob("FreeU b2", 0.1, 3, step=0.05, infotext="FreeU b2", help="Backbone, second stage; empty takes the published value."),
    ] = None
    freeu_s1: Annotated[
        float | None, Knob("FreeU s1", 0.05, 3, step=0.05, infotext="FreeU s1", help="Skips, first stage; empty takes the published value.")
    ] = None
    freeu_s2: Annotated[
        float | None,
        Knob("FreeU s2", 0.05, 3, step=0.05, infotext="FreeU s2", help="Skips, second stage; empty takes the published value."),
    ] = None
    pag_scale: Annotated[
        float,
        Knob(
            "Perturbed-attention guidance",
            0,
            30,
            ui=(0, 10),
            step=0.1,
            infotext="PAG scale",
            help="Pulls away from a picture made without self-attention; 3 is usual. One more network call a step.",
        ),
    ] = 0.0
    pag_layers: Annotated[
        str,
        Knob(
            "PAG layers",
            infotext="PAG layers",
            max_chars=200,
            help="mid, down.2, up.1, ... of a UNet; mid or numbers of blocks of a transformer; several with commas.",
        ),
    ] = "mid"
    slg_scale: Annotated[
        float,
        Knob(
            "Skip-layer guidance",
            0,
            20,
            ui=(0, 5),
            step=0.1,
            infotext="SLG scale",
            help="Pulls away from a picture made without some layers; 2.8 is usual for Stable Diffusion 3.5 Medium.",
        ),
    ] = 0.0
    slg_layers: Annotated[
        str,
        Knob("SLG layers", infotext="SLG layers", max_chars=200, help="Numbers of blocks, with commas; 7, 8, 9 are meant for 3.5 Medium."),
    ] = "7, 8, 9"
    slg_start: Annotated[
        float, Knob("SLG start", 0, 1, step=0.01, infotext="SLG start", help="Share of the steps after which it begins.")
    ] = 0.01
    slg_stop: Annotated[float, Knob("SLG stop", 0, 1, step=0.01, infotext="SLG stop", help="Share of the steps after which it ends.")] = 0.2
    cache: Annotated[
        str,
        Knob(
            "Cache",
            choices="caches",
            max_chars=100,
            infotext="Cache",
            help="Takes parts of earlier network calls instead of computing them: faster, and a little different.",
        ),
    ] = "None"
    cache_interval: Annotated[
        int, Knob("Cache interval", 2, 20, ui=(2, 10), step=1, infotext="Cache interval", help="Every so many calls all is computed.")
    ] = 2
    cache_depth: Annotated[
        int, Knob("Cache depth", 1, 3, step=1, infotext="Cache depth", help="DeepCache: how many outer levels are computed in every call.")
    ] = 1
    cache_threshold: Annotated[
        float,
        Knob(
            "Cache threshold",
            0,
            1,
            step=0.01,
            infotext="Cache threshold",
            help="First block, MagCache: how much change is taken for none.",
        ),
    ] = 0.05
    cache_order: Annotated[
        int, Knob("Cache order", 1, 3, step=1, infotext="Cache order", help="TaylorSeer: 1 goes on in a straight line, 2 and 3 in curves.")
    ] = 1
    tile_px: Annotated[
        int,
        Knob(
            "Tiled diffusion: side of a tile",
            0,
            8192,
            ui=(0, 2048),
            step=64,
            infotext="Tile size",
            help="Pixels; larger pictures go through the network in tiles that overlap, at every step. 0: off.",
        ),
    ] = 0
    tile_overlap: Annotated[
        int,
        Knob(
            "Tiled diffusion: overlap",
            0,
            1024,
            ui=(0, 512),
            step=8,
            infotext="Tile overlap",
            help="Pixels that neighbours share; half a tile at most.",
        ),
    ] = 128
    tiling: Annotated[
        bool | None, Knob("Tiling", infotext="Tiling", help="Pictures whose edges fit together; empty takes the setting.")
    ] = None
