"""Outpainting one side after another: the same request once for each side, every run beginning with what the one before made.

Knows requests and hooks, no pixels. Start reading at `turns_of`.
"""

from __future__ import annotations

import dataclasses

from modules.pixels.ground import turns
from modules.processing.passes import StepHooks
from modules.request import ResolvedRequest


def turns_of(resolved: ResolvedRequest, hooks: StepHooks) -> list[tuple[ResolvedRequest, StepHooks]]:
    """(the request of a run, its hooks) in order; the request itself when there is but one. Steps count as those of one run.

    A mask is painted in the first run alone. Masks and other side pictures are kept of the last one.
    """
    outpaint = resolved.outpaint
    if outpaint is None or not outpaint.outpaint_in_turns:
        return [(resolved, hooks)]
    sides = turns(outpaint.sides)
    found: list[tuple[ResolvedRequest, StepHooks]] = []
    for n, (left, right, up, down) in enumerate(sides):
        own = dataclasses.replace(outpaint, outpaint_left=left, outpaint_right=right, outpaint_up=up, outpaint_down=down)
        image = resolved.image if n == 0 or resolved.image is None else dataclasses.replace(resolved.image, mask=None)
        kept = resolved.save_images and n == len(sides) - 1
        found.append((dataclasses.replace(resolved, outpaint=own, image=image, save_images=kept), _later(hooks, n, len(sides))))
    return found


def _later(hooks: StepHooks, n: int, count: int) -> StepHooks:
    return dataclasses.replace(hooks, step=lambda done, total: hooks.step(n * total + done, count * total))
