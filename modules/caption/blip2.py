"""BLIP-2 with an OPT language model: a frozen vision tower, 32 learnt queries between, and a language model that writes.

Snapshots from before transformers 4.46 say nothing about the places that the queries take in the text; without them the model
does not see the picture and says so to nobody. `_complete` adds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from modules.caption.kind import ANSWER, CAPTION, PROMPT, VISION, Config, Kind, Published, at, whole_number

IMAGE_TOKEN = "<image>"
PAD_TO = 64
_OPT = "MIT; its language model: OPT licence, not for commerce"


def _positions(config: Config) -> int | None:
    return whole_number(at(config, "text_config", "max_position_embeddings"))


def _inputs(processor: Any, images: Sequence[Image.Image], text: str) -> Mapping[str, Any]:
    """Pixels, and the places of the queries with the text behind them."""
    return processor(images=list(images), text=[text] * len(images), return_tensors="pt")


def _complete(model: Any, processor: Any) -> None:
    if processor.num_query_tokens is None:
        processor.num_query_tokens = model.config.num_query_tokens
    if model.config.image_token_index is None:
        model.config.image_token_index = processor.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    if model.config.image_token_index >= model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(processor.tokenizer), pad_to_multiple_of=PAD_TO)


def _looks(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> list[Any]:
    """What the queries look at, weighted by how much each word looks at each query: one map for each layer in which queries see.

    The language model meets the picture only through the queries; its attention to them is the mean over its layers and heads.
    """
    text = inputs["input_ids"]
    read = text.new_empty((1, text.shape[1] + words.shape[1]))
    read[:, : text.shape[1]], read[:, text.shape[1] :] = text, words
    made = model(
        pixel_values=inputs["pixel_values"], input_ids=read, attention_mask=read.new_ones(read.shape), output_attentions=True
    )  # fmt: skip
    places = (read[0] == model.config.image_token_index).nonzero()[:, 0]
    layers = made.language_model_outputs.attentions
    each: Any = sum(layer[0].float().mean(0) for layer in layers) / len(layers)
    to_queries = each[text.shape[1] - 1 : -1][:, places]
    weights = to_queries / to_queries.sum(-1, keepdim=True)
    seen = made.vision_outputs.last_hidden_state
    asked = model.query_tokens.expand(1, -1, -1)  # once more, for the model does not hand these maps through
    looked = model.qformer(query_embeds=asked, encoder_hidden_states=seen.to(asked.dtype), output_attentions=True)
    return [weights @ layer[0].float() for layer in looked.cross_attentions]


def _reads(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> Any:
    """The language model's, behind the places of the queries."""
    text = inputs["input_ids"]
    read = text.new_empty((text.shape[0], text.shape[1] + words.shape[1]))
    read[:, : text.shape[1]], read[:, text.shape[1] :] = text, words
    made = model(pixel_values=inputs["pixel_values"], input_ids=read, attention_mask=read.new_ones(read.shape))
    return made.logits[:, text.shape[1] - 1 : -1]


KIND = Kind(
    id="blip-2",
    title="BLIP-2",
    does=(CAPTION, PROMPT, ANSWER),
    architecture="Blip2ForConditionalGeneration",
    model_type="blip-2",
    processor="Blip2Processor",
    tensors=("vision_model.", "qformer.", "language_model."),
    positions=_positions,
    template="Question: {} Answer:",
    inputs=_inputs,
    ends=lambda model: model.language_model.generation_config.eos_token_id,
    returns_prompt=True,
    complete=_complete,
    looks=_looks,
    reads=_reads,
    adapts={
        "qformer": r"(qformer\.encoder\.layer\.\d+\..*?(query|key|value|dense)|language_projection)",
        "language_model": r"language_model\..*?layers\.\d+\.(self_attn\.(q_proj|k_proj|v_proj|out_proj)|fc1|fc2)",
        VISION: r"vision_model\.encoder\.layers\.\d+\.(self_attn|mlp)\.(qkv|projection|fc1|fc2)",
    },
    published=(
        Published(repo="Salesforce/blip2-opt-2.7b", gigabytes=15.0, licence=_OPT),
        Published(repo="Salesforce/blip2-opt-2.7b-coco", gigabytes=15.0, licence=_OPT, does=(CAPTION, PROMPT)),
    ),
)
