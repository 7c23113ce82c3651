"""What every method on a model that makes pictures does alike: errors, caches, pictures on the way. The rest is the method's own.

Start reading at `OnPictures`; what the error is stands in `modules.train.networks.denoising`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from modules.families import Family
from modules.faults import ModelFault
from modules.request.train import TrainConfig
from modules.train.networks import sampling
from modules.train.networks.denoising import Denoising
from modules.train.trainee import Example, SampleAsked, StepNoise, Tensors


class OnPictures:
    """pipeline: on the device it is to be trained on; family, variant: what the checkpoint is; trained_text: text encoders that learn."""

    def __init__(self, config: TrainConfig, pipeline: Any, family: Family, variant: str, trained_text: Sequence[str]) -> None:
        self.config = config
        self.denoising = Denoising(config, pipeline, family, variant, trained_text=trained_text)

    def loss(self, examples: Sequence[Example], rng: StepNoise) -> torch.Tensor:
        return self.denoising.errors(examples, rng)

    def encode_pixels(self, examples: Sequence[Example]) -> list[Tensors]:
        return [{name: tensor.cpu() for name, tensor in row.items()} for row in self.denoising.encode_pixels(examples)]

    def encode_text(self, captions: Sequence[str]) -> list[Tensors]:
        return self.denoising.encode_text(captions)

    def text_is_frozen(self) -> bool:
        return not self.denoising.trained_text

    def cache_name(self, what: str) -> str:
        return self.denoising.cache_name(what)

    def encoders_not_needed(self, *, pixels: bool, text: bool) -> None:
        self.denoising.encoders_not_needed(pixels=pixels, text=text)

    def sample(self, asked: SampleAsked) -> Image.Image:
        return sampling.picture(self.denoising, asked)


def keep_fewer_activations(module: Any) -> None:
    """Gradient checkpointing; diffusers' and transformers' models have different names for it."""
    if hasattr(module, "enable_gradient_checkpointing"):
        module.enable_gradient_checkpointing()
    else:
        module.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


def in_type(module: Any, dtype: torch.dtype) -> Any:
    """The module with its weights in this number type; left alone when they are."""
    return module if module.dtype == dtype else module.to(dtype)


def fill(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], advice: str) -> None:
    """Numbers of a state into tensors of the same names. Raises ModelFault with the advice when names or shapes are others."""
    wrong = sorted(own.keys() ^ state.keys()) or sorted(name for name in own if own[name].shape != state[name].shape)
    if wrong:
        raise ModelFault(f"The training cannot go on from its state: {len(wrong)} tensors differ, the first is {wrong[0]}. {advice}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])
