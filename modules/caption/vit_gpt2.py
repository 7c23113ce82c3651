"""A vision encoder and a text decoder side by side (VisionEncoderDecoder), such as ViT-GPT2. It begins every caption itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules.caption.kind import CAPTION, VISION, Config, Kind, Published, at, whole_number


def _positions(config: Config) -> int | None:
    decoder = at(config, "decoder") or {}
    return whole_number(at(decoder, "n_positions")) or whole_number(at(decoder, "max_position_embeddings"))


def _decoded(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any, **more: Any) -> Any:
    """What the decoder says of words that are there already. Each row stands before the word that it writes."""
    read = words.roll(1, 1)
    read[:, 0] = model.config.decoder_start_token_id or model.generation_config.decoder_start_token_id or tokenizer.bos_token_id
    return model(pixel_values=inputs["pixel_values"], decoder_input_ids=read, **more)


def _looks(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> list[Any]:
    """The decoder's cross-attention."""
    return [layer[0] for layer in _decoded(model, tokenizer, inputs, words, output_attentions=True).cross_attentions]


def _reads(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> Any:
    return _decoded(model, tokenizer, inputs, words).logits


KIND = Kind(
    id="vit-gpt2",
    title="Vision encoder and text decoder",
    does=(CAPTION,),
    architecture="VisionEncoderDecoderModel",
    model_type="vision-encoder-decoder",
    processor="",
    tensors=("encoder.", "decoder."),
    positions=_positions,
    looks=_looks,
    reads=_reads,
    adapts={
        "text": r"decoder\..*?(c_attn|q_attn|c_proj|c_fc|q_proj|k_proj|v_proj|out_proj|query|key|value|dense)",
        VISION: r"encoder\..*?(q_proj|k_proj|v_proj|o_proj|query|key|value|dense|fc1|fc2)",
    },
    published=(
        Published(
            repo="nlpconnect/vit-gpt2-image-captioning",
            gigabytes=0.98,
            licence="Apache-2.0",
            note="published as a pickle: convert its pytorch_model.bin to model.safetensors first",
        ),
    ),
)
