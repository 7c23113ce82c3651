"""Sample prompts as people write them, in the way of kohya's prompt files: options after two dashes at the end of the line.

    a cat on a sofa --n blurry --w 768 --h 512 --d 7 --l 6.5 --s 30

--n what it should not be, --w and --h the size, --d the seed, --l the CFG scale, --s the steps. Start reading at `asked_of`.
"""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.faults import RequestFault
from modules.folders import write_atomic
from modules.request.train import TrainConfig
from modules.train.trainee import SampleAsked

_OPTION = re.compile(r"\s--([nwhdlsg])\s+")
_LIMITS = {"w": (8, 8192), "h": (8, 8192), "s": (1, 1000), "d": (0, 2**63 - 1)}


def asked_of(text: str, config: TrainConfig) -> SampleAsked:
    """A line of sample_prompts as a request. Raises RequestFault("sample_prompts") naming the line and the option."""
    prompt, *options = _OPTION.split(f" {text}")
    found = SampleAsked(prompt=prompt.strip(), steps=config.sample_steps, seed=config.sample_seed)
    for letter, value in zip(options[::2], options[1::2], strict=True):
        found = _with(found, letter, value.strip(), text)
    return found


def _with(asked: SampleAsked, letter: str, value: str, line: str) -> SampleAsked:
    if letter == "n":
        return replace(asked, negative_prompt=value)
    try:
        if letter in ("l", "g"):
            number = float(value)
            if not 0 <= number <= 100:
                raise ValueError
            return replace(asked, cfg_scale=number)
        whole = int(value)
        low, high = _LIMITS[letter]
        if not low <= whole <= high:
            raise ValueError
    except ValueError:
        raise RequestFault("sample_prompts", f"--{letter} needs a number that makes sense", got=line) from None
    return replace(asked, **{{"w": "width", "h": "height", "s": "steps", "d": "seed"}[letter]: whole})


def sample_path(folder: Path, step: int, number: int) -> Path:
    """samples/000250-0.png: the step, and which prompt."""
    return folder / f"{step:06d}-{number}.png"


def keep_sample(path: Path, image: Image.Image, asked: SampleAsked, step: int) -> None:
    """Write a sample with what it was made from. Raises DiskFault."""
    info = PngInfo()
    negative = f"\nNegative prompt: {asked.negative_prompt}" if asked.negative_prompt else ""
    scale = f", CFG scale: {asked.cfg_scale:g}" if asked.cfg_scale is not None else ""
    size = f"{image.width}x{image.height}"
    info.add_itxt(
        "parameters", f"{asked.prompt}{negative}\nSteps: {asked.steps}{scale}, Seed: {asked.seed}, Size: {size}, Training step: {step}"
    )
    data = io.BytesIO()
    image.save(data, "PNG", pnginfo=info)
    write_atomic(path, data.getvalue())
