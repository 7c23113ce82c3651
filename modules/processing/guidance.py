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
# By these names a network takes the text and the pooled text; everything else a further part shares with the prompt.
TEXT = ("encoder_hidden_states",)
POOLED = ("text_embeds", "pooled_projections")
Part = tuple[torch.Tensor, torch.Tensor | None]


class _Compose(ModelHook):
    """extra(): (text (B, tokens, width), pooled text (B, width) or None) of the second and later parts at the present step."""

    _is_stateful = False

    def __init__(self, weights: list[float], extra: Callable[[], list[Part]]) -> None:
        super().__init__()
        self._weights = weights
        self._extra = extra

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Everything that has 2B rows, negative half first, gets the rows of the further parts behind."""
        more = self._extra()
        rows = len(kwargs["encoder_hidden_states"])
        longer = [self._longer("", value, rows, more) for value in args]
        return tuple(longer), {name: self._longer(name, value, rows, more) for name, value in kwargs.items()}

    def _longer(self, name: str, value: Any, rows: int, more: list[Part]) -> Any:
        if isinstance(value, dict):
            return {key: self._longer(key, inner, rows, more) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._longer(name, inner, rows, more) for inner in value)
        if not isinstance(value, torch.Tensor) or value.ndim == 0 or len(value) != rows:
            return value
        if name in TEXT:
            behind = [text for text, _ in more]
        elif name in POOLED:
            behind = [pooled for _, pooled in more if pooled is not None]
        else:
            behind = [value.chunk(2)[1]] * len(more)
        return torch.cat([value, *(part.to(value.dtype) for part in behind)])

    def post_forward(self, module: torch.nn.Module, output: Any) -> Any:
        """The prediction for [negative, all parts together], 2B rows."""
        negative, *parts = output[0].chunk(len(self._weights) + 1)
        together = negative + sum(w * (part - negative) for w, part in zip(self._weights, parts, strict=True))
        return (torch.cat([negative, together]), *output[1:])


@contextmanager
def composed(network: torch.nn.Module, weights: list[float], extra: Callable[[], list[Part]]) -> Iterator[None]:
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
