"""`Policy`: one way of spreading a diffusers pipeline over device and main memory, as a record; and what it keeps on the device.

No torch here: the web process counts with these rows. Start reading at `Policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

OFFLOADS = ("cuda", "rocm", "xpu")  # kinds with memory of their own, for which diffusers documents offloading
TEXT = "text_encoder"  # how the names of text encoders begin
VAE = "vae"


@dataclass(frozen=True)
class Part:
    """The weights of a component. whole_bytes: all of them; layer_bytes: of its largest layer."""

    whole_bytes: int
    layer_bytes: int


def everything(parts: Mapping[str, Part], at_work: str) -> int:
    """Bytes on the device where all parts stay there."""
    return sum(part.whole_bytes for part in parts.values())


def take_away(pipeline: Any) -> None:
    """Offloading hooks of accelerate off, the VAE whole again, every part back in main memory."""
    pipeline.remove_all_hooks()
    pipeline.vae.disable_slicing()
    pipeline.vae.disable_tiling()
    pipeline.to("cpu")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """apply(pipeline, torch_name) places a pipeline that lies on the CPU; lift(pipeline) brings it back there.

    kinds: device kinds for which it means something, () for all. held(parts, at_work): bytes of weights that lie on the device while
    that component works; parts: component -> its weights. spares_vae: pictures are decoded one by one and in tiles. apart(component):
    its layers are moved one by one, or work on the CPU, which quantised weights do not survive. on_cpu: beginnings of names of components
    that work on the CPU for good; apply and held meet the others only. ran: where it really ran when this row was written.
    """

    help: str
    apply: Callable[[Any, str], None]
    lift: Callable[[Any], None] = take_away
    kinds: tuple[str, ...] = ()
    held: Callable[[Mapping[str, Part], str], int] = everything
    spares_vae: bool = True
    apart: Callable[[str], bool] = lambda component: False
    on_cpu: tuple[str, ...] = ()
    ran: str = "CPU"


def spare_vae(pipeline: Any) -> None:
    """Decode one picture at a time, and a large one in tiles: the peak of a run is in the decoder."""
    pipeline.vae.enable_slicing()
    pipeline.vae.enable_tiling()


def is_text(component: str) -> bool:
    """Is it one of the text encoders?"""
    return component.startswith(TEXT)


def modules_of(pipeline: Any) -> dict[str, Any]:
    """Component -> its module, of those that have weights."""
    return {name: part for name, part in pipeline.components.items() if hasattr(part, "parameters")}
