"""A captioner exported to ONNX against torch: sizes of the files, captions that stay the same, and speed, for float32 and int8.

    python -m benchmarks.captions_onnx [--pictures 100] [--model models/BLIP/darkroom-starter-captioner] [--folder PICTURES] [--threads 1]

Without --folder the starter's own model paints the pictures. The captioner is copied to a scratch folder, exported there, and captions
every picture word by word and with 3 beams; the three take turns picture by picture, so that a busy machine slows all of them.
Exits with 1 when the int8 file is above 0.30 of the float32 one, or fewer than 90 % of the captions stay the same. Start reading at `main`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image

from modules.caption.installed import describe
from modules.caption.loading import Captioner, load
from modules.caption.onnx_export import export
from modules.caption.onnx_files import FLOAT32, INT8, PRECISIONS, size_bytes
from modules.caption.writing import write
from modules.folders import PROGRAM
from modules.request.caption import ONNX, Writing

STARTER = PROGRAM / "models" / "BLIP" / "darkroom-starter-captioner"
PAINTER = PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter"
THINGS = (
    "red apple", "banana", "cat face", "dog face", "red heart", "automobile", "house", "rocket", "pizza", "panda", "crown", "frog",
    "airplane", "star", "birthday cake", "umbrella with rain drops", "robot", "fish", "tulip", "guitar",
)  # fmt: skip
COLOURS = ("white", "blue", "green", "yellow", "pink")
MOST_RATIO, LEAST_SAME = 0.30, 0.90
WAYS: dict[str, dict[str, Any]] = {"word by word": {"num_beams": 1}, "3 beams": {"num_beams": 3}}
AS_USUAL: dict[str, Any] = {
    "min_length": 0, "max_length": 24, "do_sample": False, "top_k": 50, "top_p": 1.0, "temperature": 1.0, "repetition_penalty": 1.0,
    "length_penalty": 1.0, "early_stopping": True,
}  # fmt: skip


@dataclass
class Row:
    """Of one form of the model and one way of writing. texts: its captions; seconds: of each picture."""

    texts: list[str] = field(default_factory=list[str])
    seconds: list[float] = field(default_factory=list[float])


def painted(count: int) -> list[Image.Image]:
    """Pictures by the starter's own model, 128 x 128."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipe: Any = StableDiffusionPipeline.from_pretrained(PAINTER, torch_dtype=torch.float32, safety_checker=None)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    prompts = [f"a {thing} on a {colour} background" for colour in COLOURS for thing in THINGS]
    found: list[Image.Image] = []
    while len(found) < count:
        some = [prompts[(len(found) + n) % len(prompts)] for n in range(min(10, count - len(found)))]
        noise = torch.Generator().manual_seed(len(found))
        found += pipe(some, height=128, width=128, num_inference_steps=12, guidance_scale=5.0, generator=noise).images
    return found


def from_folder(folder: Path, count: int) -> list[Image.Image]:
    """The first pictures of a folder, by name."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"))[:count]
    return [Image.open(path).convert("RGB") for path in files]


def measured(forms: dict[str, Captioner], pictures: Sequence[Image.Image], way: dict[str, Any]) -> dict[str, Row]:
    """Each form's captions and times; the forms take turns at each picture."""
    rows = {name: Row() for name in forms}
    how = Writing(**{**AS_USUAL, **way})
    for captioner in forms.values():
        write(captioner, pictures[:1], "", how)
    for picture in pictures:
        for name, captioner in forms.items():
            began = time.perf_counter()
            ((best, *_),) = write(captioner, [picture], "", how)
            rows[name].seconds.append(time.perf_counter() - began)
            rows[name].texts.append(best.text)
    return rows


def main() -> int:
    """Print the figures. Returns 0 when both promises hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--model", type=Path, default=STARTER)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    pictures = from_folder(asked.folder, asked.pictures) if asked.folder else painted(asked.pictures)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / asked.model.name
        shutil.copytree(asked.model, folder)
        found = describe(folder)
        plain = load(found, device="cpu", dtype="float32")
        began = time.perf_counter()
        about = export(load(found, device="cpu", dtype="float32"), PRECISIONS)
        print(f"exported in {time.perf_counter() - began:.0f} s; {dict(about.checked or {})}")
        sizes = {name: size_bytes(folder, name) for name in PRECISIONS}
        ratio = sizes[INT8] / sizes[FLOAT32]
        print(f"files: float32 {sizes[FLOAT32] / 1e6:.2f} MB, int8 {sizes[INT8] / 1e6:.2f} MB, ratio {ratio:.3f}")
        forms = {"torch": plain} | {name: load(found, device="cpu", dtype="float32", precision=name, backend=ONNX) for name in PRECISIONS}
        least = 1.0
        for way, fields in WAYS.items():
            rows = measured(forms, pictures, fields)
            base = rows["torch"]
            for name in PRECISIONS:
                same = sum(a == b for a, b in zip(base.texts, rows[name].texts, strict=True)) / len(pictures)
                speed = median(a / b for a, b in zip(base.seconds, rows[name].seconds, strict=True))
                spread = f"{median(base.seconds) * 1000:.1f} ms by torch, {median(rows[name].seconds) * 1000:.1f} ms by ONNX"
                print(f"{way}, {name}: same caption {same:.1%} of {len(pictures)}, speed {speed:.2f} x torch ({spread})")
                least = min(least, same)
    return 0 if ratio <= MOST_RATIO and least >= LEAST_SAME else 1


if __name__ == "__main__":
    sys.exit(main())
