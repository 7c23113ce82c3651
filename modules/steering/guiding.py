"""Guidance computed here, so that a pipeline of any class has CFG rescale, a CFG scale that changes and further pulls.

The pipeline is given the guided prediction g for the prompt and the negative prompt alike: its own g + scale * (g - g) is g then.
Start reading at `Guide.post_forward`.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.hooks import ModelHook

from modules.samplers.guided import SHARE
from modules.steering.course import PAIR, Context, Course

Tensor = torch.Tensor


def rescaled(guided: Tensor, prompt: Tensor, share: float) -> Tensor:
    """The guided prediction (B, ...) with the prompt's standard deviation, mixed by share (0 to 1).

    Source: arXiv:2305.08891, eq. 15, 16.
    """
    inner = tuple(range(1, prompt.ndim))
    matched = guided * (prompt.std(dim=inner, keepdim=True) / guided.std(dim=inner, keepdim=True))
    return share * matched + (1 - share) * guided


class Guide(ModelHook):
    """Set on the network as the last hook, outside of those that join AND parts or keep an answer for DDIM CFG++."""

    _is_stateful = False

    def __init__(self, course: Course, context: Context, rescale: float) -> None:
        super().__init__()
        self._course = course
        self._context = context
        self._rescale = rescale
        self._prompt: Tensor | None = None

    def post_forward(self, module: torch.nn.Module, output: Any) -> Any:
        """output[0]: the predictions, (2B, ...) or what the pipeline's rows are, (B, ...) without guidance."""
        if self._context.separate:
            return (self._separate(output[0]), *output[1:])
        blocks = output[0].chunk(len(self._context.blocks))
        if not self._context.guided:
            return (self._pulled(blocks[0]), *output[1:])
        guided, prompt = self._guided(blocks)
        return (torch.cat([self._finished(guided, prompt)] * len(blocks)), *output[1:])

    def _guided(self, blocks: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """(guided, the prompt's own prediction)."""
        scale = self._course.scale
        if self._context.blocks == PAIR:
            negative, prompt = blocks
            guided = negative + scale * (prompt - negative)
            return guided, negative + (prompt - negative) / SHARE if self._context.cfgpp else prompt
        prompt, picture, nothing = blocks
        return nothing + scale * (prompt - picture) + self._context.image_cfg_scale * (picture - nothing), prompt

    def _finished(self, guided: Tensor, prompt: Tensor) -> Tensor:
        guided = self._pulled(guided)
        return rescaled(guided, prompt, self._rescale) if self._rescale and not self._course.unguided else guided

    def _pulled(self, guided: Tensor) -> Tensor:
        for scale, difference in self._course.pulls:
            guided = guided + (scale * SHARE if self._context.cfgpp else scale) * difference
        return guided

    def _separate(self, answer: Tensor) -> Tensor:
        """The pipeline computes n + s * (p - n) from an answer p and a later answer n; n is chosen so that this is g."""
        if not self._course.negative:
            self._prompt = answer
            return answer
        prompt, s = self._prompt, self._context.cfg_scale
        if prompt is None or self._course.unguided:
            return answer
        guided = self._finished(answer + self._course.scale * (prompt - answer), prompt)
        return (s * prompt - guided) / (s - 1)
