"""`TrainConfig`: everything that can be asked of a training, as frozen data. No torch.

The page, the API, `launch.py train` and `models/train/<session>/config.toml` all hold these fields. They are declared in `train_learning`
and `train_pictures`; starting points for a family and a memory are in `train_presets`. Start reading at `TrainConfig.from_data`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from modules.faults import RequestFault, UnknownName
from modules.knobs import coerce, knobs_of
from modules.request.train_learning import (
    CAPTIONER_LORA,
    DREAMBOOTH,
    LORA,
    METHODS,
    TEXTUAL_INVERSION,
    Learning,
    Loss,
    Network,
    Subject,
)
from modules.request.train_pictures import LEAST, OWN, Captions, Pictures, Prior, Watching
from modules.request.train_presets import PRESETS, Preset, presets_for
from modules.request.train_toml import parsed, read, text_of, written

__all__ = [
    "CAPTIONER_LORA",
    "DREAMBOOTH",
    "LORA",
    "METHODS",
    "PRESETS",
    "TEXTUAL_INVERSION",
    "TRAIN",
    "Preset",
    "TrainConfig",
    "presets_for",
]

TRAIN = "train"  # the kind of job
HEAD = "The configuration of a training. Change what you like; `python launch.py train SESSION` and the Train tab read it."
WITH_CLASS = (LORA, DREAMBOOTH)  # methods that can keep what the model knows of the class by training pictures of it
MOST_PROMPTS = 100
PROMPT_CHARS = 4000


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Watching, Prior, Captions, Pictures, Loss, Learning, Network, Subject):
    """What was asked. `from_data` checks every value and how they go together."""

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From plain data (API body, form, TOML, job row); what is missing has its default. Raises RequestFault naming the field.

        A name that is no field is a fault too: a misspelt one would otherwise do nothing, for hours.
        """
        knobs = knobs_of(cls)
        for name in data:
            if name not in knobs:
                raise UnknownName("train option", name, knobs)
        config = cls(**{name: coerce(knobs[name], value) for name, value in data.items()})
        _check(config)
        return config

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, every field."""
        return dataclasses.asdict(self)

    def changed(self, **values: Any) -> Self:
        """A copy with other values, checked. Raises RequestFault."""
        return self.from_data({**self.to_data(), **values})

    def to_toml(self) -> str:
        """The text of a config.toml, with help above each value. `from_toml` gives an equal config."""
        return text_of(knobs_of(type(self)), self.to_data(), HEAD)

    @classmethod
    def from_toml(cls, text: str, name: str = "config.toml") -> Self:
        """From the text of a config.toml. Raises RequestFault: "config" with the line where it is no TOML, else the field."""
        return cls.from_data(parsed(text, name))

    def save(self, path: Path) -> None:
        """Write config.toml: the old file or the new one, never a part. Raises DiskFault."""
        written(path, knobs_of(type(self)), self.to_data(), HEAD)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read config.toml. Raises RequestFault, DiskFault."""
        return cls.from_data(read(path))

    def closed(self, native_px: int) -> Self:
        """Nothing left open: sizes that follow from the model are numbers, and what the method has no use for is off.

        native_px: the side that the model was made for.
        """
        prior = self.prior_preservation and self.method in WITH_CLASS
        return dataclasses.replace(self, resolution=self.resolution or native_px, prior_preservation=prior)

    @property
    def total_steps(self) -> int:
        """Steps of all stages."""
        return self.max_train_steps + (self.text_encoder_steps if self.method == DREAMBOOTH else 0)

    @property
    def global_batch(self) -> int:
        """Pictures of one batch over all devices."""
        return self.train_batch_size * self.num_processes


def _check(config: TrainConfig) -> None:
    """How the values go together. Raises RequestFault."""
    for name in ("optimizer_args", "target_blocks", "sample_prompts"):
        _check_texts(name, getattr(config, name))
    if config.min_timestep >= config.max_timestep:
        raise RequestFault("min_timestep", f"must be below the largest timestep, {config.max_timestep}", got=config.min_timestep)
    for name, least in LEAST.items():
        if OWN < getattr(config, name) < least:
            raise RequestFault(name, f"must be {OWN}, which follows from the model, or at least {least}", got=getattr(config, name))
    if config.enable_bucket and OWN < config.max_bucket_reso < config.min_bucket_reso:
        raise RequestFault("min_bucket_reso", f"must not be above the longest side, {config.max_bucket_reso}", got=config.min_bucket_reso)
    if config.prior_preservation and config.method in WITH_CLASS and not config.class_prompt.strip():
        raise RequestFault("class_prompt", "prior preservation needs a word for the class, as in: a photo of a cat")
    if config.prior_preservation and config.method in WITH_CLASS and config.num_class_images < 1:
        raise RequestFault("num_class_images", "prior preservation needs at least one picture of the class")
    if config.min_snr_gamma and config.debiased_estimation_loss:
        raise RequestFault("debiased_estimation_loss", "takes the place of min-SNR; set min_snr_gamma to 0 or leave it off")
    if config.method == DREAMBOOTH and config.text_encoder_steps and not config.text_encoder_lr:
        raise RequestFault("text_encoder_lr", "the first stage trains the text encoder and needs a learning rate, such as 1e-6", got=0)
    if config.lr_scheduler == "piecewise_constant":
        if not config.lr_steps.strip():
            raise RequestFault("lr_steps", "piecewise_constant needs rates, as in 1e-4:500, 5e-5")
        rates_by_step(config.lr_steps)
    optimizer_values(config.optimizer_args)


def _check_texts(name: str, values: list[str]) -> None:
    if len(values) > MOST_PROMPTS:
        raise RequestFault(name, f"has {len(values)} entries; the most is {MOST_PROMPTS}", allowed=MOST_PROMPTS)
    for value in values:
        if not isinstance(value, str):
            raise RequestFault(name, "must be a list of texts", got=value)
        if len(value) > PROMPT_CHARS:
            raise RequestFault(name, f"holds a text of {len(value)} characters; the longest accepted is {PROMPT_CHARS}")


def optimizer_values(texts: list[str]) -> dict[str, float | bool]:
    """["d_coef=0.8", "decouple=true"] -> {"d_coef": 0.8, "decouple": True}. Raises RequestFault("optimizer_args")."""
    words = {"true": True, "false": False}
    found: dict[str, float | bool] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name.isidentifier():
            raise RequestFault("optimizer_args", "must be name=number, as in d_coef=0.8", got=text)
        try:
            found[name] = words[value.lower()] if value.lower() in words else float(value)
        except ValueError:
            raise RequestFault("optimizer_args", f"{name} must be a number, true or false", got=text) from None
    return found


def rates_by_step(text: str) -> list[tuple[float, int | None]]:
    """ "1e-4:500, 5e-5" -> [(1e-4, 500), (5e-5, None)]: a rate and the step it lasts to, A1111's way. Raises RequestFault("lr_steps")."""
    rows: list[tuple[float, int | None]] = []
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for number, part in enumerate(parts):
        rate, colon, until = (piece.strip() for piece in part.partition(":"))
        try:
            row = (float(rate), int(until) if colon else None)
        except ValueError:
            raise RequestFault("lr_steps", "must be rate:until step, as in 1e-4:500, 5e-5", got=part) from None
        if row[1] is None and number < len(parts) - 1:
            raise RequestFault("lr_steps", "only the last rate goes without a step", got=text)
        if not 0 <= row[0] < float("inf") or (rows and row[1] is not None and row[1] <= (rows[-1][1] or 0)):
            raise RequestFault("lr_steps", "rates must not be negative and steps must rise", got=text)
        rows.append(row)
    return rows


def with_preset(config: TrainConfig, name: str) -> TrainConfig:
    """The config with a preset's values put over it. Raises UnknownName("preset")."""
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    return config.changed(**PRESETS[name].values)
