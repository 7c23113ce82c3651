"""Tiling: convolutions that read beyond an edge from the opposite edge, so that pictures fit together. Start reading at `circular`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def circular(*networks: torch.nn.Module | None, on: bool = True) -> Iterator[None]:
    """Inside, every Conv2d of the networks (UNet, VAE) pads circularly; afterwards as before. on: False does nothing.

    Source: A1111's tiling.
    """
    layers: list[Any] = [
        layer for network in networks if network is not None for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)
    ]
    was = [(layer, layer.padding_mode) for layer in layers] if on else []
    try:
        for layer, _ in was:
            layer.padding_mode = "circular"
        yield
    finally:
        for layer, mode in was:
            layer.padding_mode = mode
