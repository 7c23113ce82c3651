"""Several prompts joined by AND: the network is asked about each, and their pulls are added. Through diffusers' module hooks.

A pipeline asks its network about [negative, prompt]; the hook makes that [negative, part 1, part 2, ...] and gives back
[negative, negative + sum of weight * (part - negative)], so that the pipeline's own guidance does the rest.
Start reading at `composed`. Source: A1111's AND; arXiv:2206.01714, eq. 11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

NAME = "darkroom_and"


class _Compose(ModelHook):
    """extra(): the tensors (B, tokens, width) of the second and later parts at the present step."""

    _is_stateful = False

    def __init__(self, weights: list[float], extra: Callable[[], list[torch.Tensor]]) -> None:
        super().__init__()
        self._weights = weights
        self._extra = extra

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """args[0]: noisy latents (2B, C, h, w), negative half first. The rows of the further parts are put behind."""
        sample, timestep, *rest = args
        more = self._extra()
        half = sample.chunk(2)[1]
        text = kwargs["encoder_hidden_states"]
        kwargs["encoder_hidden_states"] = torch.cat([text, *(part.to(text.dtype) for part in more)])
        return (torch.cat([sample, *[half] * len(more)]), timestep, *rest), kwargs

    def post_forward(self, module: torch.nn.Module, output: Any) -> Any:
        """The prediction for [negative, all parts together], (2B, C, h, w)."""
        negative, *parts = output[0].chunk(len(self._weights) + 1)
        together = negative + sum(w * (part - negative) for w, part in zip(self._weights, parts, strict=True))
        return (torch.cat([negative, together]), *output[1:])


@contextmanager
def composed(network: torch.nn.Module, weights: list[float], extra: Callable[[], list[torch.Tensor]]) -> Iterator[None]:
    """Inside, the network answers for all AND parts. One part of weight 1 leaves it as it is. Taken away again at the end."""
    if weights == [1.0]:
        yield
        return
    registry = HookRegistry.check_if_exists_or_initialize(network)
    registry.register_hook(_Compose(weights, extra), NAME)
    try:
        yield
    finally:
        registry.remove_hook(NAME)
