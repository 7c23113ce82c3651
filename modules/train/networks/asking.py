"""One call of a network in training, for each way networks are asked. torch lives here.

Knows the arguments of network classes; knows no family and no loss. Which way a family takes stands in `recipes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from modules.train.networks.text import Text

STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class Question:
    """noisy: (B, C, h, w) latents; times: (B,) 0 to 1000; sizes: (B, 6) original height, width, crop top, left, target height, width.

    guidance: told to a network that was distilled for it; 1 trains it as if unguided.
    """

    network: Any
    noisy: torch.Tensor
    times: torch.Tensor
    text: Text
    sizes: torch.Tensor
    guidance: float = 1.0


def plain(q: Question) -> torch.Tensor:
    """A UNet that reads words alone."""
    return q.network(q.noisy, q.times, encoder_hidden_states=q.text.words, return_dict=False)[0]


def sized(q: Question) -> torch.Tensor:
    """A UNet that is told the pooled text and the sizes of the picture as well. Source: SDXL, arXiv:2307.01952, section 2.2."""
    more = {"text_embeds": q.text.pooled, "time_ids": q.sizes.to(q.noisy.dtype)}
    return q.network(q.noisy, q.times, encoder_hidden_states=q.text.words, added_cond_kwargs=more, return_dict=False)[0]


def joint(q: Question) -> torch.Tensor:
    """A transformer of joint blocks. Source: arXiv:2403.03206."""
    return q.network(
        hidden_states=q.noisy, timestep=q.times, encoder_hidden_states=q.text.words, pooled_projections=q.text.pooled, return_dict=False
    )[0]


def packed(q: Question) -> torch.Tensor:
    """A transformer over tokens of 2x2 cells, with a guidance input where it was distilled for one."""
    batch, channels, height, width = q.noisy.shape
    cells = q.noisy.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    tokens = cells.reshape(batch, (height // 2) * (width // 2), channels * 4)
    guidance = torch.full((batch,), q.guidance, device=tokens.device) if q.network.config.guidance_embeds else None
    out = q.network(
        hidden_states=tokens,
        timestep=q.times / STEPS,
        guidance=guidance,
        encoder_hidden_states=q.text.words,
        pooled_projections=q.text.pooled,
        txt_ids=torch.zeros(q.text.words.shape[1], 3, device=tokens.device, dtype=tokens.dtype),
        img_ids=_places(height // 2, width // 2, tokens),
        return_dict=False,
    )[0]
    back = out.reshape(batch, height // 2, width // 2, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return back.reshape(batch, channels, height, width)


def _places(rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
    """(rows * columns, 3): where each token stands."""
    places = torch.zeros(rows, columns, 3)
    places[..., 1] += torch.arange(rows)[:, None]
    places[..., 2] += torch.arange(columns)[None, :]
    return places.reshape(-1, 3).to(like)
