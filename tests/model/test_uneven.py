"""Filling that is not listened to: one call for texts of different lengths equals a call for each."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from modules.processing.guidance import composed
from modules.processing.uneven import filling_unheard


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, cross_attention_dim=32, attention_head_dim=8, norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval()  # fmt: skip


def answer(network: Any, texts: torch.Tensor) -> torch.Tensor:
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(1)).expand(len(texts), -1, -1, -1)
    with torch.inference_mode():
        return network(latents, 5, encoder_hidden_states=texts, return_dict=False)[0]


def texts(tokens: int, seed: int) -> torch.Tensor:
    return torch.randn((1, tokens, 32), generator=torch.Generator().manual_seed(seed))


def test_it_equals_separate_calls(network: Any) -> None:
    negative, prompt = texts(77, 1), texts(154, 2)
    filled = torch.cat([negative, texts(77, 3)], dim=1)
    together = torch.cat([filled, prompt])
    plain = answer(network, together)
    with filling_unheard(network, (77, 154)):
        found = answer(network, together)
    alone = torch.cat([answer(network, negative), answer(network, prompt)])
    assert torch.allclose(found, alone, atol=1e-5)
    assert not torch.allclose(plain[:1], alone[:1], atol=1e-3)
    assert torch.equal(answer(network, together), plain), "the hook leaves nothing behind"


def test_equal_lengths_change_nothing(network: Any) -> None:
    both = torch.cat([texts(77, 1), texts(77, 2)])
    with filling_unheard(network, (77, 77)):
        assert torch.equal(answer(network, both), answer(network, both))


def test_parts_of_an_and_hear_as_much_as_the_prompt(network: Any) -> None:
    together = torch.cat([texts(154, 1), texts(154, 2)])
    further = texts(154, 4)
    with composed(network, [1.0, 0.5], lambda: [(further, None)]), filling_unheard(network, (77, 154)):
        found = answer(network, together)
    negative, prompt, other = answer(network, together[:1, :77]), answer(network, together[1:]), answer(network, further)
    assert torch.allclose(found[1:], negative + (prompt - negative) + 0.5 * (other - negative), atol=1e-4)
