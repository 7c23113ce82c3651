"""How well texts fit pictures: BLIP's ITM (a probability) and ITC (a cosine), CLIP's cosine. Vectors of texts can be kept.

Start reading at `match`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from modules.caption.loading import Captioner

TEXTS_AT_ONCE = 64


@dataclass(frozen=True)
class Fit:
    """cosine: from -1 to 1, how near text and picture are; chance: from 0 to 1, that the text belongs to it; None: this kind has none."""

    text: str
    cosine: float
    chance: float | None

    def to_data(self) -> dict[str, Any]:
        return {"text": self.text, "cosine": self.cosine, "chance": self.chance}


@torch.inference_mode()
def match(captioner: Captioner, images: Sequence[Image.Image], texts: Sequence[str]) -> list[list[Fit]]:
    """Each text with each picture (RGB), best first: by chance where the model gives one, else by cosine."""
    states = _states(captioner, images)
    near = _normal(captioner.kind.image_features(captioner.model, states)) @ text_features(captioner, texts).T  # pyright: ignore[reportOptionalCall]
    found: list[list[Fit]] = []
    for n in range(len(images)):
        chances = _chances(captioner, states[n : n + 1], texts)
        fits = [Fit(text, float(cosine), chance) for text, cosine, chance in zip(texts, near[n].tolist(), chances, strict=True)]
        found.append(sorted(fits, key=lambda fit: -(fit.cosine if fit.chance is None else fit.chance)))
    return found


@torch.inference_mode()
def image_features(captioner: Captioner, images: Sequence[Image.Image]) -> torch.Tensor:
    """(B,d) float32, of length 1 each."""
    return _normal(captioner.kind.image_features(captioner.model, _states(captioner, images)))  # pyright: ignore[reportOptionalCall]


@torch.inference_mode()
def text_features(captioner: Captioner, texts: Sequence[str]) -> torch.Tensor:
    """(N,d) float32, of length 1 each. Texts longer than the model reads are cut."""
    some = [texts[n : n + TEXTS_AT_ONCE] for n in range(0, len(texts), TEXTS_AT_ONCE)]
    features: Any = captioner.kind.text_features
    return torch.cat([_normal(features(captioner.model, _tokens(captioner, part))) for part in some])


def _states(captioner: Captioner, images: Sequence[Image.Image]) -> torch.Tensor:
    pixels = captioner.placed(captioner.processor.image_processor(images=list(images), return_tensors="pt"))["pixel_values"]
    states: Any = captioner.kind.image_states
    return states(captioner.model, pixels)


def _chances(captioner: Captioner, states: torch.Tensor, texts: Sequence[str]) -> list[float | None]:
    fits: Any = captioner.kind.fits
    if fits is None:
        return [None] * len(texts)
    found: list[float | None] = []
    for n in range(0, len(texts), TEXTS_AT_ONCE):
        logits = fits(captioner.model, states, _tokens(captioner, texts[n : n + TEXTS_AT_ONCE]))
        found += logits.float().softmax(1)[:, 1].tolist()
    return found


def _tokens(captioner: Captioner, texts: Sequence[str]) -> dict[str, Any]:
    made = captioner.tokenizer(list(texts), padding=True, truncation=True, max_length=captioner.positions, return_tensors="pt")
    return captioner.placed({name: made[name] for name in ("input_ids", "attention_mask")})


def _normal(features: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(features.float(), dim=-1)
