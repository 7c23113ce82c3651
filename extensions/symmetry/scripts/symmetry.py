"""Symmetry: the noise and the first steps are mirrored, so that what the picture shows is laid out alike on both sides.

Later steps are free, so that details differ; to the end, the picture is a true mirror. A native guest at `before_call` and `step`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch

from modules.hooks import Call, Guest, Run, Step
from modules.knobs import Knob

OFF, ACROSS, DOWN, BOTH = "off", "left and right", "top and bottom", "both"
AXES = {ACROSS: (-1,), DOWN: (-2,), BOTH: (-1, -2)}


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """mirror: which halves are alike."""

    mirror: Annotated[str, Knob("Mirror", choices=(OFF, ACROSS, DOWN, BOTH), help="The left or upper half is laid onto the other.")] = OFF
    until: Annotated[float, Knob("Until", 0, 1, step=0.05, help="Share of the steps; 1: to the end.")] = 0.3


class Symmetry(Guest):
    """Off by default."""

    name = "symmetry"
    title = "Symmetry"
    knobs = Knobs

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        return args[0] != OFF

    def before_call(self, run: Run, call: Call) -> Call | None:
        noise = call.arguments.get("latents")
        if not isinstance(noise, torch.Tensor) or noise.ndim != 4 or call.stage == "img2img":  # tokens; a picture's own latents
            return None
        call.arguments["latents"] = mirrored(noise, run.args[self.name][0])
        return call

    def step(self, run: Run, step: Step) -> Step | None:
        mirror, until = run.args[self.name]
        if step.number > round(until * step.total):
            return None
        step.latents = mirrored(step.latents, mirror)
        return step


def mirrored(x: torch.Tensor, mirror: str) -> torch.Tensor:
    """(..., h, w) with the left half on the right, the upper one below, or both; the middle of an odd side stays."""
    for axis in AXES[mirror]:
        half = x.shape[axis] // 2
        first = x.narrow(axis, 0, x.shape[axis] - half)
        x = torch.cat([first, x.narrow(axis, 0, half).flip(axis)], axis)
    return x
