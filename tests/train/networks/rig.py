"""Tiny models of every family under a training: pictures to learn, a few steps, the answers with and without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from modules.families import FAMILIES
from modules.request.train import TrainConfig
from modules.train.networks.denoising import Denoising
from modules.train.networks.lora import LoraTrainee
from modules.train.trainee import Example, StepNoise
from tests.model.tiny import BUILDERS, settled

# name -> (family, builder's options, variant)
MODELS: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "sd15": ("sd15", {}, ""),
    "sd2": ("sd2", {}, ""),
    "sd2-768": ("sd2", {"variant": "768", "prediction": "v_prediction"}, "768"),
    "sdxl": ("sdxl", {}, ""),
    "sd3": ("sd3", {"variant": "medium"}, "medium"),
    "sd3.5-medium": ("sd3", {"variant": "3.5-medium"}, "3.5-medium"),
    "sd3.5-large": ("sd3", {"variant": "3.5-large"}, "3.5-large"),
    "flux": ("flux", {}, "dev"),
    "flux-schnell": ("flux", {"guidance": False}, "schnell"),
}
SIDE = 64
ATTACHED: list[LoraTrainee] = []  # by the test that runs; its end takes them off
Built = Callable[[str], Any]
STEP = StepNoise(seed=3, step=5, rows=(0, 1))
# Some blocks of a UNet; transformers are small enough as they are.
SOME = {"sd15": ["down_blocks.1.", "mid_block."], "sd2": ["down_blocks.1.", "mid_block."], "sdxl": ["down_blocks.1.", "up_blocks.1."]}


def built(name: str, folder: Path) -> Any:
    """The pipeline of a name in MODELS, its weights in memory of their own and not to be trained, as the program loads it for training.

    Some processors take other kernels for weights that may be trained, also where no gradients are kept; their last digits differ.
    """
    family, options, _ = MODELS[name]
    pipeline: Any = DiffusionPipeline.from_pretrained(BUILDERS[family](folder, **options), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)
    return settled(pipeline)


def config(name: str, **options: Any) -> TrainConfig:
    """Some blocks, both parts, rank 4, a high rate."""
    usual = {
        "network_dim": 4,
        "network_alpha": 2,
        "learning_rate": 1e-2,
        "text_encoder_lr": 1e-2,
        "resolution": SIDE,
        "save_precision": "float32",
        "target_blocks": SOME.get(MODELS[name][0], []),
    }
    return TrainConfig.from_data({**usual, **options})


def trainee(name: str, pipeline: Any, **options: Any) -> LoraTrainee:
    family, _, variant = MODELS[name]
    made = LoraTrainee(config(name, **options), pipeline, FAMILIES.get(family), variant)
    ATTACHED.append(made)
    made.begin(made.stages()[0])
    return made


def denoising(name: str, pipeline: Any, **options: Any) -> Denoising:
    family, _, variant = MODELS[name]
    return Denoising(config(name, **options), pipeline, FAMILIES.get(family), variant)


def examples(side: int = SIDE, captions: tuple[str, ...] = ("a red cat", "the same cat on a table")) -> list[Example]:
    g = torch.Generator().manual_seed(1)
    return [
        Example(
            pixels=torch.rand(3, side, side, generator=g) * 2 - 1,
            caption=caption,
            original_size=(side * 2, side * 3),
            crop_top_left=(0, 4),
            target_size=(side, side),
        )
        for caption in captions
    ]


def steps(made: LoraTrainee, count: int, pictures: list[Example] | None = None) -> list[float]:
    """So many steps of AdamW on the same batch and noise; the loss of each."""
    groups = [{"params": group.params, "lr": group.lr} for group in made.parameters()]
    optimizer, losses = torch.optim.AdamW(groups), list[float]()
    torch.manual_seed(0)  # dropout draws from it
    for _ in range(count):
        loss = made.loss(pictures or examples(), STEP).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


@torch.no_grad()
def answer(name: str, pipeline: Any) -> torch.Tensor:
    """What the network of a pipeline says of noisy pictures and their captions, as it is now: any change of a weight is seen in it."""
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()  # no dropout
    said: list[torch.Tensor] = []
    asked = denoising(name, pipeline)
    handle = asked.network.register_forward_hook(lambda module, args, output: said.append(output[0]))
    asked.errors(examples(), STEP)
    handle.remove()
    return said[0]


def weights(pipeline: Any) -> dict[str, torch.Tensor]:
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    return {f"{name}.{key}": tensor.clone() for name, part in parts.items() for key, tensor in part.state_dict().items()}


@torch.no_grad()
def shake(made: LoraTrainee) -> None:
    """Change everything that learns by far more than a few steps do, so that a wrong reading of it is seen."""
    g = torch.Generator().manual_seed(4)
    for group in made.parameters():
        for parameter in group.params:
            parameter.add_(torch.randn(parameter.shape, generator=g) * 0.1)
