"""First block cache: while the first block changes little, the others give what they gave. Start reading at `put_on`."""

from __future__ import annotations

from typing import Any

from modules.steering.caches.row import TRANSFORMERS, Cache, Run


def put_on(network: Any, run: Run) -> None:
    """diffusers' own, on all blocks that give both a picture and a text."""
    from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache

    config = FirstBlockCacheConfig(threshold=run.steering.cache_threshold)
    run.follow(lambda _: apply_first_block_cache(_cacheable(network), config))


def _cacheable(network: Any) -> Any:
    """The network, or its blocks but the last where that gives no text: diffusers takes differences of both."""
    from torch import nn

    blocks = list(network.transformer_blocks)
    if not getattr(blocks[-1], "context_pre_only", False):
        return network
    return nn.ModuleDict({"transformer_blocks": nn.ModuleList(blocks[:-1])})


ROW = Cache(
    title="First block cache",
    source="diffusers' FirstBlockCacheConfig, after arXiv:2411.19108",
    architectures=TRANSFORMERS,
    fields=("cache_threshold",),
    put_on=put_on,
    whole_blocks=True,
)
