"""A picture whose look is taken over: self-attention of a run sees the places of the other picture as well as its own.

At each network call the style picture, with as much noise as the picture has by then, goes through the network first; what each
self-attention layer read there is remembered, and the run's own attention looks at both. Nothing is trained and nothing downloaded.
Through diffusers' module hooks. For UNets, whose self-attention layers stand apart from those that read text; joint attention of
transformers has none such, see `can_look`. Start reading at `looking_at`.
Source: the idea of reference-only attention as of arXiv:2312.02133, section 3.2 (shared attention), with one reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook
from diffusers.models.attention import BasicTransformerBlock

from modules.control.networks import ADDED
from modules.steering.blocks import each, inside, row_count

NAME = "darkroom_look"


@dataclass(frozen=True, kw_only=True)
class Look:
    """latent: (1, C, h, w) of the style picture in the network's scale. noise: of the same shape, standard normal.

    strength: 0 to 1, how much the shared attention counts. noised(latent, noise, timestep) -> what the network would be given.
    every_row: show the style picture once for each row of a call, for other hooks that count on their number. active(): does it count in
    the call that begins? shares(rows) -> a factor on the strength for each row (rows,), or None where it is the same for all.
    """

    latent: torch.Tensor
    noise: torch.Tensor
    strength: float
    noised: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
    every_row: bool = False
    active: Callable[[], bool] = lambda: True
    shares: Callable[[int], torch.Tensor | None] = lambda rows: None


@dataclass
class _Seen:
    """What the style picture looked like in each layer of the present call; reading: it is being looked at now."""

    reading: bool = False
    layers: dict[int, torch.Tensor] = field(default_factory=dict[int, torch.Tensor])


class _Layer(ModelHook):
    """Set on a self-attention layer."""

    _is_stateful = False

    def __init__(self, seen: _Seen, look: Look) -> None:
        super().__init__()
        self._seen = seen
        self._look = look

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """hidden_states: (rows, tokens, width), the first argument."""
        ask = inside(self)
        hidden = args[0] if args else kwargs["hidden_states"]
        if self._seen.reading:
            self._seen.layers[id(module)] = hidden
            return ask(*args, **kwargs)
        own = ask(*args, **kwargs)
        style = self._seen.layers.get(id(module))
        if style is None:
            return own
        both = torch.cat([hidden, style if len(style) == len(hidden) else style.expand(len(hidden), -1, -1)], dim=1)
        shared = ask(*args, **{**kwargs, "encoder_hidden_states": both})
        shares = self._look.shares(len(own))
        strength = self._look.strength if shares is None else self._look.strength * shares.to(own).view(-1, 1, 1)
        return own + strength * (shared - own)


class _Network(ModelHook):
    """Set on the network: shows it the style picture before each of its calls."""

    _is_stateful = False

    def __init__(self, seen: _Seen, look: Look) -> None:
        super().__init__()
        self._seen = seen
        self._look = look

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """args: (sample (rows, C', h, w), timestep, ...). Channels behind the latent's are those of the run's last row."""
        ask = inside(self)
        if not self._look.active():
            return ask(*args, **kwargs)
        rows = row_count(args, kwargs)
        plain = {name: value for name, value in kwargs.items() if name not in ADDED}
        given, named = each((args, plain), rows, lambda x: x if self._look.every_row else x[-1:])
        sample, timestep, *more = given
        time = float(timestep.flatten()[-1] if isinstance(timestep, torch.Tensor) else timestep)
        shown = self._look.noised(self._look.latent, self._look.noise, time).to(sample.device, sample.dtype)
        shown = shown.expand(len(sample), -1, -1, -1)
        if sample.shape[1] > shown.shape[1]:
            shown = torch.cat([shown, sample[:, shown.shape[1] :]], dim=1)
        self._seen.reading = True
        try:
            ask(shown, timestep, *more, **named)
        finally:
            self._seen.reading = False
        try:
            return ask(*args, **kwargs)
        finally:
            self._seen.layers.clear()


def layers_of(network: torch.nn.Module) -> list[torch.nn.Module]:
    """The self-attention layers that can look at another picture."""
    blocks = [block for block in network.modules() if isinstance(block, BasicTransformerBlock)]
    return [block.attn1 for block in blocks if not block.only_cross_attention]


def can_look(network: torch.nn.Module) -> bool:
    """Does this network have self-attention that stands apart from the text?"""
    return bool(layers_of(network))


@contextmanager
def looking_at(network: torch.nn.Module, look: Look | None) -> Iterator[None]:
    """Inside, runs of the network look at the style picture too. None, or a strength of 0, leaves it as it is. Taken away at the end.

    The latent must be of the run's size. Costs one network call for one more picture, and attention twice.
    """
    if look is None or look.strength == 0:
        yield
        return
    seen = _Seen()
    hooked = [(layer, _Layer(seen, look)) for layer in layers_of(network)]
    registries = [HookRegistry.check_if_exists_or_initialize(network)]
    registries[0].register_hook(_Network(seen, look), NAME)
    try:
        for layer, hook in hooked:
            registry = HookRegistry.check_if_exists_or_initialize(layer)
            registry.register_hook(hook, NAME)
            registries.append(registry)
        yield
    finally:
        for registry in reversed(registries):
            registry.remove_hook(NAME, recurse=False)
