"""DeepCache: the inner blocks of a UNet are computed every so many calls, the outer ones always. Start reading at `put_on`.

Source: arXiv:2312.00858, section 3.2, at uniform intervals.
"""

from __future__ import annotations

from typing import Any

from modules.steering.caches.row import UNETS, Cache, Run


def put_on(network: Any, run: Run) -> None:
    """The blocks below the outermost levels give again what they gave."""
    run.reuse(deep_blocks(network, run.steering.cache_depth), run.steering.cache_interval)


def deep_blocks(unet: Any, depth: int) -> list[Any]:
    """The blocks of a UNet below its `depth` outermost levels: on the way down, in the middle, on the way up.

    The last block on the way down is always among them.
    """
    downs, ups = list(unet.down_blocks), list(unet.up_blocks)
    outer = min(depth, len(downs) - 1)
    middle = [] if unet.mid_block is None else [unet.mid_block]
    return [*downs[outer:], *middle, *ups[: len(ups) - outer]]


ROW = Cache(
    title="DeepCache",
    source="arXiv:2312.00858",
    architectures=UNETS,
    fields=("cache_interval", "cache_depth"),
    put_on=put_on,
)
