"""The full-size models that the shipped configs describe, built without memory on torch's meta device."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import diffusers
import torch
import transformers

from modules.families import shipped


def component_shapes(config: str, name: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a component ("unet", "text_encoder", ...) of a shipped config, as its class saves them."""
    library, kind = shipped.components(config)[name]
    return dict(_shapes(library, kind, json.dumps(shipped.config(config, name))))


@cache
def _shapes(library: str, kind: str, config: str) -> dict[str, tuple[int, ...]]:
    values: dict[str, Any] = json.loads(config)
    with torch.device("meta"):
        if library == "diffusers":
            model = getattr(diffusers, kind).from_config(values)
        else:
            made = getattr(transformers, kind)
            model = made(made.config_class(**values))
    state = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    if "shared.weight" in state:  # T5's embedding, tied
        state.pop("encoder.embed_tokens.weight", None)
    return state
