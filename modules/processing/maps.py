"""A job of control maps: pictures one after another through a preprocessor; each map is kept with the input pictures and told at once.

Knows memory that runs out and what a job tells; `modules.control.maps` does the work. Start reading at `run_maps`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image

from modules.control.fit import pixel_perfect
from modules.control.maps.ground import Ground, Made
from modules.control.maps.making import make
from modules.faults import OutOfMemory
from modules.inputs import Inputs
from modules.pixels.incoming import flatten
from modules.request.control_map import ResolvedMap


@dataclass(frozen=True, kw_only=True)
class MapDesk:
    """What a worker makes maps with. make_room(): puts the picture models away, True when there were any."""

    ground: Ground
    inputs: Inputs
    make_room: Callable[[], bool]


@dataclass(kw_only=True)
class _Told:
    """What the job says in the end."""

    maps: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    warnings: list[str] = field(default_factory=list[str])


def run_maps(job: dict[str, Any], control: Any, desk: MapDesk) -> tuple[str, dict[str, Any]]:
    """Make every map. Returns ("done" or "canceled", {"maps": [...], "warnings", "seconds", ...}).

    A map: {"reference", "width", "height", "seconds", "cached", "text" ("map in 34 ms"), "pose" (who was found, or None)}.
    Raises RequestFault, ModelFault, BlankPicture, OutOfMemory.
    """
    resolved = ResolvedMap.from_data(job["resolved"])
    told = _Told(warnings=list(resolved.warnings))
    for text in told.warnings:
        control.event("warning", {"text": text})
    control.status(f"Making a control map with {resolved.module}…")
    began = time.perf_counter()
    count = len(resolved.images)
    for number, (reference, mask) in enumerate(zip(resolved.images, resolved.masks, strict=True)):
        if control.interrupted:
            break
        control.progress(fraction=number / count, step=number, steps=count, batch_no=0, batch_count=1, text=f"Map {number + 1} of {count}")
        image = flatten(desk.inputs.open(reference, "images"))
        made = _in_room(resolved, image, desk.inputs.open(mask, "masks").convert("L") if mask else None, desk)
        entry = _entry(made, desk.inputs)
        told.maps.append(entry)
        control.event("map", {"index": number, **entry})
    control.status("Ready")
    result = {
        "maps": told.maps, "pictures": [], "warnings": told.warnings, "notes": [], "seconds": {"total": time.perf_counter() - began},
        "interrupted": control.interrupted,
    }  # fmt: skip
    return ("canceled" if control.interrupted else "done"), result


def in_words(made: Made) -> str:
    """How long a map took, for people."""
    if made.cached:
        return "map known already"
    return f"map in {made.seconds * 1000:.0f} ms" if made.seconds < 1 else f"map in {made.seconds:.1f} s"


def _entry(made: Made, inputs: Inputs) -> dict[str, Any]:
    width, height = made.image.size
    return {
        "reference": inputs.put_picture(made.image, "images"), "width": width, "height": height, "seconds": made.seconds,
        "cached": made.cached, "text": in_words(made), "pose": made.pose,
    }  # fmt: skip


def _in_room(resolved: ResolvedMap, image: Image.Image, mask: Image.Image | None, desk: MapDesk) -> Made:
    """Make the map; when memory runs out, once more after the picture models and the other detectors are away."""
    side = pixel_perfect(image.size, resolved.size, resolved.resize_mode) if resolved.size else resolved.resolution
    reason = ""
    for _ in range(2):
        try:
            return make(resolved.module, image, ground=desk.ground, resolution=side, a=resolved.a, b=resolved.b, mask=mask)
        except (torch.OutOfMemoryError, MemoryError) as error:
            reason = (str(error) or "out of memory").splitlines()[0]
        released = desk.ground.release()
        if not (desk.make_room() or released):
            break
    raise OutOfMemory(f"There is not enough memory for a map by {resolved.module} ({reason}). Take a smaller resolution.")
