"""A prompt and a negative prompt of different lengths: the network does not listen to what the shorter one was filled up with.

Through diffusers' module hooks and the mask that its UNets know; the same as asking about each in a call of its own, as A1111 does
without "Pad prompt/negative prompt". Transformers have no such mask: there the filling counts. Start reading at `filling_unheard`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

NAME = "darkroom_uneven"
MASK = "encoder_attention_mask"


class _Unheard(ModelHook):
    """lengths: tokens that count, for each equal share of the rows."""

    _is_stateful = False

    def __init__(self, lengths: Sequence[int]) -> None:
        super().__init__()
        self._lengths = lengths

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        texts = kwargs["encoder_hidden_states"]
        heard = torch.zeros(texts.shape[:2], dtype=torch.bool, device=texts.device)
        for share, length in zip(heard.chunk(len(self._lengths)), self._lengths, strict=True):
            share[:, :length] = True
        return args, {**kwargs, MASK: heard}


@contextmanager
def filling_unheard(network: torch.nn.Module, lengths: Sequence[int]) -> Iterator[None]:
    """Inside, only so many tokens of each text count. lengths: one for each equal share of the rows of a network call, in order.

    Enter it after every context that adds rows to a call, so that they get rows of the mask too. Equal lengths, and networks
    without a mask, are left as they are.
    """
    if len(set(lengths)) < 2 or MASK not in inspect.signature(type(network).forward).parameters:
        yield
        return
    registry = HookRegistry.check_if_exists_or_initialize(network)
    registry.register_hook(_Unheard(lengths), NAME)
    try:
        yield
    finally:
        registry.remove_hook(NAME)
