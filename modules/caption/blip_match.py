"""BLIP, image-text retrieval: does a text fit a picture (ITM), and how near are the two (ITC, a cosine).

ITM reads the text while it looks at the picture; ITC compares two vectors that are made apart and can be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.caption.blip import positions
from modules.caption.kind import MATCH, READ, WORDS, Kind, Published


def _image_states(model: Any, pixels: Any) -> Any:
    """(B,3,H,W) -> what the vision transformer sees, (B,T,D)."""
    return model.vision_model(pixel_values=pixels).last_hidden_state


def _image_features(model: Any, states: Any) -> Any:
    """(B,T,D) -> (B,d), not normalised."""
    return model.vision_proj(states[:, 0, :])


def _text_features(model: Any, tokens: Mapping[str, Any]) -> Any:
    """input_ids and attention_mask of N texts -> (N,d), not normalised."""
    return model.text_proj(model.text_encoder(**tokens).last_hidden_state[:, 0, :])


def _fits(model: Any, states: Any, tokens: Mapping[str, Any]) -> Any:
    """One picture's states (1,T,D) and N texts -> logits (N,2): no, yes."""
    seen = states.expand(tokens["input_ids"].shape[0], -1, -1)
    everywhere = seen.new_ones(seen.shape[:2])
    read = model.text_encoder(**tokens, encoder_hidden_states=seen, encoder_attention_mask=everywhere)
    return model.itm_head(read.last_hidden_state[:, 0, :])


def looks(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> list[Any]:
    """The cross-attention of the encoder that reads a text with the picture in view, a row for each word itself."""
    seen = model.vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state
    ends = [words.new_full((1, 1), token) for token in (tokenizer.cls_token_id, tokenizer.sep_token_id)]
    read = words.new_empty((1, words.shape[1] + 2))
    read[:, :1], read[:, 1:-1], read[:, -1:] = ends[0], words, ends[1]
    made = model.text_encoder(
        input_ids=read, attention_mask=read.new_ones(read.shape), encoder_hidden_states=seen,
        encoder_attention_mask=seen.new_ones(seen.shape[:2]), output_attentions=True,
    )  # fmt: skip
    return [layer[0, :, 1:-1] for layer in made.cross_attentions]


KIND = Kind(
    id="blip-itm",
    title="BLIP image-text matching",
    does=(MATCH, WORDS),
    architecture="BlipForImageTextRetrieval",
    model_type="blip",
    processor="BlipProcessor",
    tensors=("vision_model.", "text_encoder.", "itm_head.", "vision_proj.", "text_proj."),
    positions=positions,
    image_states=_image_states,
    image_features=_image_features,
    text_features=_text_features,
    fits=_fits,
    looks=looks,
    follows=READ,
    published=(
        Published(repo="Salesforce/blip-itm-base-coco", gigabytes=0.90, licence="BSD-3-Clause"),
        Published(repo="Salesforce/blip-itm-large-coco", gigabytes=1.79, licence="BSD-3-Clause"),
    ),
)
