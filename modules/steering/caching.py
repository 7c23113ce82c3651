"""Caches: what changes little from one network call to the next is taken over instead of being computed.

`Reuse` is for UNets, after DeepCache; `transformer_cache` is diffusers' own for transformers. Start reading at `Fresh`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import FasterCacheConfig, FirstBlockCacheConfig, PyramidAttentionBroadcastConfig
from diffusers.hooks import ModelHook

from modules.request import Steering
from modules.steering.blocks import inside, row_count
from modules.steering.course import Course


class Fresh(ModelHook):
    """Set on a UNet: says for each call whether the deep blocks compute. All do every `interval` calls and when the rows are others.

    Source: arXiv:2312.00858, section 3.2, at uniform intervals.
    """

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


class Reuse(ModelHook):
    """Set on a deep block: gives what it gave in the last call in which all computed."""

    _is_stateful = False

    def __init__(self, fresh: Fresh) -> None:
        super().__init__()
        self._fresh = fresh
        self._kept: Any = None

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Whatever the block gives: a tensor, or a tensor and those for the way up."""
        if self._fresh.now:
            self._kept = inside(self)(*args, **kwargs)
        return self._kept


def deep_blocks(unet: Any, depth: int) -> list[Any]:
    """The blocks of a UNet below its `depth` outermost levels: on the way down, in the middle, on the way up.

    The last block on the way down is always among them.
    """
    downs, ups = list(unet.down_blocks), list(unet.up_blocks)
    outer = min(depth, len(downs) - 1)
    middle = [] if unet.mid_block is None else [unet.mid_block]
    return [*downs[outer:], *middle, *ups[: len(ups) - outer]]


def transformer_cache(steering: Steering, time: Callable[[], int]) -> Any:
    """The configuration for `enable_cache`. time(): the present timestep, 0 to 1000."""
    if steering.cache == "First block":
        return FirstBlockCacheConfig(threshold=steering.cache_threshold)
    if steering.cache == "Pyramid attention":
        return PyramidAttentionBroadcastConfig(spatial_attention_block_skip_range=steering.cache_interval, current_timestep_callback=time)
    return FasterCacheConfig(
        spatial_attention_block_skip_range=steering.cache_interval,
        is_guidance_distilled=True,  # prompt and negative prompt are never in one call
        attention_weight_callback=lambda _: 0.5,
        tensor_format="BCHW",
        current_timestep_callback=time,
    )


class Named(ModelHook):
    """Set on a transformer with a cache: tells it whose call this is, which not all pipelines do. time: of the call, 0 to 1000."""

    _is_stateful = False

    def __init__(self, course: Course) -> None:
        super().__init__()
        self._course = course
        self.time = 1000

    def new_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        self.time = round(float(kwargs["timestep"].flatten()[0]) * 1000)
        with module.cache_context("uncond" if self._course.negative else "cond"):
            return inside(self)(*args, **kwargs)
