"""What a captioner is asked: pictures, and a caption, an answer to a question, or how well some texts fit.

Frozen data, no torch. Start reading at `CaptionRequest`; `ResolvedCaption` is what a job row holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from modules.faults import RequestFault
from modules.knobs import Knob, coerce, knobs_of
from modules.request.basics import SEED_LIMIT
from modules.request.extras import Source
from modules.request.tagging import TagFields, Tagging

CAPTIONS = "caption"  # the kind of job
INT8, FOUR_BIT = QUANTISED = ("int8", "4-bit")
PRECISIONS = ("auto", "float32", "float16", "bfloat16", *QUANTISED)
TORCH, ONNX = BACKENDS = ("torch", "onnx")
AS_THE_MODEL, STRETCH, CROP, LETTERBOX = FITS = ("model", "stretch", "crop", "letterbox")
TEXT_CHARS = 2000
# Name of a task, as Florence-2 has them -> what a model does that can do it. Models that are told what to do have some of these.
TASKS: Mapping[str, str] = {
    "caption": "write captions",
    "detailed_caption": "describe in detail",
    "more_detailed_caption": "describe in a paragraph",
    "tags": "list tags",
    "od": "find objects",
    "dense_region_caption": "describe regions",
    "region_proposal": "propose regions",
    "ocr": "read text",
    "ocr_with_region": "read text and show where it stands",
    "caption_to_phrase_grounding": "find the phrases of a text",
    "open_vocabulary_detection": "find what a text names",
    "referring_expression_segmentation": "outline what a text names",
    "region_to_segmentation": "outline what lies in a region",
    "region_to_category": "name what lies in a region",
    "region_to_description": "describe a region",
    "region_to_ocr": "read text in a region",
}
MOST_TEXTS = 1000


@dataclass(frozen=True, kw_only=True)
class CaptionFields:
    """What any captioner is asked. None: as the model's own generation_config.json says, else what suits its kind."""

    images: Annotated[list[str], Knob("Pictures", help="References to pictures that were sent.")] = field(default_factory=list[str])
    image_names: Annotated[list[str], Knob("Names of the pictures", help="What their files were called.")] = field(
        default_factory=list[str]
    )
    model: Annotated[
        str, Knob("Captioner", max_chars=500, help="Its folder's name; empty takes your own first one; clip adds ranked words.")
    ] = ""
    adapter: Annotated[
        str, Knob("Adapter", max_chars=500, help="A LoRA for the captioner, such as one for another language; its folder's name.")
    ] = ""
    prompt: Annotated[str, Knob("Beginning", max_chars=TEXT_CHARS, help="The caption goes on from here, such as a photo of.")] = ""
    question: Annotated[str, Knob("Question", max_chars=TEXT_CHARS, help="Answered instead of a caption, by models that can.")] = ""
    texts: Annotated[list[str], Knob("Texts to compare", help="How well each fits the picture, by models that compare.")] = field(
        default_factory=list[str]
    )
    search: Annotated[
        str, Knob("Folder to search", max_chars=4000, help="In place of images: its pictures, and of folders in it, ranked for each text.")
    ] = ""
    task: Annotated[
        str, Knob("Task", choices=("", *TASKS), help="For models that are told what to do; some need words or a region in prompt.")
    ] = ""
    caption: Annotated[
        str, Knob("Written caption", max_chars=TEXT_CHARS, help="Nothing is written; heat maps follow the words of this text.")
    ] = ""
    preset: Annotated[
        str, Knob("Preset", max_chars=100, help="What is left open is as this file of ways of writing, kept with the model, says.")
    ] = ""
    min_length: Annotated[int | None, Knob("Min length", 0, 512, ui=(0, 128), step=1, help="Fewest tokens written.")] = None
    max_length: Annotated[int | None, Knob("Max length", 1, 512, ui=(1, 256), step=1, help="Most tokens written.")] = None
    num_beams: Annotated[int | None, Knob("Beams", 1, 10, step=1, help="Captions followed side by side; 1 writes word by word.")] = None
    do_sample: Annotated[bool | None, Knob("Sample", help="Draw words by their chance instead of taking the likeliest.")] = None
    top_k: Annotated[int | None, Knob("Top k", 0, 1000, ui=(0, 200), step=1, help="Draw from so many words; 0 is no limit.")] = None
    top_p: Annotated[float | None, Knob("Top p", 0.01, 1, step=0.01, help="Draw from the words that make up this much chance.")] = None
    temperature: Annotated[
        float | None, Knob("Temperature", 0.01, 10, ui=(0.1, 2), step=0.05, help="Below 1 safer, above 1 wilder; needs Sample.")
    ] = None
    repetition_penalty: Annotated[
        float | None, Knob("Repetition penalty", 0.1, 10, ui=(1, 2), step=0.05, help="Above 1 avoids words that were written.")
    ] = None
    length_penalty: Annotated[
        float | None, Knob("Length penalty", -10, 10, ui=(-2, 2), step=0.1, help="With beams: above 0 favours longer captions.")
    ] = None
    early_stopping: Annotated[bool | None, Knob("Early stopping", help="With beams: end once there are enough captions.")] = None
    num_return_sequences: Annotated[
        int, Knob("Candidates", 1, 10, step=1, help="Captions for each picture, best first; needs as many beams, or Sample.")
    ] = 1
    seed: Annotated[int, Knob("Seed", -1, SEED_LIMIT, help="For Sample; each picture begins with it. -1 draws one.")] = -1
    batch_size: Annotated[int, Knob("Pictures at once", 1, 64, step=1, help="In one pass; a picture that is sampled goes alone.")] = 8
    precision: Annotated[
        str, Knob("Precision", choices=PRECISIONS, help="Number type of the weights; auto takes what the device does well.")
    ] = "auto"
    backend: Annotated[
        str, Knob("Backend", choices=BACKENDS, help="What runs the captioner; onnx takes what was exported with models export-captioner.")
    ] = TORCH
    background: Annotated[
        str, Knob("Background", max_chars=40, help="Colour behind what is transparent, as in HTML; empty takes white.")
    ] = ""
    fit: Annotated[str, Knob("Fit", choices=FITS, help="How a picture is brought to the model's size; model: as it was made for.")] = (
        AS_THE_MODEL
    )
    attention: Annotated[bool, Knob("Heat maps", help="Keep where the model looks at for each word.")] = False
    show_input: Annotated[bool, Knob("Show what the model sees", help="Keep the picture as the model gets it, and its numbers.")] = False

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From plain data (API body, form, job row). Unknown names are ignored. Raises RequestFault."""
        knobs = knobs_of(cls)
        return cls(**{name: coerce(knobs[name], value) for name, value in data.items() if name in knobs})

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class CaptionRequest(TagFields, CaptionFields):
    """What was asked for, in fields of every captioner and of taggers."""


@dataclass(frozen=True, kw_only=True)
class CaptionModel:
    """A captioner as a job needs it. name: as people call it; path: its folder; kind: an id in `modules.caption.CAPTIONERS`.

    backend: what runs it, one of BACKENDS.
    """

    name: str
    path: str
    kind: str
    backend: str = TORCH


@dataclass(frozen=True, kw_only=True)
class CaptionAdapter:
    """An adapter as a job needs it. name: as people call it; path: its folder."""

    name: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How a caption is written; names and meaning as transformers' GenerationConfig, lengths are those of the new tokens alone."""

    min_length: int
    max_length: int
    num_beams: int
    do_sample: bool
    top_k: int
    top_p: float
    temperature: float
    repetition_penalty: float
    length_penalty: float
    early_stopping: bool
    num_return_sequences: int = 1


@dataclass(frozen=True, kw_only=True)
class RankedWords:
    """Words from lists that fit a picture. scorer: what compares; most: entries read of a list, 0 for all; skip: lists left out.

    ranks: say the cosine with each word.
    """

    scorer: CaptionModel
    most: int
    skip: tuple[str, ...] = ()
    ranks: bool = False


@dataclass(frozen=True, kw_only=True)
class ResolvedCaption:
    """Nothing left open. task: "caption", "answer", "match" or "attend"; text: the beginning, the question as the model wants it put, or
    the written caption whose words are followed.

    adapter: put on the captioner for this job, None for none; before: what was asked when the written caption came; places: what is
    asked for gives places in the picture; tagging: how tags become a text, for a tagger.
    search: the folder whose pictures are ranked, "" for none.
    n_iter: how many pictures; words: ranked words behind each caption, None for none; keep: the captioner stays in memory afterwards.
    """

    title: str
    task: str
    model: CaptionModel
    sources: tuple[Source, ...]
    writing: Writing
    text: str = ""
    texts: tuple[str, ...] = ()
    words: RankedWords | None = None
    seed: int = 0
    batch_size: int = 8
    precision: str = "auto"
    background: str = "#ffffff"
    keep: bool = False
    fit: str = AS_THE_MODEL
    attention: bool = False
    show_input: bool = False
    search: str = ""
    before: str = ""
    places: bool = False
    adapter: CaptionAdapter | None = None
    tagging: Tagging | None = None
    n_iter: int = 1
    warnings: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From a job row. Raises RequestFault when the row was written by a version with other fields."""
        try:
            values: dict[str, Any] = dict(data)
            values |= {"model": CaptionModel(**data["model"]), "writing": Writing(**data["writing"])}
            values |= {"sources": tuple(Source(**row) for row in data["sources"]), "texts": tuple(data["texts"])}
            values["warnings"] = tuple(data["warnings"])
            values["adapter"] = CaptionAdapter(**data["adapter"]) if data.get("adapter") else None
            if (tagging := data.get("tagging")) is not None:
                values["tagging"] = Tagging.from_data(tagging)
            if (words := data["words"]) is not None:
                said: dict[str, Any] = {**words, "scorer": CaptionModel(**words["scorer"]), "skip": tuple(words["skip"])}
                values["words"] = RankedWords(**said)
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise RequestFault("request", f"was written by another version of the program: {error}") from error
