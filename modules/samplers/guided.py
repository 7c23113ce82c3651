"""For DDIM CFG++: the answer for the negative prompt is kept for the scheduler, and the pull of the prompt made a 12.5th.

Through diffusers' module hooks, so that the pipeline's own guidance does the rest. Start reading at `without_prompt_kept`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

NAME = "darkroom_cfgpp"
# CFG++ counts guidance from 0 to 1; A1111 divides the usual scale, so that the same slider serves.
SHARE = 1 / 12.5


class _Keep(ModelHook):
    _is_stateful = False

    def __init__(self, scheduler: Any) -> None:
        super().__init__()
        self._scheduler = scheduler

    def post_forward(self, module: torch.nn.Module, output: Any) -> Any:
        """output[0]: (2B, C, h, w), the negative half first."""
        negative, positive = output[0].chunk(2)
        self._scheduler.without_prompt = negative
        return (torch.cat([negative, negative + (positive - negative) * SHARE]), *output[1:])


@contextmanager
def without_prompt_kept(network: torch.nn.Module, scheduler: Any, *, cfgpp: bool, guided: bool) -> Iterator[None]:
    """Inside, runs of the network serve DDIM CFG++. cfgpp: the sampler's row says so, else nothing happens.

    guided: the pipeline asks about the negative prompt too; without it CFG++ is plain DDIM. To be entered after other hooks that
    change the number of rows (`modules.processing.guidance.composed`).
    """
    if not (cfgpp and guided):
        yield
        return
    registry = HookRegistry.check_if_exists_or_initialize(network)
    registry.register_hook(_Keep(scheduler), NAME)
    try:
        yield
    finally:
        registry.remove_hook(NAME)
