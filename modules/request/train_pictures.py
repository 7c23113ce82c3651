"""What is learnt from and what is looked at on the way: the fields of a training that are about pictures, captions, samples and saving.

Names follow kohya's scripts where one exists. `modules.request.train.TrainConfig` is made of these and of `train_learning`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from modules.knobs import Knob
from modules.request.basics import SEED_LIMIT
from modules.request.train_learning import MOST_STEPS

SAVE_PRECISIONS = ("fp16", "bf16", "float32")
FORMATS = ("kohya", "diffusers", "both")
OWN = 0  # a size that follows from the model
LEAST = {"resolution": 32, "min_bucket_reso": 16, "max_bucket_reso": 16, "bucket_reso_steps": 8}  # px, of sizes that do not


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Sizes, crops, repeats, caches."""

    resolution: Annotated[
        int,
        Knob(
            "Resolution",
            0,
            4096,
            ui=(0, 1536),
            step=64,
            help="Side of a square picture; others have its area. 0: what the model was made for.",
        ),
    ] = OWN
    any_resolution: Annotated[bool, Knob("Any resolution", help="Also one that the model was not made for.")] = False
    enable_bucket: Annotated[bool, Knob("Keep shapes", help="Pictures keep about their shape, in buckets of one size each.")] = True
    min_bucket_reso: Annotated[int, Knob("Shortest side", 0, 4096, ui=(0, 2048), step=64, help="0: half the resolution.")] = OWN
    max_bucket_reso: Annotated[int, Knob("Longest side", 0, 8192, ui=(0, 4096), step=64, help="0: twice the resolution.")] = OWN
    bucket_reso_steps: Annotated[
        int, Knob("Steps of sides", 0, 512, ui=(0, 128), step=8, help="0: an eighth of the resolution, 64 at most.")
    ] = OWN
    bucket_no_upscale: Annotated[bool, Knob("Never enlarge", help="Small pictures are trained in their own size.")] = False
    smart_crop: Annotated[bool, Knob("Smart crop", help="Cuts to the subject where there is no crop of your own.")] = True
    flip_aug: Annotated[bool, Knob("Flip", help="Half of the time mirrored; not for faces, text, or what has a side.")] = False
    repeats: Annotated[int, Knob("Repeats", 1, 10_000, ui=(1, 100), step=1, help="How often an epoch shows each picture.")] = 1
    cache_latents: Annotated[bool, Knob("Cache pictures", help="Each is encoded once; much faster, some disk.")] = True
    cache_text: Annotated[bool, Knob("Cache captions", help="Each is encoded once; not while the text encoder is trained.")] = True


@dataclass(frozen=True, kw_only=True)
class Captions:
    """What the pictures are called while training."""

    trigger_word: Annotated[
        str, Knob("Trigger word", max_chars=200, help="Put before every caption, and the caption of those without.")
    ] = ""
    caption_separator: Annotated[str, Knob("Separator of tags", max_chars=10)] = ","
    shuffle_caption: Annotated[bool, Knob("Shuffle tags", help="Another order each time.")] = False
    keep_tokens: Annotated[
        int, Knob("Tags that stay in front", 0, 1000, ui=(0, 10), step=1, help="When tags are shuffled or left out.")
    ] = 0
    caption_dropout: Annotated[float, Knob("Caption dropout", 0, 1, step=0.01, help="Share of times without any caption.")] = 0.0
    caption_tag_dropout: Annotated[float, Knob("Tag dropout", 0, 1, step=0.01, help="Share of tags left out each time.")] = 0.0


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Pictures of the class, made by the model itself, so that it does not forget the class."""

    prior_preservation: Annotated[bool, Knob("Prior preservation", help="Trains pictures of the class beside your own.")] = False
    prior_loss_weight: Annotated[float, Knob("Weight of the class", 0, 10, ui=(0, 2), step=0.1)] = 1.0
    class_prompt: Annotated[str, Knob("Class prompt", max_chars=2000, help="What the class is called, as in a photo of a cat.")] = ""
    num_class_images: Annotated[
        int, Knob("Class pictures", 0, 100_000, ui=(0, 500), step=10, help="As many are there in the end; missing ones are made.")
    ] = 100


@dataclass(frozen=True, kw_only=True)
class Watching:
    """Validation, samples, saving."""

    validation_split: Annotated[
        float, Knob("Validation", 0, 0.9, step=0.05, help="Share of pictures not trained, to see how it generalises.")
    ] = 0.0
    validate_every: Annotated[int, Knob("Validate every", 0, MOST_STEPS, ui=(0, 1000), step=10, help="Steps; 0: never.")] = 100
    sample_prompts: Annotated[
        list[str], Knob("Sample prompts", help="One picture each on the way; --n --w --h --d --l --s as in kohya's files, at the end.")
    ] = field(default_factory=list[str])
    sample_every: Annotated[int, Knob("Samples every", 0, MOST_STEPS, ui=(0, 2000), step=10, help="Steps; 0: never.")] = 250
    sample_at_first: Annotated[bool, Knob("Samples before the first step", help="To compare with.")] = False
    sample_seed: Annotated[int, Knob("Seed of samples", 0, SEED_LIMIT, help="The same each time, so that the strip can be compared.")] = 42
    sample_steps: Annotated[int, Knob("Steps of samples", 1, 1000, ui=(1, 50), step=1)] = 20
    save_every: Annotated[int, Knob("Save every", 1, MOST_STEPS, ui=(10, 2000), step=10, help="Steps; training can go on from there.")] = (
        250
    )
    save_from: Annotated[
        int, Knob("Keep files from", 0, MOST_STEPS, ui=(0, 10_000), step=10, help="Step; earlier saves leave no file to use.")
    ] = 0
    keep_last: Annotated[int, Knob("Files kept", 0, 10_000, ui=(0, 50), step=1, help="The newest of those on the way; 0 keeps all.")] = 0
    save_precision: Annotated[str, Knob("Precision of files", choices=SAVE_PRECISIONS)] = "fp16"
    save_format: Annotated[str, Knob("Format of files", choices=FORMATS, help="kohya's names are read by every program.")] = "kohya"
    tensorboard: Annotated[bool, Knob("TensorBoard log", help="Beside metrics.jsonl, in the session's log folder.")] = True
