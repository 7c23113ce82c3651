"""Pyramid attention broadcast: attention layers give what they gave, every so many calls anew. Start reading at `put_on`."""

from __future__ import annotations

from typing import Any

from modules.steering.caches.row import TRANSFORMERS, Cache, Run


def put_on(network: Any, run: Run) -> None:
    """diffusers' own, between timesteps 800 and 100."""
    from diffusers.hooks import PyramidAttentionBroadcastConfig, apply_pyramid_attention_broadcast

    every = run.steering.cache_interval
    run.follow(
        lambda time: apply_pyramid_attention_broadcast(
            network, PyramidAttentionBroadcastConfig(spatial_attention_block_skip_range=every, current_timestep_callback=time)
        ),
    )


ROW = Cache(
    title="Pyramid attention broadcast",
    source="arXiv:2408.12588",
    architectures=TRANSFORMERS,
    fields=("cache_interval",),
    put_on=put_on,
    unguided=True,
)
