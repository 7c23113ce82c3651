"""MagCache: calls are left out while what the blocks add keeps its size, by a curve measured for the model. Start reading at `put_on`."""

from __future__ import annotations

from typing import Any

from modules.steering.caches.row import Cache, Run


def put_on(network: Any, run: Run) -> None:
    """diffusers' own, with the curve it has for Flux, stretched over the calls of this run as soon as their number is known."""
    from diffusers.hooks import MagCacheConfig, apply_mag_cache
    from diffusers.hooks.mag_cache import FLUX_MAG_RATIOS

    def over(calls: int) -> MagCacheConfig:
        asked = run.steering
        return MagCacheConfig(
            threshold=asked.cache_threshold,
            max_skip_steps=asked.cache_interval - 1,
            num_inference_steps=calls,
            mag_ratios=FLUX_MAG_RATIOS,
        )

    config = over(len(FLUX_MAG_RATIOS))
    run.follow(lambda _: apply_mag_cache(network, config), begin=lambda: vars(config).update(vars(over(run.calls()))))


ROW = Cache(
    title="MagCache",
    source="arXiv:2506.09045",
    architectures=("flux",),  # of the models here, the only one with a published curve
    fields=("cache_threshold", "cache_interval"),
    put_on=put_on,
    whole_blocks=True,
)
