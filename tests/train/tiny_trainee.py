"""A trainee of a few thousand values that does everything a real one does: frozen encoders, dropout, two stages, noise from the step.

It learns to tell the noise in a small latent from the caption's numbers. The loop's tests train it in milliseconds.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from modules.request.train import TrainConfig
from modules.train.trainee import Example, ParamGroup, SampleAsked, Stage, StepNoise, Tensors

LATENT = (4, 4, 4)
WIDTH = 8


class TinyTrainee:
    """Counts how often it was asked to encode, so that tests see what a cache saves. slow_s: a pause in each step."""

    def __init__(self, config: TrainConfig, *, slow_s: float = 0.0) -> None:
        torch.manual_seed(1234)
        self.config = config
        self.slow_s = slow_s
        self.encoder = torch.nn.Conv2d(3, 8, 4, stride=4).requires_grad_(False)
        self.words = torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh())
        self.body = torch.nn.Sequential(
            torch.nn.Linear(64 + WIDTH + 1, 32), torch.nn.GELU(), torch.nn.Dropout(0.2), torch.nn.Linear(32, 64)
        )
        self.encoded = {"pixels": 0, "text": 0}
        self.left = {"pixels": False, "text": False}
        self.stage = "network"
        self.sizes: set[tuple[str, tuple[int, int]]] = set()  # (stage, (height, width)) of what was learnt from
        self.taken = 0  # steps of the optimizer
        self.stop: Callable[[], None] | None = None  # called after so many of them
        self.stop_after = 0
        self.broken_after: int | None = None  # steps, from which on the loss is no number

    def stages(self) -> tuple[Stage, ...]:
        config = self.config
        first = Stage("text_encoder", "Text encoder", config.text_encoder_steps, config.text_encoder_resolution)
        return (*((first,) if config.text_encoder_steps else ()), Stage("network", "Training", config.max_train_steps))

    def begin(self, stage: Stage) -> None:
        self.stage = stage.name
        self.words.requires_grad_(stage.name == "text_encoder").train(stage.name == "text_encoder")
        self.body.requires_grad_(stage.name == "network").train(stage.name == "network")

    def parameters(self) -> list[ParamGroup]:
        module, rate = (self.words, self.config.text_encoder_lr) if self.stage == "text_encoder" else (self.body, self.config.learning_rate)
        return [ParamGroup(self.stage, list(module.parameters()), rate)]

    def loss(self, examples: Sequence[Example], rng: StepNoise) -> torch.Tensor:
        self.sizes |= {(self.stage, each.target_size) for each in examples} if torch.is_grad_enabled() else set()
        kept = [each.latents or made for each, made in zip(examples, self._encoded(examples), strict=True)]
        mean, deviation = (torch.stack([row[name] for row in kept]) for name in ("mean", "deviation"))
        latent = mean + deviation * rng.normal(LATENT, "latent")
        level = rng.uniform().view(-1, 1)
        noise = rng.normal(LATENT)
        texts = [each.text["numbers"] if each.text is not None else self._numbers(each.caption) for each in examples]
        words = self.words(torch.stack(texts))
        mixed = (1 - level) * latent.flatten(1) + level * noise.flatten(1)
        guess = self.body(torch.cat([mixed, words, level], dim=1))
        weight = torch.tensor([each.weight for each in examples])
        if self.broken_after is not None and self.taken >= self.broken_after:
            weight = weight * float("nan")
        return functional.mse_loss(guess, noise.flatten(1), reduction="none").mean(dim=1) * weight

    def encode_pixels(self, examples: Sequence[Example]) -> list[Tensors]:
        self.encoded["pixels"] += len(examples)
        with torch.no_grad():
            found = self.encoder(torch.stack([each.pixels for each in examples]))
        small = functional.adaptive_avg_pool2d(found, 4)
        return [{"mean": row[:4].clone(), "deviation": row[4:].abs().clone()} for row in small]

    def encode_text(self, captions: Sequence[str]) -> list[Tensors]:
        self.encoded["text"] += len(captions)
        return [{"numbers": self._numbers(text)} for text in captions]

    def text_is_frozen(self) -> bool:
        return self.stage == "network"

    def cache_name(self, what: str) -> str:
        return f"tiny-{what}"

    def encoders_not_needed(self, *, pixels: bool, text: bool) -> None:
        self.left = {"pixels": pixels, "text": text}

    def after_step(self) -> None:
        self.taken += 1
        if self.stop is not None and self.taken >= self.stop_after:
            self.stop()
        if self.slow_s:
            time.sleep(self.slow_s)
        if self.config.scale_weight_norms:
            with torch.no_grad():
                for group in self.parameters():
                    for param in group.params:
                        param.mul_((self.config.scale_weight_norms / param.norm().clamp(min=1e-9)).clamp(max=1.0))

    def state_dict(self) -> Tensors:
        parts = {"words": self.words, "body": self.body}
        return {f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        for part, module in {"words": self.words, "body": self.body}.items():
            module.load_state_dict({name: state[f"{part}.{name}"] for name in module.state_dict()})

    def sample(self, asked: SampleAsked) -> Image.Image:
        values = self.body[3].weight.detach()[:, :32].sigmoid() * 255
        return Image.fromarray(values.to(torch.uint8).numpy(), "L").convert("RGB").resize((asked.width or 32, asked.height or 32))

    def export(self, path: Path, metadata: Mapping[str, str]) -> list[Path]:
        made = path.parent / f"{path.name}.safetensors"
        save_file({name: tensor.detach().clone() for name, tensor in self.state_dict().items()}, made, metadata=dict(metadata))
        return [made]

    def trained_modules(self) -> Mapping[str, int]:
        return {"body": sum(param.numel() for param in self.body.parameters())}

    def _encoded(self, examples: Sequence[Example]) -> list[Tensors | None]:
        missing = [each for each in examples if each.latents is None]
        made = iter(self.encode_pixels(missing)) if missing else iter(())
        return [None if each.latents is not None else next(made) for each in examples]

    def _numbers(self, caption: str) -> torch.Tensor:
        return torch.tensor([byte / 255 for byte in hashlib.sha256(caption.encode()).digest()[:WIDTH]])
