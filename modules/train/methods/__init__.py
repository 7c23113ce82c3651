"""What can be trained, one row a method: small networks, whole models, words, captioners.

    captioner, captioner_files              a LoRA on a captioner, with words of another language
    dreambooth, whole_model                 the model's own weights, in two stages
    inversion, new_word                     a word

LoRAs on models that make pictures, and what all methods on those do alike, are in `modules.train.networks`.
Start reading at `make_trainee`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from modules.caption.loading import Captioner
from modules.families import Family
from modules.registry import Registry
from modules.request.train import TrainConfig
from modules.request.train_learning import DREAMBOOTH, LORA, TEXTUAL_INVERSION
from modules.train.methods.captioner import CaptionerLora
from modules.train.methods.dreambooth import DreamBooth
from modules.train.methods.inversion import TextualInversion
from modules.train.networks.lora import LoraTrainee
from modules.train.trainee import Trainee


def _trainees() -> Registry[Callable[[TrainConfig, Any, Family, str], Trainee]]:
    rows: Registry[Callable[[TrainConfig, Any, Family, str], Trainee]] = Registry("method")
    for name, make in ((LORA, LoraTrainee), (DREAMBOOTH, DreamBooth), (TEXTUAL_INVERSION, TextualInversion)):
        rows.add(name, make)
    rows.freeze()
    return rows


TRAINEES = _trainees()


def make_trainee(config: TrainConfig, pipeline: Any, family: Family, variant: str = "") -> Trainee:
    """What the config's method trains on a loaded pipeline. pipeline: on its device; family, variant: what its checkpoint is.

    Raises UnknownName("method") for one that trains no pipeline, ModelFault, RequestFault.
    """
    return TRAINEES.get(config.method)(config, pipeline, family, variant)


def make_captioner_trainee(config: TrainConfig, captioner: Captioner, *, captions: Iterable[str], pictures: Path | None = None) -> Trainee:
    """What captioner_lora trains on a loaded captioner. captions: all that will be trained, by which missing words are found.

    pictures: the session's folder of pictures, in which sample prompts are names. Raises RequestFault.
    """
    return CaptionerLora(config, captioner, captions=captions, pictures=pictures)
