"""What the pictures are judged with: the pack as a user loads it, features of its own scorer, a style classifier, its captioner.

Start reading at `Pack`. The judges are trained on the same drawings; they were never shown a picture that the model made.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from PIL import Image

from starter import words
from starter.captioner import MAX_TOKENS
from starter.drawings import prepare
from starter.make import PLACES, kept_back, painter_for
from starter.scenes import Painter, Scene, held_out
from starter.sizes import EVERYDAY, SIZES

JUDGE_PX = 128


class Pack:
    """The models as a user loads them, and the drawings they were made from. quick: a few samples of each check only."""

    def __init__(self, models: Path, work: Path, *, quick: bool = False) -> None:
        from diffusers import StableDiffusionPipeline

        self.models, self.quick = models, quick
        self.pipeline = StableDiffusionPipeline.from_pretrained(
            self.place("pipeline"), dtype=torch.float32, safety_checker=None, local_files_only=True
        )
        self.pipeline.set_progress_bar_config(disable=True)
        self.side = self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor
        size = SIZES["gpu" if self.side == SIZES["gpu"].side_px else "cpu"]
        self.painter = painter_for(work, size)
        array, rows = prepare(work, self.side)
        back = [i for i in range(len(rows)) if kept_back(i)]
        self.unseen = Painter(torch.from_numpy(np.stack([array[i] for i in back])), [rows[i] for i in back])
        self.labels = [name.lower() for name in EVERYDAY if any(r.label == name.lower() for r in self.painter.rows)]

    def place(self, part: str) -> Path:
        return self.models / PLACES[part]

    def has(self, part: str) -> bool:
        return self.place(part).exists()

    def some(self, count: int, few: int) -> int:
        return few if self.quick else count

    def draw(self, prompts: Sequence[str], seed: int = 0, **more: Any) -> list[Image.Image]:
        """One picture a prompt, 20 steps, CFG 5; prompt i has the seed seed + i."""
        made: list[Image.Image] = []
        for n in range(0, len(prompts), 16):
            part = list(prompts[n : n + 16])
            generators = [torch.Generator().manual_seed(seed + n + i) for i in range(len(part))]
            made += self.pipeline(part, num_inference_steps=20, guidance_scale=5.0, generator=generators, **more).images
        return made

    def row(self, label: str, style: str = "3d") -> int:
        return next(i for i, r in enumerate(self.painter.rows) if r.label == label.lower() and r.style == style)

    def scenes(self, count: int, shares: dict[str, float], *, only_held_out: bool) -> list[Scene]:
        """Random scenes of the taught drawings, always the same ones."""
        rng, found = random.Random(11), list[Scene]()
        while len(found) < count:
            scene = self.painter.draw_scene(rng, shares)
            if held_out(scene) or not only_held_out:
                found.append(scene)
        return found

    @cached_property
    def scorer(self) -> Any:
        from transformers import CLIPModel

        return CLIPModel.from_pretrained(self.place("scorer"), dtype=torch.float32, local_files_only=True).eval()

    @torch.no_grad()
    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Unit vectors (B, width) of pictures (B, 3, H, W) in [0, 1]."""
        small = functional.interpolate(x, (JUDGE_PX, JUDGE_PX), mode="area") * 2 - 1
        found = torch.cat([self.scorer.visual_projection(self.scorer.vision_model(part).pooler_output) for part in small.split(64)])
        return functional.normalize(found, dim=1)

    @cached_property
    def style_judge(self) -> tuple[torch.nn.Module, float]:
        """(a small convolutional classifier of styles, pictures in [0, 1] to logits; its share of right answers on held-out scenes).

        What it learns from went through the VAE, as every picture that is made here does.
        """
        torch.manual_seed(0)
        scenes = self.scenes(self.some(2400, 120), {"one": 1.0}, only_held_out=False)
        drawn = self.painter.render(scenes, random.Random(3), mirror=False)
        with torch.no_grad():
            x = torch.cat([self.coded(part) for part in drawn.split(16)])
        y = torch.tensor([list(words.STYLES).index(self.painter.rows[s.first].style) for s in scenes])
        test = torch.tensor([held_out(s) for s in scenes])
        taught, answers = x[~test], y[~test]
        judge = style_classifier()
        rounds, rng = self.some(12, 1), random.Random(4)
        parts = -(-len(taught) // 32)
        optimizer = torch.optim.AdamW(judge.parameters(), lr=4e-3, weight_decay=0.02)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=rounds * parts)
        for _ in range(rounds):
            for part in torch.randperm(len(taught)).split(32):
                pixels_ = taught[part].flip(3) if rng.random() < 0.5 else taught[part]
                pixels_ = pixels_ + torch.randn_like(pixels_) * rng.random() * 0.05
                functional.cross_entropy(judge(pixels_), answers[part]).backward()
                optimizer.step()
                optimizer.zero_grad()
                rate.step()
        judge.eval()
        with torch.no_grad():
            right = float((judge(x[test]).argmax(1) == y[test]).float().mean())
        return judge, right

    def coded(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 3, H, W) in [0, 1] as the VAE gives them back."""
        vae = self.pipeline.vae
        return (vae.decode(vae.encode(x * 2 - 1).latent_dist.mode()).sample / 2 + 0.5).clamp(0, 1)

    @cached_property
    def captioner(self) -> tuple[Any, Any]:
        from transformers import BlipForConditionalGeneration, BlipProcessor

        folder = self.place("captioner")
        model = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
        return model, BlipProcessor.from_pretrained(folder, local_files_only=True)

    @torch.no_grad()
    def captions(self, x: torch.Tensor) -> list[str]:
        """Our own captioner's words for pictures (B, 3, H, W) in [0, 1]."""
        model, processor = self.captioner
        small = functional.interpolate(x, (JUDGE_PX, JUDGE_PX), mode="area") * 2 - 1
        found: list[str] = []
        for part in small.split(32):
            found += processor.batch_decode(model.generate(pixel_values=part, max_length=MAX_TOKENS), skip_special_tokens=True)
        return found


def style_classifier() -> torch.nn.Module:
    """Random weights; (B, 3, H, W) in [0, 1] to (B, number of styles)."""
    widths = (3, 32, 64, 128, 128)
    layers: list[torch.nn.Module] = [torch.nn.AvgPool2d(2)]
    for before, after in pairwise(widths):
        layers += [torch.nn.Conv2d(before, after, 3, stride=2, padding=1), torch.nn.BatchNorm2d(after), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(widths[-1], len(words.STYLES)))


def pixels(image: Image.Image, side: int | None = None) -> torch.Tensor:
    """(3, H, W) in [0, 1]."""
    resized = image if side is None else image.resize((side, side), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(resized.convert("RGB")).copy()).permute(2, 0, 1).float() / 255


def stacked(images: Sequence[Image.Image]) -> torch.Tensor:
    """(B, 3, H, W) in [0, 1]."""
    return torch.stack([pixels(image) for image in images])


def share(right: int, of: int) -> str:
    """ "19/20 = 95.0%"."""
    return f"{right}/{of} = {right / max(1, of):.1%}"
