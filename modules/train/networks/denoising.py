"""A loaded pipeline as something to be trained: pictures and captions in, the error of each row out. torch lives here.

Every method that trains a model which makes pictures stands on this; what learns in it is the method's business. Knows no file.
Start reading at `Denoising.errors`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from modules.families import Family
from modules.faults import ModelFault
from modules.request.train import TrainConfig
from modules.train.networks.asking import Question
from modules.train.networks.latents import Latents
from modules.train.networks.objective import errors, objective_of
from modules.train.networks.recipes import recipe_of
from modules.train.networks.text import Text, Texts
from modules.train.trainee import Example, StepNoise, Tensors

PRECISIONS = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_WORD = "1"  # changes when what is cached changes its form
_LOOKED_AT = 4096  # numbers of each weight that the name of a cache depends on


class Denoising:
    """One pipeline under one config. The network and the encoders stay the pipeline's own; nothing is copied.

    trained_text: text encoders that learn. Raises ModelFault for a model that cannot be trained, RequestFault for options that it has
    no use for.
    """

    def __init__(self, config: TrainConfig, pipeline: Any, family: Family, variant: str = "", *, trained_text: Sequence[str] = ()) -> None:
        self.config = config
        self.pipeline = pipeline
        self.family = family
        self.variant = variant
        self.recipe = recipe_of(family, variant)
        self.network: Any = getattr(pipeline, family.denoiser)
        if self.network.config.in_channels not in (pipeline.vae.config.latent_channels, pipeline.vae.config.latent_channels * 4):
            raise ModelFault(f"a network with {self.network.config.in_channels} input channels cannot be trained here")
        self.objective = objective_of(config, pipeline.scheduler, self.recipe)
        self.latents = Latents(pipeline.vae)
        width = getattr(self.network.config, "joint_attention_dim", 0) or 0
        self.texts = Texts(pipeline, self.recipe.text, trained=trained_text, width=width)
        self.trained_text = tuple(trained_text)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What sums are made in."""
        return PRECISIONS[self.config.mixed_precision]

    def summing(self) -> AbstractContextManager[Any]:
        """Sums in the number type of the config, whatever the weights are kept in."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def modules(self) -> dict[str, nn.Module]:
        """component -> module: the network, the text encoders, the VAE."""
        return {self.family.denoiser: self.network, **self.texts.encoders, "vae": self.latents.vae}

    def freeze(self) -> None:
        """Nothing learns and nothing drops out; a method then says what does."""
        for module in self.modules().values():
            module.requires_grad_(False)
            module.eval()

    def errors(self, examples: Sequence[Example], rng: StepNoise) -> torch.Tensor:
        """(B,) float32: the weighted error of each row, with gradients. Pictures of one size; caches are used where they are given."""
        device = self.device
        task = self.objective.task(self._latents(examples, rng), rng)
        weight = torch.tensor([example.weight for example in examples], device=device)
        sizes = [(*e.original_size, *e.crop_top_left, *e.target_size) for e in examples]
        with self.summing():
            text = self._text(examples)
            predicted = self.recipe.ask(
                Question(
                    network=self.network,
                    noisy=task.noisy.to(self.network.dtype),
                    times=task.times,
                    text=text,
                    sizes=torch.tensor(sizes, device=device, dtype=torch.float32),
                    guidance=self.config.guidance_scale,
                )
            )
        return errors(self.config, predicted, task.target) * task.weight * weight

    def _latents(self, examples: Sequence[Example], rng: StepNoise) -> torch.Tensor:
        rows = [example.latents for example in examples]
        cached = [row for row in rows if row is not None]
        if len(cached) == len(rows):
            return self.latents.drawn(cached, rng, self.device)
        return self.latents.drawn(self.encode_pixels(examples), rng, self.device)

    def _text(self, examples: Sequence[Example]) -> Text:
        rows = [example.text for example in examples]
        cached = [row for row in rows if row is not None]
        if len(cached) == len(rows) and not self.trained_text:
            return self.texts.stack(cached, self.device, self.network.dtype)
        self._here(*self.texts.encoders.values())
        return self.texts.encode([example.caption for example in examples]).to(self.network.dtype)

    def encode_pixels(self, examples: Sequence[Example]) -> list[Tensors]:
        """Mean and deviation of each picture's latents, float32."""
        self._here(self.latents.vae)
        return self.latents.encode(examples)

    def encode_text(self, captions: Sequence[str]) -> list[Tensors]:
        """What the network is told of each caption, on the CPU."""
        self._here(*self.texts.encoders.values())
        with self.summing():
            return [{name: tensor.cpu() for name, tensor in self.texts.pieces(caption).items()} for caption in captions]

    def cache_name(self, what: str) -> str:
        """A hash of the encoders for "pixels" or "text": of their names, shapes, number types and of many of their numbers."""
        parts: Mapping[str, nn.Module] = {"vae": self.latents.vae} if what == "pixels" else self.texts.encoders
        digest = hashlib.sha256(f"{_WORD} {what} {self.recipe.text} {self.config.mixed_precision}".encode())
        for component, module in parts.items():
            for name, tensor in module.state_dict().items():
                digest.update(f"{component} {name} {tuple(tensor.shape)} {tensor.dtype}".encode())
                flat = tensor.flatten()
                digest.update(flat[:: 1 + len(flat) // _LOOKED_AT].float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def encoders_not_needed(self, *, pixels: bool, text: bool) -> None:
        """Those encoders leave the device until they are called again."""
        if pixels:
            self.latents.vae.to("cpu")
        if text and not self.trained_text:
            for encoder in self.texts.encoders.values():
                encoder.to("cpu")

    def _here(self, *modules: Any) -> None:
        for module in modules:
            if next(module.parameters()).device != self.device:
                module.to(self.device)
