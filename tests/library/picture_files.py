"""Picture files as this program and A1111 leave them, for the tests of the picture index."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from modules.pixels.metadata import encode

TEXT = (
    "{prompt}\nNegative prompt: {negative}\nSteps: {steps}, Sampler: {sampler}, Schedule type: Karras, CFG scale: 7, Seed: {seed}, "
    "Size: {width}x{height}, Model hash: 0a1b2c3d4e, Model: {model}, Version: v1.10.1"
)


def write_picture(path: Path, *, at_s: float | None = None, text: str | None = None, **said: object) -> Path:
    """A small picture whose file says so; at_s: its time. text: in place of A1111's."""
    facts = {"prompt": "a red apple", "negative": "blurry", "steps": 20, "sampler": "Euler a", "seed": 1, "width": 32, "height": 24,
             "model": "starter", **said}  # fmt: skip
    image = Image.new("RGB", (int(str(facts["width"])), int(str(facts["height"]))), (int(str(facts["seed"])) * 7 % 255, 90, 40))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(image, path.suffix[1:], infotext=TEXT.format(**facts) if text is None else text))
    if at_s is not None:
        os.utime(path, (at_s, at_s))
    return path
