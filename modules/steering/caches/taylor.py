"""TaylorSeer: attention layers are foretold from how their answers changed, every so many calls computed. Start reading at `put_on`."""

from __future__ import annotations

from typing import Any

from modules.steering.caches.row import TRANSFORMERS, Cache, Run


def put_on(network: Any, run: Run) -> None:
    """diffusers' own, from the fourth call on; differences are kept in the network's number type."""
    from diffusers.hooks import TaylorSeerCacheConfig, apply_taylorseer_cache

    asked = run.steering
    config = TaylorSeerCacheConfig(cache_interval=asked.cache_interval, max_order=asked.cache_order, taylor_factors_dtype=network.dtype)
    run.follow(lambda _: apply_taylorseer_cache(network, config))


ROW = Cache(
    title="TaylorSeer",
    source="arXiv:2503.06923",
    architectures=TRANSFORMERS,
    fields=("cache_interval", "cache_order"),
    put_on=put_on,
)
