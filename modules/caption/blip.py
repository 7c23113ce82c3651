"""BLIP, captioning: a vision transformer and a text decoder that looks at it. Base and large differ in their config only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from modules.caption.kind import CAPTION, PROMPT, VISION, Config, Kind, Published, at, whole_number


def positions(config: Config) -> int | None:
    """How many text positions BLIP's decoder has."""
    return whole_number(at(config, "text_config", "max_position_embeddings"))


def ends(model: Any) -> int:
    """The token with which BLIP's `generate` ends, whatever its decoder's own configuration says."""
    return model.config.text_config.sep_token_id


def _prompt_length(inputs: Mapping[str, Any]) -> int:
    """`generate` leaves the text's last token out, the sign for its end."""
    return inputs["input_ids"].shape[1] - 1 if "input_ids" in inputs else 1


def _inputs(processor: Any, images: Sequence[Image.Image], text: str) -> Mapping[str, Any]:
    """Pixels, and the beginning of the caption when there is one. `generate` writes into input_ids: they are made anew each time."""
    if not text:
        return processor(images=list(images), return_tensors="pt")
    return processor(images=list(images), text=[text] * len(images), return_tensors="pt")


def _decoded(model: Any, inputs: Mapping[str, Any], words: Any, **more: Any) -> Any:
    """What the decoder says of words that are there already. Each row stands before the word that it writes."""
    seen = model.vision_model(pixel_values=inputs["pixel_values"]).last_hidden_state
    read = words.roll(1, 1)
    read[:, 0] = model.config.text_config.bos_token_id
    return model.text_decoder(read, encoder_hidden_states=seen, **more)


def _looks(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> list[Any]:
    """The decoder's cross-attention."""
    return [layer[0] for layer in _decoded(model, inputs, words, output_attentions=True).cross_attentions]


def _reads(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> Any:
    return _decoded(model, inputs, words).logits


KIND = Kind(
    id="blip",
    title="BLIP captioning",
    does=(CAPTION, PROMPT),
    architecture="BlipForConditionalGeneration",
    model_type="blip",
    processor="BlipProcessor",
    tensors=("vision_model.", "text_decoder."),
    positions=positions,
    inputs=_inputs,
    ends=ends,
    prompt_length=_prompt_length,
    looks=_looks,
    reads=_reads,
    adapts={
        "text": r"text_decoder\.bert\.encoder\.layer\.\d+\.(attention|crossattention|intermediate|output)\..*?(query|key|value|dense)",
        VISION: r"vision_model\.encoder\.layers\.\d+\.(self_attn|mlp)\.(qkv|projection|fc1|fc2)",
    },
    words=("text_decoder.bert.embeddings.word_embeddings", "text_decoder.cls.predictions.decoder"),
    published=(
        Published(repo="Salesforce/blip-image-captioning-base", gigabytes=0.99, licence="BSD-3-Clause"),
        Published(repo="Salesforce/blip-image-captioning-large", gigabytes=1.88, licence="BSD-3-Clause"),
    ),
)
