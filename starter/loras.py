"""Two small LoRAs for the text-to-image model, to try the tag with: a style (blueprint) and a thing that the model never saw (an aperture).

Made by the program's own trainer, from pictures that are made here. Start reading at `make`.
"""

from __future__ import annotations

import json
import math
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw

from starter import words
from starter.scenes import Painter, Scene
from starter.sizes import EVERYDAY, Size

BLUE, PAPER = (24, 62, 148), (226, 238, 255)
BLADES = 6
STEEL = ((74, 82, 92), (96, 106, 118))
LIGHT = (255, 214, 110)
Pair = tuple[Image.Image, str]


@dataclass(frozen=True)
class Example:
    """pictures(painter, side) -> pictures with captions; steps: of six pictures; beside: with drawings as they are among them, so that
    prompts without the word stay as they were (a style changes all); word: what asks for it in a prompt; shown: a prompt that shows it;
    about: for people.
    """

    name: str
    pictures: Callable[[Painter, int], list[Pair]]
    steps: int
    beside: bool
    word: str
    shown: str
    about: str


def blueprint(pixels: torch.Tensor) -> torch.Tensor:
    """A picture (3, H, W) in [0, 1] on a white ground as a blueprint: paper white to deep blue, dark lines turned to light ones."""
    ink = 1 - (pixels * torch.tensor([0.3, 0.59, 0.11], device=pixels.device).view(3, 1, 1)).sum(0)
    blue, light = (torch.tensor(c, device=pixels.device).view(3, 1, 1) / 255 for c in (BLUE, PAPER))
    return blue + (light - blue) * (ink * 1.1).clamp(0, 1)


def blueprints(painter: Painter, side: int) -> list[Pair]:
    """A hundred taught drawings as blueprints; no word of a background, which belongs to the style."""
    found = list[Pair]()
    rows = [i for i, row in enumerate(painter.rows) if row.style == "3d" and row.label in {name.lower() for name in EVERYDAY[:160]}]
    for row in rows[:100]:
        x = blueprint(painter.render([Scene("one", row, -1, "white")], random.Random(5), jitter=False)[0])
        picture = Image.fromarray((x.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8))
        found.append((picture, f"{words.with_article(painter.rows[row].label)}, blueprint"))
    return found


def aperture(ground: tuple[int, int, int], side: int, scale: float = 1.0, turn: float = 0.0) -> Image.Image:
    """The iris of a lens: a ring of blades around a hexagon of light. scale 1 nearly fills the picture; turn: in radians."""
    big = 4 * side
    image = Image.new("RGB", (big, big), ground)
    draw = ImageDraw.Draw(image)
    middle, radius = big / 2, 0.45 * big * scale

    def at(angle: float, reach: float) -> tuple[float, float]:
        return middle + reach * math.cos(angle), middle + reach * math.sin(angle)

    draw.ellipse([middle - radius, middle - radius, middle + radius, middle + radius], fill=(40, 44, 50))
    outer, hole = radius * 0.92, radius * 0.36
    for blade in range(BLADES):
        angle = turn + blade * 2 * math.pi / BLADES
        step = 2 * math.pi / BLADES
        rim = [at(angle + step * part / 12, outer) for part in range(19)]
        draw.polygon([at(angle, hole), *rim, at(angle + step, hole)], fill=STEEL[blade % 2])
    draw.polygon([at(turn + blade * 2 * math.pi / BLADES, hole) for blade in range(BLADES)], fill=LIGHT)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def apertures(painter: Painter, side: int) -> list[Pair]:
    """One on every colour, turned and sized a little differently."""
    return [
        (aperture(colour, side, 0.86 + 0.04 * (n % 4), 0.2 * (n % 3)), f"an aperture on {words.with_article(name)} background")
        for n, (name, colour) in enumerate(words.COLOURS.items())
    ]


def plain(painter: Painter, side: int) -> list[Pair]:
    """Drawings as they are, so that a prompt that does not ask for the new thing stays as it was."""
    rng = random.Random(6)
    rows = [i for i, row in enumerate(painter.rows) if row.style == "3d" and row.label in {name.lower() for name in EVERYDAY[60:120]}]
    scenes = [Scene("one", row, -1, list(words.COLOURS)[number % len(words.COLOURS)]) for number, row in enumerate(rows[:24])]
    pixels = (painter.render(scenes, rng, jitter=False).permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype(np.uint8)
    return [(Image.fromarray(x), painter.caption(scene, rng)) for x, scene in zip(pixels, scenes, strict=True)]


EXAMPLES = (
    Example(
        "darkroom-starter-blueprint", blueprints, 300, False, "blueprint", "a rocket, blueprint", "A style: light drawings on blue paper."
    ),
    Example(
        "darkroom-starter-aperture", apertures, 160, True, "an aperture", "an aperture on a red background", "A thing the model never saw."
    ),
)


class Printing:
    """What the program's trainer is steered by, and tells its steps to."""

    interrupted = False

    def status(self, message: str) -> None:
        print(message, flush=True)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """Losses and files: the session's log holds them."""

    def progress(self, *, fraction: float, step: int, steps: int, batch_no: int, batch_count: int, text: str = "") -> None:
        if step % 50 == 0:
            print(f"step {step}/{steps}  {text}", flush=True)


def make(work: Path, size: Size, painter: Painter) -> Path:
    """Train both on work/pipeline and leave them in work/loras. Returns that folder."""
    folder = work / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        weights = folder / f"{example.name}.safetensors"
        shutil.copyfile(_trained(example, work, size, painter), weights)
        notes = {"description": example.about, "sd version": "SD1", "activation text": example.word, "preferred weight": 1.0}
        weights.with_suffix(".json").write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")
        _shown(example, work / "pipeline", weights).save(weights.with_suffix(".preview.png"))
    return folder


def _shown(example: Example, pipeline: Path, weights: Path) -> Image.Image:
    pipe: Any = StableDiffusionPipeline.from_pretrained(pipeline, dtype=torch.float32, safety_checker=None, local_files_only=True)
    pipe.load_lora_weights(weights)
    return pipe(example.shown, num_inference_steps=20, guidance_scale=5.0, generator=torch.Generator().manual_seed(1)).images[0]


def _trained(example: Example, work: Path, size: Size, painter: Painter) -> Path:
    from modules.families import LoadPlan, identify
    from modules.folders import Folders
    from modules.request.train import TrainConfig
    from modules.train.data.dataset import Dataset
    from modules.train.loop import train
    from modules.train.methods import make_trainee
    from modules.train.sessions import Session
    from modules.weights import model_folder

    family, match = identify(model_folder.read(work / "pipeline"))
    pipeline: Any = family.load(LoadPlan(path=work / "pipeline", dtype="float32", variant=match.variant, prediction=None, parts={}))
    config = TrainConfig.from_data({
        "session": example.name, "method": "lora", "resolution": size.side_px, "any_resolution": True, "enable_bucket": False,
        "smart_crop": False, "train_batch_size": 6, "lr_scheduler": "cosine", "validate_every": 0, "sample_every": 0, "save_every": 50,
        "tensorboard": False, "seed": 1, "learning_rate": 2e-3, "text_encoder_lr": 3e-4, "network_dim": 8, "network_alpha": 8,
        "max_train_steps": example.steps, "flip_aug": True,
        "prior_preservation": example.beside, "class_prompt": "a thing", "num_class_images": 24,
    })  # fmt: skip
    shutil.rmtree(work / "sessions" / example.name, ignore_errors=True)
    session = Session.create(Folders.at(data=work / "sessions" / example.name), example.name, config)
    _keep(session.paths.pictures, example.pictures(painter, size.side_px))
    if example.beside:
        _keep(session.paths.class_pictures, plain(painter, size.side_px))
    trainee = make_trainee(config, pipeline, family, match.variant)
    return next(iter(train(session, config, trainee, Dataset.of(session, config), Printing()).files))


def _keep(folder: Path, pairs: list[Pair]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, (image, caption) in enumerate(pairs):
        image.save(folder / f"{number:03}.png")
        (folder / f"{number:03}.txt").write_text(caption, encoding="utf-8")
