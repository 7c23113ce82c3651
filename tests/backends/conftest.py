"""Tiny UNets and rows for them. What is exported is kept for all tests of this folder, as the program keeps it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel

from modules.backends.backing import Backing, Use, Wish

TEXT = 32


def unet(**changes: Any) -> UNet2DConditionModel:
    """A random one of two levels, text width 32."""
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "sample_size": 16, "layers_per_block": 1, "block_out_channels": (16, 32), "cross_attention_dim": TEXT, "attention_head_dim": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "norm_num_groups": 8,
    }  # fmt: skip
    return UNet2DConditionModel(**{**config, **changes}).eval()


@pytest.fixture
def network() -> UNet2DConditionModel:
    return unet()


@pytest.fixture(scope="session")
def kept_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backends")


def call(rows: int = 2, height: int = 8, width: int = 12, words: int = 7, seed: int = 1, **more: Any) -> dict[str, Any]:
    """Arguments of a network call, as a pipeline gives them."""
    drawn = torch.Generator().manual_seed(seed)
    return {
        "sample": torch.randn(rows, 4, height, width, generator=drawn), "timestep": torch.tensor(500),
        "encoder_hidden_states": torch.randn(rows, words, TEXT, generator=drawn), "return_dict": False, **more,
    }  # fmt: skip


def residuals(given: dict[str, Any], scale: float = 1.0) -> dict[str, Any]:
    """What a ControlNet of `unet()` would add to such a call."""
    rows, _, height, width = given["sample"].shape
    drawn = torch.Generator().manual_seed(9)
    small = (height // 2, width // 2)
    shapes = [(16, height, width), (16, height, width), (16, *small), (32, *small)]
    down = tuple(scale * torch.randn(rows, *shape, generator=drawn) for shape in shapes)
    return {
        "down_block_additional_residuals": down,
        "mid_block_additional_residual": scale * torch.randn(rows, 32, *small, generator=drawn),
    }


def ask(network: Any, backing: Backing, name: str, *calls: dict[str, Any], background: bool = False) -> tuple[list[torch.Tensor], Use]:
    """The answers to these calls in one run."""
    with torch.inference_mode(), backing.standing_in(network, Wish(name=name, background=background)) as use:
        assert use is not None
        return [network(**given)[0] for given in calls], use


@pytest.fixture
def plain() -> Callable[..., torch.Tensor]:
    """plain(network, call): eager's answer."""

    def answer(network: Any, given: dict[str, Any]) -> torch.Tensor:
        with torch.inference_mode():
            return network(**given)[0]

    return answer
