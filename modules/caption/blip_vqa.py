"""BLIP, visual question answering: the question is read together with the picture, a decoder writes the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from modules.caption.blip import ends, positions
from modules.caption.blip_match import looks
from modules.caption.kind import ANSWER, READ, Kind, Published


def _inputs(processor: Any, images: Sequence[Image.Image], text: str) -> Mapping[str, Any]:
    return processor(images=list(images), text=[text] * len(images), return_tensors="pt")


KIND = Kind(
    id="blip-vqa",
    title="BLIP question answering",
    does=(ANSWER,),
    architecture="BlipForQuestionAnswering",
    model_type="blip",
    processor="BlipProcessor",
    tensors=("vision_model.", "text_encoder.", "text_decoder."),
    positions=positions,
    inputs=_inputs,
    ends=ends,
    prompt_length=lambda inputs: 1,  # the question is read by the encoder
    max_length=20,
    looks=looks,  # the question's words look at the picture; the answer's look at the question alone
    follows=READ,
    published=(
        Published(repo="Salesforce/blip-vqa-base", gigabytes=1.54, licence="BSD-3-Clause"),
        Published(repo="Salesforce/blip-vqa-capfilt-large", gigabytes=1.54, licence="BSD-3-Clause"),
    ),
)
