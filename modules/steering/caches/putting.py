"""A step cache on a network for one run: its hooks put on, told whose call each is, and all taken off again.

Start reading at `cached`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import CacheMixin
from diffusers.hooks import HookRegistry, ModelHook

from modules.request import Steering
from modules.steering.blocks import inside, row_count
from modules.steering.caches.row import Cache, Run
from modules.steering.course import Course

NAME = "darkroom_{}"
EARLIEST = 1000  # timestep of pure noise, at which no cache takes anything over


@contextmanager
def cached(network: Any, row: Cache, steering: Steering, course: Course) -> Iterator[None]:
    """Inside, the network has the cache's hooks. Every hook that it set, and no other, is taken off."""
    before = {id(module): set(registry.hooks) for module, registry in _registries(network)}

    def follow(put_on: Callable[[Callable[[], int]], None], begin: Callable[[], None] | None = None) -> None:
        told = _Told(course, begin)
        put_on(lambda: told.time)
        _set(network, told, "told")

    def reuse(blocks: Sequence[Any], every: int) -> None:
        fresh = _Fresh(every)
        for block in blocks:
            _set(block, _Reuse(fresh), "reuse")
        _set(network, fresh, "fresh")

    try:
        row.put_on(network, Run(steering=steering, calls=lambda: course.calls, follow=follow, reuse=reuse))
        _renewed(network)
        yield
    finally:
        for module, registry in _registries(network):
            for name in reversed([name for name in registry.hooks if name not in before.get(id(module), set())]):
                registry.remove_hook(name, recurse=False)
        _renewed(network)


def _set(module: Any, hook: ModelHook, name: str) -> None:
    HookRegistry.check_if_exists_or_initialize(module).register_hook(hook, NAME.format(name))


def _registries(network: Any) -> list[tuple[Any, HookRegistry]]:
    return [(module, module._diffusers_hook) for module in network.modules() if hasattr(module, "_diffusers_hook")]


def _renewed(network: Any) -> None:
    """diffusers remembers which modules have hooks; those are others now."""
    HookRegistry.check_if_exists_or_initialize(network).invalidate_child_registries_cache()


class _Told(ModelHook):
    """Set on a transformer with a cache, around its hooks. time: of the call under way, 0 to 1000, for caches that go by it."""

    _is_stateful = False

    def __init__(self, course: Course, begin: Callable[[], None] | None) -> None:
        super().__init__()
        self._course = course
        self._begin = begin
        self._kind: tuple[int, bool] | None = None
        self.time = EARLIEST

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        """A call with other rows, or without some layers, takes nothing over from one before, and the next one nothing from it."""
        kind = (row_count(args, kwargs), bool(kwargs.get("skip_layers")))
        first = kind != self._kind
        if self._kind is None and self._begin is not None:
            self._begin()
        elif first:
            HookRegistry.check_if_exists_or_initialize(module).reset_stateful_hooks()
        self._kind = kind
        self.time = EARLIEST if first else self._course.time  # FasterCache reads what it kept before there is anything
        with CacheMixin.cache_context(module, "uncond" if self._course.negative else "cond"):
            return inside(self)(*args, **kwargs)


class _Fresh(ModelHook):
    """Set on a UNet: says for each call whether the deep blocks compute. All do every `interval` calls and when the rows are others."""

    _is_stateful = False

    def __init__(self, interval: int) -> None:
        super().__init__()
        self._interval = interval
        self._since = 0
        self._rows = 0
        self.now = True

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        rows = row_count(args, kwargs)
        self.now = rows != self._rows or self._since >= self._interval
        self._since = 1 if self.now else self._since + 1
        self._rows = rows
        return args, kwargs


class _Reuse(ModelHook):
    """Set on a deep block: gives what it gave in the last call in which all computed."""

    _is_stateful = False

    def __init__(self, fresh: _Fresh) -> None:
        super().__init__()
        self._fresh = fresh
        self._kept: Any = None

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Whatever the block gives: a tensor, or a tensor and those for the way up."""
        if self._fresh.now:
            self._kept = inside(self)(*args, **kwargs)
        return self._kept
