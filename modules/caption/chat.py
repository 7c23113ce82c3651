"""Models one talks to about a picture: a message with the picture in it, put as the model's own chat template says, and a reply.

What is asked of such a model is a text: the message, and behind `REPLY` how the reply is to begin. Start reading at `conversation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from modules.caption.kind import REPLY, Task

USUAL = "Describe this picture in one sentence."
TASKS: Mapping[str, Task] = {
    "caption": Task(text=USUAL),
    "detailed_caption": Task(text="Describe this picture in detail, in a few sentences."),
    "more_detailed_caption": Task(text="Describe this picture in a long paragraph: what there is, where, colours, light, style and mood."),
    "tags": Task(text="List what this picture shows as short tags between commas, the most important first. Write nothing else."),
    "ocr": Task(text="Write down all text that stands in this picture, and nothing else."),
}


def begun(text: str) -> str:
    """How the reply begins, of a text that is put to the model; "" where that is left to it."""
    return text.partition(REPLY)[2].strip()


def conversation(processor: Any, text: str) -> str:
    """The text as the model's chat template puts it, a sign for the picture in it, up to where the reply goes on."""
    message = text.partition(REPLY)[0].strip() or USUAL
    turns: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": message}]}]
    if not (reply := begun(text)):
        return processor.apply_chat_template(turns, add_generation_prompt=True)
    turns.append({"role": "assistant", "content": [{"type": "text", "text": reply}]})
    return processor.apply_chat_template(turns, continue_final_message=True)


def inputs(processor: Any, images: Sequence[Image.Image], text: str) -> Mapping[str, Any]:
    """Pixels and tokens, each picture with the same conversation. Shorter rows begin with padding, as writing goes on at their end."""
    prompt = conversation(processor, text)
    rows = [[image] for image in images]
    return processor(images=rows, text=[prompt] * len(rows), padding=True, padding_side="left", return_tensors="pt")


def complete(model: Any, processor: Any) -> None:
    """Raises ValueError without a chat template: the model would be asked in a way that it was not made for."""
    if not processor.chat_template:
        raise ValueError("it has no chat template (chat_template.json or .jinja), so that nothing can be asked of it")


def to_picture(model: Any, given: Mapping[str, Any], words: Any, token: int) -> list[Any]:
    """A layer's attention of each word to the places of the picture: [(heads, T, places), ...], of self-attention.

    given: the inputs of one picture; words: (1,T) tokens of the reply; token: the sign that stands for a piece of the picture.
    """
    text = given["input_ids"]
    read = text.new_empty((1, text.shape[1] + words.shape[1]))
    read[:, : text.shape[1]], read[:, text.shape[1] :] = text, words
    rest = {name: value for name, value in given.items() if name not in ("input_ids", "attention_mask")}
    if (types := rest.get("mm_token_type_ids")) is not None:
        rest["mm_token_type_ids"] = types.new_zeros(read.shape)
        rest["mm_token_type_ids"][:, : text.shape[1]] = types
    made = model(**rest, input_ids=read, attention_mask=read.new_ones(read.shape), output_attentions=True)
    places = (text[0] == token).nonzero()[:, 0]
    return [layer[0, :, text.shape[1] - 1 : -1][..., places] for layer in made.attentions]
