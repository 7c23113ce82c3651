"""CLIP: how near a text and a picture are (a cosine). It writes nothing; it ranks captions, and words from lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.caption.kind import MATCH, WORDS, Config, Kind, Published, at, whole_number


def _positions(config: Config) -> int | None:
    return whole_number(at(config, "text_config", "max_position_embeddings"))


def _image_states(model: Any, pixels: Any) -> Any:
    """(B,3,H,W) -> (B,d), not normalised: a CLIP picture is one vector."""
    return model.get_image_features(pixel_values=pixels).pooler_output


def _text_features(model: Any, tokens: Mapping[str, Any]) -> Any:
    """input_ids and attention_mask of N texts -> (N,d), not normalised."""
    return model.get_text_features(**tokens).pooler_output


KIND = Kind(
    id="clip",
    title="CLIP",
    does=(MATCH, WORDS),
    architecture="CLIPModel",
    model_type="clip",
    processor="CLIPProcessor",
    tensors=("vision_model.", "text_model.", "visual_projection.", "text_projection."),
    positions=_positions,
    image_states=_image_states,
    image_features=lambda model, states: states,
    text_features=_text_features,
    blind="it makes one vector of the picture and one of the text, apart from each other; its words never look at places",
    published=(
        Published(repo="openai/clip-vit-base-patch32", gigabytes=0.60, licence="MIT"),
        Published(repo="openai/clip-vit-large-patch14", gigabytes=1.71, licence="MIT"),
    ),
)
