"""Scenes: which drawings stand where on which background, as words and as pixels.

A scene is a few numbers; `caption` says it in varying words, `render` paints it on any device. Start reading at `draw_scene`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional

from starter import words
from starter.drawings import Drawing

KINDS = ("one", "small", "beside", "above", "tinted")
SMALL = ("small", "tiny", "little")
LARGE = ("large", "big")
TINTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")


def held_out(scene: Scene) -> bool:
    """Is that drawing on that background kept from the captioner and the scorer, to measure them with? One in eight is."""
    return (scene.first * 7 + list(words.COLOURS).index(scene.colour) * 3) % 8 == 0


@dataclass(frozen=True)
class Scene:
    """kind: one of KINDS; first, second: rows of the drawings (second -1 for none); colour: of the background; tint: of the object."""

    kind: str
    first: int
    second: int
    colour: str
    tint: str = ""


class Painter:
    """Draws scenes over a set of drawings. rgba: (N, S, S, 4) uint8 premultiplied on the device that paints."""

    def __init__(self, rgba: torch.Tensor, rows: Sequence[Drawing], weights: Sequence[float] | None = None) -> None:
        self.rgba, self.rows = rgba, list(rows)
        self._weights = list(weights) if weights is not None else [1.0] * len(self.rows)
        self._by_style = {s: [i for i, r in enumerate(self.rows) if r.style == s] for s in words.STYLES}
        self._style_weights = {s: [self._weights[i] for i in found] for s, found in self._by_style.items()}
        frequency = Counter(tag for row in {r.code: r for r in self.rows}.values() for tag in set(row.tags))
        self._tags = [tuple(t for t in r.tags if t not in r.label.split() and frequency[t] <= 60) for r in self.rows]

    def draw_scene(self, rng: random.Random, shares: dict[str, float]) -> Scene:
        """A random scene; shares: how often each kind comes. Pairs are of one style."""
        kind = rng.choices(list(shares), list(shares.values()))[0]
        first = rng.choices(range(len(self.rows)), self._weights)[0]
        style = self.rows[first].style
        second = rng.choices(self._by_style[style], self._style_weights[style])[0] if kind in ("beside", "above") else -1
        colour = "white" if rng.random() < 0.3 else rng.choice(list(words.COLOURS))
        tint = rng.choice([t for t in TINTS if t != colour]) if kind == "tinted" else ""
        return Scene(kind, first, second, colour, tint)

    def draw_taught(self, rng: random.Random, shares: dict[str, float]) -> Scene:
        """A random scene that is not held out."""
        while held_out(scene := self.draw_scene(rng, shares)):
            pass
        return scene

    def name(self, row: int, rng: random.Random) -> str:
        drawing = self.rows[row]
        return rng.choice(drawing.names) if drawing.names and rng.random() < 0.45 else drawing.label

    def caption(self, scene: Scene, rng: random.Random) -> str:
        """The scene in words, as people write prompts: varying order, article, style word, tags."""
        style = self.rows[scene.first].style
        name = self.name(scene.first, rng)
        if scene.kind in ("beside", "above"):
            core = self._pair(scene, with_second=words.with_article(self.name(scene.second, rng)), first=words.with_article(name), rng=rng)
        else:
            adjective = f"{rng.choice(SMALL)} " if scene.kind == "small" else f"{scene.tint} " if scene.tint else ""
            core = words.with_article(f"{adjective}{name}") if rng.random() < 0.75 else f"{adjective}{name}"
        parts = [core]
        if scene.colour != "white" or rng.random() < 0.25:
            article = "an" if scene.colour[0] in "aeiou" else "a"
            ground = rng.choice(
                (f"on {article} {scene.colour} background", f"on {article} {scene.colour} background", f"{scene.colour} background")
            )
            if ground.startswith("on") and rng.random() < 0.7:
                parts[0] += f" {ground}"
            else:
                parts.append(ground)
        if style != "3d" or rng.random() < 0.6:
            parts.append(rng.choice(words.STYLES[style]))
        tags = self._tags[scene.first]
        if tags and scene.kind == "one" and rng.random() < 0.25:
            parts.append(", ".join(rng.sample(tags, min(len(tags), rng.randint(1, 2)))))
        tail = parts[1:]
        if rng.random() < 0.3:
            rng.shuffle(tail)
        return ", ".join([parts[0], *tail])

    @staticmethod
    def _pair(scene: Scene, *, first: str, with_second: str, rng: random.Random) -> str:
        a, b = first, with_second
        beside = (
            f"{a} and {b}",
            f"{a} and {b}",
            f"{a} next to {b}",
            f"{a} left of {b}",
            f"{a} to the left of {b}",
            f"{b} right of {a}",
            f"{b} to the right of {a}",
        )
        above = (f"{a} above {b}", f"{a} above {b}", f"{a} on top of {b}", f"{b} below {a}", f"{b} under {a}")
        return rng.choice(beside if scene.kind == "beside" else above)

    def render(self, scenes: Sequence[Scene], rng: random.Random, *, jitter: bool = True, mirror: bool = True) -> torch.Tensor:
        """Pixels (B, 3, S, S) in [0, 1]. jitter: small shifts and changes of background colour; with mirror also flips."""
        side, device = self.rgba.shape[1], self.rgba.device
        layers = torch.stack([self._layer(scene, rng, jitter, mirror) for scene in scenes])
        noise = 8 if jitter else 0
        grounds = [[(c + rng.uniform(-noise, noise)) / 255 for c in words.COLOURS[scene.colour]] for scene in scenes]
        ground = torch.tensor(grounds, device=device).clamp(0, 1).view(-1, 3, 1, 1).expand(-1, -1, side, side)
        return (layers[:, :3] + (1 - layers[:, 3:]) * ground).clamp(0, 1)

    def _layer(self, scene: Scene, rng: random.Random, jitter: bool, mirror: bool) -> torch.Tensor:
        """(4, S, S) premultiplied, in [0, 1]."""
        first = self._drawing(scene.first, flip=jitter and mirror and rng.random() < 0.5)
        if scene.tint:
            first = _tinted(first, words.COLOURS[scene.tint])
        if scene.kind in ("beside", "above"):
            side = first.shape[-1]
            half = [
                functional.interpolate(x[None], (side // 2, side // 2), mode="area")[0]
                for x in (first, self._drawing(scene.second, flip=False))
            ]
            canvas = torch.zeros_like(first)
            quarter, middle = side // 4, side // 2
            for n, part in enumerate(half):
                top, left = (quarter, n * middle) if scene.kind == "beside" else (n * middle, quarter)
                canvas[:, top : top + middle, left : left + middle] = part
            return canvas
        scale = rng.uniform(0.4, 0.55) if scene.kind == "small" else rng.uniform(0.9, 1.0) if jitter else 1.0
        return _placed(first, scale, rng, jitter=jitter)

    def _drawing(self, row: int, *, flip: bool) -> torch.Tensor:
        layer = self.rgba[row].permute(2, 0, 1).float() / 255
        return layer.flip(2) if flip else layer


def _tinted(layer: torch.Tensor, colour: tuple[int, int, int]) -> torch.Tensor:
    """The drawing in another colour: its lightness kept, hue replaced."""
    alpha = layer[3:].clamp_min(1e-4)
    light = (layer[:3] / alpha).mean(0, keepdim=True)
    target = torch.tensor(colour, device=layer.device).view(3, 1, 1) / 255
    mixed = torch.where(light < 0.5, target * light * 2, target + (1 - target) * (light - 0.5) * 2)
    return torch.cat([mixed * layer[3:], layer[3:]])


def _placed(layer: torch.Tensor, scale: float, rng: random.Random, *, jitter: bool) -> torch.Tensor:
    side = layer.shape[-1]
    size = max(8, round(side * scale))
    if size == side:
        return layer
    small = functional.interpolate(layer[None], (size, size), mode="area")[0]
    room = side - size
    top, left = (rng.randint(0, room), rng.randint(0, room)) if jitter and scale > 0.7 else (room // 2, room // 2)
    canvas = torch.zeros_like(layer)
    canvas[:, top : top + size, left : left + size] = small
    return canvas
