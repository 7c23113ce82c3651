"""Which waiting jobs may be made as one batch: those that differ in nothing but prompt, seed and whose they are.

Knows jobs by the data of their rows; no torch. Whether their prompts can share a batch too is seen when they are encoded
(`modules.processing.together`). Start reading at `joining_of`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modules.backends.table import EAGER
from modules.faults import UnknownName
from modules.request import Steering
from modules.samplers import SAMPLERS
from modules.steering.table import OPTIONS

AUTOMATIC, NEVER = "Automatic", "Never"
MOST_PIXELS = 8 * 1024 * 1024  # of all pictures of a joined batch; larger ones keep a device busy by themselves
# What may differ: it belongs to single pictures, or only to names, warnings and the parameters text.
OWN = (
    "prompt", "negative_prompt", "all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds", "styles", "templates", "warnings",
    "batch_size", "save_images",
)  # fmt: skip
# What a joined batch does not have: each brings its own way to a picture, or looks at the batch as a whole.
WITHOUT = ("image", "outpaint", "inversion", "styling", "control", "hires", "refiner", "visit", "denoising_strength")


def joining_of(kind: str, resolved: Mapping[str, Any], device: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """(what must be the same, pictures, most pictures of a batch) of a job that may be joined; None for one that is made by itself.

    device: of the worker, with its "kind"; "Automatic" joins where that is not the CPU, which is busy with one picture already.
    """
    settings = resolved.get("settings") or {}
    wanted = settings.get("join_jobs", NEVER)
    if kind != "txt2img" or wanted == NEVER or (wanted == AUTOMATIC and device.get("kind", "cpu") == "cpu"):
        return None
    if resolved.get("n_iter") != 1 or any(resolved.get(name) for name in WITHOUT) or not _alone_equal(resolved, settings):
        return None
    pictures = len(resolved["all_seeds"])
    most = min(int(settings["join_jobs_limit"]), MOST_PIXELS // (resolved["width"] * resolved["height"]))
    shared = {name: value for name, value in resolved.items() if name not in OWN}
    return (json.dumps(shared, sort_keys=True), pictures, most) if pictures < most else None


def _alone_equal(resolved: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """A picture comes out the same whatever else is in its batch."""
    try:
        together = SAMPLERS.get(resolved["sampler_name"]).together
        steering = Steering(**resolved["steering"])
    except (KeyError, TypeError, UnknownName):  # of another version of the program; the job itself will say so
        return False
    steered = any(option.is_on(steering, settings) for option in OPTIONS)
    return together and not steered and settings.get("backend", EAGER) == EAGER
