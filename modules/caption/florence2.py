"""Florence-2: a vision tower, and an encoder and decoder of text that are told by a task's sign what to do.

The signs and what their answers mean are those of its processor, which also reads places out of the tokens. Snapshots that bring code of
their own (microsoft/Florence-2-*) are not these: transformers' own class has its weights under other names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from modules.caption.kind import A_REGION, CAPTION, FIND, OCR, SOME_WORDS, Config, Kind, Place, Published, Task, at, whole_number

USUAL = "<CAPTION>"


def _task(sign: str, reads: str = "", *, places: bool = False) -> Task:
    return Task(text=f"<{sign.upper()}>" + ("{}" if reads else ""), reads=reads, places=places)


TASKS: Mapping[str, Task] = {
    **{name: _task(name) for name in ("caption", "detailed_caption", "more_detailed_caption", "ocr")},
    **{name: _task(name, places=True) for name in ("od", "dense_region_caption", "region_proposal", "ocr_with_region")},
    **{
        name: _task(name, SOME_WORDS, places=True)
        for name in ("caption_to_phrase_grounding", "open_vocabulary_detection", "referring_expression_segmentation")
    },
    **{name: _task(name, A_REGION) for name in ("region_to_category", "region_to_description", "region_to_ocr")},
    "region_to_segmentation": _task("region_to_segmentation", A_REGION, places=True),
}


def _positions(config: Config) -> int | None:
    return whole_number(at(config, "text_config", "max_position_embeddings"))


def _inputs(processor: Any, images: Sequence[Image.Image], text: str) -> Mapping[str, Any]:
    """Pixels, and the task in words behind the places of the picture."""
    return processor(images=list(images), text=[text or USUAL] * len(images), return_tensors="pt")


def _places(processor: Any, tokens: Sequence[int], text: str, size: tuple[int, int]) -> list[Place]:
    """As the processor reads them: boxes, four corners around text, or outlines."""
    sign = text[: text.find(">") + 1]
    found: Mapping[str, Any] = processor.post_process_generation(sequence=[*tokens], task=sign, image_size=size)[sign]
    boxes = found.get("bboxes", ())
    places = [
        Place(label=str(label), points=((box[0], box[1]), (box[2], box[3])))
        for box, label in zip(boxes, found.get("bboxes_labels", found.get("labels", ())) if boxes else (), strict=True)
    ]
    quads = found.get("quad_boxes", ())
    places += [Place(label=label, points=_corners(quad)) for quad, label in zip(quads, found["labels"] if quads else (), strict=True)]
    outlines = found.get("polygons", ())
    labels = found.get("polygons_labels", found.get("labels", ())) if outlines else ()
    each = [(outline, label) for parts, label in zip(outlines, labels, strict=True) for outline in parts]
    return places + [Place(label=label, points=_corners(outline)) for outline, label in each if len(outline) >= 6]


def _corners(flat: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple((flat[n], flat[n + 1]) for n in range(0, len(flat) - 1, 2))


def _looks(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> list[Any]:
    """The decoder's cross-attention to the places of the picture. Each row stands before the word that it writes."""
    read = words.roll(1, 1)
    read[:, 0] = model.generation_config.decoder_start_token_id or model.config.text_config.decoder_start_token_id
    given = {name: inputs[name] for name in ("pixel_values", "input_ids", "attention_mask")}
    made = model(**given, decoder_input_ids=read, output_attentions=True)
    patches = (inputs["input_ids"][0] == model.config.image_token_id).nonzero()[:, 0]
    return [layer[0][..., patches] for layer in made.cross_attentions]


KIND = Kind(
    id="florence-2",
    title="Florence-2",
    does=(CAPTION, FIND, OCR),
    architecture="Florence2ForConditionalGeneration",
    model_type="florence2",
    processor="Florence2Processor",
    tensors=("model.vision_tower.", "model.multi_modal_projector.", "model.language_model."),
    positions=_positions,
    tasks=TASKS,
    inputs=_inputs,
    prompt_length=lambda inputs: 1,
    places=_places,
    looks=_looks,
    max_length=512,
    published=(
        Published(repo="florence-community/Florence-2-base", gigabytes=0.93, licence="MIT"),
        Published(repo="florence-community/Florence-2-base-ft", gigabytes=0.93, licence="MIT"),
        Published(repo="florence-community/Florence-2-large", gigabytes=3.1, licence="MIT"),
        Published(repo="florence-community/Florence-2-large-ft", gigabytes=3.1, licence="MIT"),
    ),
)
