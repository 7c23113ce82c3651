"""FasterCache: attention layers go on from what they gave twice, every so many calls anew. Start reading at `put_on`."""

from __future__ import annotations

from typing import Any

from modules.steering.caches.row import TRANSFORMERS, Cache, Run


def put_on(network: Any, run: Run) -> None:
    """diffusers' own, below timestep 681, with attention alone: its guess of the negative prompt's answer needs videos' layout."""
    from diffusers.hooks import FasterCacheConfig, apply_faster_cache

    every = run.steering.cache_interval
    run.follow(
        lambda time: apply_faster_cache(
            network,
            FasterCacheConfig(
                spatial_attention_block_skip_range=every,
                is_guidance_distilled=True,
                attention_weight_callback=lambda _: 0.5,
                tensor_format="BCHW",
                current_timestep_callback=time,
            ),
        ),
    )


ROW = Cache(
    title="FasterCache",
    source="arXiv:2410.19355",
    architectures=TRANSFORMERS,
    fields=("cache_interval",),
    put_on=put_on,
    unguided=True,
)
