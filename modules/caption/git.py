"""GIT: one transformer that reads the picture's patches and then the words, as a language model does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from modules.caption.kind import CAPTION, PROMPT, VISION, Config, Kind, Published, at, whole_number


def _positions(config: Config) -> int | None:
    return whole_number(at(config, "max_position_embeddings"))


def _inputs(processor: Any, images: Sequence[Image.Image], text: str) -> Mapping[str, Any]:
    """Pixels, and the beginning of the caption: the sign for a beginning, then the text, without the sign for an end."""
    found = dict(processor(images=list(images), return_tensors="pt"))
    if text:
        tokenizer = processor.tokenizer
        words = tokenizer(text=[text] * len(images), add_special_tokens=False, return_tensors="pt").input_ids
        begin = words.new_full((len(images), 1), tokenizer.cls_token_id)
        found["input_ids"] = words.new_empty((len(images), words.shape[1] + 1))
        found["input_ids"][:, :1], found["input_ids"][:, 1:] = begin, words
    return found


def _looks(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> list[Any]:
    """GIT reads patches and words in one row, so this is the part of its self-attention that goes from words to patches."""
    begun = inputs.get("input_ids")
    start = words.new_full((1, 1), tokenizer.cls_token_id) if begun is None else begun
    read = words.new_empty((1, start.shape[1] + words.shape[1] - 1))
    read[:, : start.shape[1]], read[:, start.shape[1] :] = start, words[:, :-1]
    made = model(pixel_values=inputs["pixel_values"], input_ids=read, attention_mask=read.new_ones(read.shape), output_attentions=True)
    patches = made.attentions[0].shape[-1] - read.shape[1]
    return [layer[0, :, patches + start.shape[1] - 1 :, :patches] for layer in made.attentions]


def _reads(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> Any:
    """Of its one row of patches and words, what stands for the words."""
    read = words.roll(1, 1)
    read[:, 0] = tokenizer.cls_token_id
    made = model(pixel_values=inputs["pixel_values"], input_ids=read, attention_mask=read.new_ones(read.shape))
    return made.logits[:, -words.shape[1] :]


KIND = Kind(
    id="git",
    title="GIT",
    does=(CAPTION, PROMPT),
    architecture="GitForCausalLM",
    model_type="git",
    processor="GitProcessor",
    tensors=("git.", "output."),
    positions=_positions,
    inputs=_inputs,
    returns_prompt=True,
    looks=_looks,
    reads=_reads,
    adapts={
        "text": r"git\.encoder\.layer\.\d+\.(attention|intermediate|output)\..*?(query|key|value|dense)",
        VISION: r"git\.image_encoder\..*?(q_proj|k_proj|v_proj|out_proj|fc1|fc2)",
    },
    words=("git.embeddings.word_embeddings", "output"),
    published=(
        Published(repo="microsoft/git-base-coco", gigabytes=0.71, licence="MIT"),
        Published(repo="microsoft/git-base-textcaps", gigabytes=0.71, licence="MIT"),
        Published(repo="microsoft/git-large-coco", gigabytes=1.58, licence="MIT"),
    ),
)
