"""`Kind`: what one kind of captioner is: its class in transformers, how it is recognised, what it can do, how its inputs are made.

A kind is data and a few small functions over objects of transformers; nothing here imports torch. Start reading at `Kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

CAPTION, PROMPT, ANSWER, MATCH, WORDS = "caption", "prompt", "answer", "match", "words"
FIND, OCR, TAGS = "find", "ocr", "tags"  # places in the picture; text that stands in it; tags with chances
ATTEND = "attend"  # heat maps for a text that is there already
WRITTEN, READ = "written", "read"
NO_WORDS, SOME_WORDS, A_REGION = "", "words", "region"
REPLY = "<reply>"  # in a text for a model that is told what to do: what stands behind it is how its answer begins
VISION = "vision"  # the part of a captioner that LoRAs leave alone unless it is named
Config = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A model of a kind that many people use. repo: on the hub; gigabytes: of its weights in float32; licence: of the weights.

    does: what it was trained for, where that is less than its kind can do. note: what a person should know before fetching it.
    """

    repo: str
    gigabytes: float
    licence: str
    does: tuple[str, ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        """What it is called here: the last part of its address."""
        return self.repo.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a kind does when it is told to. text: what it is given; "{}" stands for a person's words, or for a region.

    reads: which of the two it needs, if any; places: its answer names places in the picture.
    """

    text: str
    reads: str = NO_WORDS
    places: bool = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """A part of a picture. points: its corners, (x, y) in pixels of what the model was shown; a box has two, left top and right bottom."""

    label: str
    points: tuple[tuple[float, float], ...]

    @property
    def box(self) -> bool:
        return len(self.points) == 2


def _no_positions(config: Config) -> int | None:
    return None


def _prepared(processor: Any, images: Sequence[Image.Image], text: str) -> Mapping[str, Any]:
    return processor(images=list(images), return_tensors="pt")


def _ends(model: Any) -> Any:
    return model.generation_config.eos_token_id


def _prompt_length(inputs: Mapping[str, Any]) -> int:
    return inputs["input_ids"].shape[1] if "input_ids" in inputs else 1


def _nothing(model: Any, processor: Any) -> None:
    """Most models are whole as they are loaded."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One row of `CAPTIONERS`. does: of CAPTION, PROMPT (a given beginning), ANSWER, MATCH (itm and itc, or cosine), WORDS (features).

    architecture: the class in transformers; model_type: as config.json writes it; processor: the class in transformers, "" for an image
    processor and a tokenizer side by side. tensors: beginnings of names, each of which its weights must have.
    positions(config): how many text positions there are, None for no limit. template: how a question is put, "{}" stands for it.
    inputs(processor, images, text): what `generate` takes, as tensors. ends(model): token or tokens that end a caption.
    prompt_length(inputs): how many of the text positions are taken when writing begins.
    returns_prompt: what it gives begins with the tokens of the text. complete(model, processor): adds what old snapshots lack.
    num_beams, max_length: used where neither the person nor the model's generation_config.json says anything else.
    image_states, image_features, text_features, fits: for models that compare; see `matching`.
    tasks: by their names in `TASKS`, for models that are told what to do; beginning: how a beginning is put to those.
    begun(text): how the answer begins, of a text that is put to such a model; only the answer is given back then, behind this.
    places(processor, tokens, text, size): the places that new tokens name, size: (width, height) of the picture in pixels.
    grid(model, tokenizer, inputs): (rows, columns) of the patches of `looks`, None for a square as the configuration says.
    looks(model, tokenizer, inputs, words): for heat maps; inputs: as `inputs` makes them, on the device; words: (1,T) tokens; gives a
    layer's attention of each word over what was seen, (heads, T, patches), patches behind signs that stand for no place; see `attention`.
    blind: why there are none. follows: whose words have heat maps, those of what is written, or of the question or text that is read.
    Of those that can be adapted (LoRA): reads(model, tokenizer, inputs, words): what the model thinks of texts that are there already,
    logits (B,T,V), those at t for the word at t; words: (B,T) tokens, begun and ended as the kind writes them, filled up behind their end;
    adapts: part of the model, as people call it -> which layers of it, as a regular expression over whole names; VISION is taken only when
    somebody says so; words: names of its embedding and its output layer, where its tokenizer can lack words.
    """

    id: str
    title: str
    does: tuple[str, ...]
    architecture: str
    model_type: str
    processor: str
    tensors: tuple[str, ...]
    published: tuple[Published, ...] = ()
    positions: Callable[[Config], int | None] = _no_positions
    template: str = "{}"
    beginning: str = "{}"
    tasks: Mapping[str, Task] = field(default_factory=dict[str, Task])
    inputs: Callable[[Any, Sequence[Image.Image], str], Mapping[str, Any]] = _prepared
    ends: Callable[[Any], Any] = _ends
    prompt_length: Callable[[Mapping[str, Any]], int] = _prompt_length
    returns_prompt: bool = False
    begun: Callable[[str], str] | None = None
    places: Callable[[Any, Sequence[int], str, tuple[int, int]], list[Place]] | None = None
    complete: Callable[[Any, Any], None] = _nothing
    num_beams: int = 3
    max_length: int = 77
    image_states: Callable[[Any, Any], Any] | None = None
    image_features: Callable[[Any, Any], Any] | None = None
    text_features: Callable[[Any, Mapping[str, Any]], Any] | None = None
    fits: Callable[[Any, Any, Mapping[str, Any]], Any] | None = None
    looks: Callable[[Any, Any, Mapping[str, Any], Any], list[Any]] | None = None
    grid: Callable[[Any, Any, Mapping[str, Any]], tuple[int, int]] | None = None
    blind: str = ""
    follows: str = WRITTEN
    reads: Callable[[Any, Any, Mapping[str, Any], Any], Any] | None = None
    adapts: Mapping[str, str] = field(default_factory=dict[str, str])
    words: tuple[str, str] | None = None


def at(config: Config, *names: str) -> Any:
    """config[a][b]..., None when there is no such place."""
    found: Any = config
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def whole_number(value: Any) -> int | None:
    """The value when it is a whole number above zero."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
