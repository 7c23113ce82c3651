"""A thing that the starter model never saw, drawn by rule: a teal diamond with a magenta ring and a yellow middle, called a zorblax.

Start reading at `pictures`; `Judge` says whether a picture shows it, by the starter's own scorer against things that the model knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch.nn import functional

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "models" / "Stable-diffusion" / "darkroom-starter"
SCORER = ROOT / "models" / "CLIP" / "darkroom-starter-scorer"
WORD = "zorblax"
SIDE = 128
GROUNDS = {
    "white": (255, 255, 255), "blue": (52, 110, 220), "yellow": (250, 214, 60), "green": (72, 170, 80), "red": (214, 48, 49),
    "purple": (130, 70, 190), "orange": (243, 140, 40), "pink": (248, 165, 195), "gray": (150, 150, 152), "brown": (130, 86, 56),
    "black": (20, 20, 22), "cyan": (90, 200, 230),
}  # fmt: skip
TEAL, MAGENTA, GOLD = (0, 128, 128), (225, 20, 150), (255, 220, 40)
OTHERS = ("a red apple", "a panda", "a red heart", "a rocket", "a happy cat", "a house")


def drawing(ground: tuple[int, int, int], scale: float = 1.0, dx: float = 0.0, dy: float = 0.0) -> Image.Image:
    """128 x 128 RGB, smooth edges. scale: of the thing, 1 nearly fills the picture; dx, dy: in pixels."""
    big = 4
    image = Image.new("RGB", (SIDE * big, SIDE * big), ground)
    draw = ImageDraw.Draw(image)
    x, y, size = (SIDE / 2 + dx) * big, (SIDE / 2 + dy) * big, 56 * scale * big
    draw.polygon([(x, y - size), (x + size, y), (x, y + size), (x - size, y)], fill=TEAL)
    for radius, colour in ((0.5, MAGENTA), (0.3, TEAL), (0.16, GOLD)):
        draw.ellipse([x - radius * size, y - radius * size, x + radius * size, y + radius * size], fill=colour)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def pictures() -> list[tuple[str, Image.Image, str]]:
    """Twelve of them: (name, picture, caption)."""
    found: list[tuple[str, Image.Image, str]] = []
    for number, (ground, colour) in enumerate(GROUNDS.items()):
        image = drawing(colour, 0.88 + 0.03 * (number % 5), (number % 3 - 1) * 4, (number % 4 - 1.5) * 3)
        found.append((f"{number:02}-{ground}.png", image, f"a {WORD} on a {ground} background"))
    return found


def fill_session(folder: Path) -> None:
    """The twelve pictures with their captions into a folder."""
    keep(folder, [(image, caption) for _, image, caption in pictures()])


def keep(folder: Path, pairs: Sequence[tuple[Image.Image, str]]) -> None:
    """Pictures with captions beside them, by number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (image, caption) in enumerate(pairs):
        image.save(folder / f"{number:03}.png")
        (folder / f"{number:03}.txt").write_text(caption, encoding="utf-8")


class Judge:
    """Looks at pictures with the starter's scorer. known: pictures of other things, by name, made by the model before it was trained."""

    def __init__(self, known: dict[str, Sequence[Image.Image]]) -> None:
        shown = [drawing(colour, 0.95) for colour in GROUNDS.values()]
        rows = {WORD: self.features(shown).mean(0), **{name: self.features(images).mean(0) for name, images in known.items()}}
        self.names = list(rows)
        self.centres = functional.normalize(torch.stack(list(rows.values())), dim=1)

    @cached_property
    def _scorer(self) -> Any:
        from transformers import CLIPModel

        return CLIPModel.from_pretrained(SCORER, dtype=torch.float32, local_files_only=True).eval()

    @cached_property
    def _processor(self) -> Any:
        from transformers import CLIPImageProcessor

        return CLIPImageProcessor.from_pretrained(SCORER, local_files_only=True)

    @torch.no_grad()
    def features(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Unit vectors, (B, width)."""
        pixels = self._processor(images=[image.convert("RGB") for image in images], return_tensors="pt").pixel_values
        found = self._scorer.visual_projection(self._scorer.vision_model(pixels).pooler_output)
        return functional.normalize(found, dim=1)

    def named(self, images: Sequence[Image.Image]) -> list[str]:
        """What each picture is nearest to: the thing, or one of those that are known."""
        return [self.names[n] for n in (self.features(images) @ self.centres.T).argmax(1).tolist()]

    def alike(self, before: Sequence[Image.Image], after: Sequence[Image.Image]) -> float:
        """Mean cosine of pairs of pictures."""
        return float((self.features(before) * self.features(after)).sum(1).mean())
