"""`Cache`: what a step cache is, and `Run`, what it is told of the run it works in. Plain data, no torch. Start reading at `Cache`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from modules.request import Steering

UNETS = ("sd1", "sd2", "sdxl")
TRANSFORMERS = ("sd3", "flux")


@dataclass(frozen=True, kw_only=True)
class Run:
    """steering: what was asked for; calls(): how many network calls there will be, known from the first one on.

    follow(put_on, begin=None): put_on(time) sets hooks of diffusers', which from there on are told about the network's calls;
    time(): timestep of the one under way, 0 to 1000; begin(): when the first one has come.
    reuse(blocks, every): blocks give again what they gave, and compute every so many calls and when the rows of a call are others.
    """

    steering: Steering
    calls: Callable[[], int]
    follow: Callable[..., None]
    reuse: Callable[[Sequence[Any], int], None]


@dataclass(frozen=True, kw_only=True)
class Cache:
    """title: for people, source: where it is described; architectures: of `Family.architecture` with which it works.

    fields: of `Steering` that it reads. put_on(network, run): sets its hooks on the network; whoever calls it takes them off again.
    unguided: it keeps one store for all calls, so it works only where prompt and negative prompt are not asked about in turn.
    whole_blocks: it leaves out blocks of a transformer as a whole. What a ControlNet adds to them would count twice, and none may be
    skipped beside it.
    """

    title: str
    source: str
    architectures: tuple[str, ...]
    fields: tuple[str, ...]
    put_on: Callable[[Any, Run], None]
    unguided: bool = False
    whole_blocks: bool = False
