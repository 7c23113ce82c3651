"""The weights in the repository: each part loads as anyone would load it, offline, and does what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torchvision.transforms.functional import to_pil_image, to_tensor

from modules.folders import PROGRAM
from starter.make import PLACES
from tests.starter.shapes import distance_db, shapes

MODELS = PROGRAM / "models"
LIMIT_BYTES = 70_000_000
THERE = [part for part, place in PLACES.items() if (MODELS / place).exists()]
PROMPTS = ("a strawberry, 3d", "a red heart", "a panda", "a car on a yellow background")


def weights() -> Iterator[Path]:
    for part in THERE:
        place = MODELS / PLACES[part]
        yield from place.rglob("*.safetensors") if place.is_dir() else [place] * (place.suffix == ".safetensors")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """One a prompt, made by the starter itself."""
    from diffusers import StableDiffusionPipeline

    pipeline: Any = StableDiffusionPipeline.from_pretrained(
        MODELS / PLACES["pipeline"], dtype=torch.float32, safety_checker=None, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(n) for n in range(len(PROMPTS))]
    return pipeline(list(PROMPTS), num_inference_steps=20, guidance_scale=5.0, generator=generators).images


def test_what_is_there():
    assert set(THERE) == set(PLACES)


def test_all_is_half_precision_and_small():
    for path in weights():
        with safe_open(path, "pt") as file:
            assert {file.get_slice(name).get_dtype() for name in file.keys()} <= {"F16", "I64"}, path  # noqa: SIM118
    files = [
        f for part in THERE for f in ([MODELS / PLACES[part]] if (MODELS / PLACES[part]).is_file() else (MODELS / PLACES[part]).rglob("*"))
    ]
    assert sum(f.stat().st_size for f in files if f.is_file()) <= LIMIT_BYTES


def test_spandrel_loads_the_upscaler_and_it_is_clearer_than_lanczos():
    from spandrel import ModelLoader

    model = ModelLoader(device="cpu").load_from_file(MODELS / PLACES["starter-2x.safetensors"]).eval()
    whole = shapes(128)
    half = whole.resize((64, 64), Image.Resampling.BOX)
    with torch.inference_mode():
        ours = to_pil_image(model(to_tensor(half)[None])[0].clamp(0, 1))
    found, plain = distance_db(ours, whole), distance_db(half.resize((128, 128), Image.Resampling.LANCZOS), whole)
    assert found > plain + 1, (found, plain)


def test_the_captioner_names_what_was_drawn(pictures: list[Image.Image]):
    from transformers import BlipForConditionalGeneration, BlipProcessor

    folder = MODELS / PLACES["captioner"]
    model: Any = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    processor: Any = BlipProcessor.from_pretrained(folder, local_files_only=True)
    made = model.generate(**processor(images=pictures, return_tensors="pt"))
    texts = processor.batch_decode(made, skip_special_tokens=True)
    assert "strawberry" in texts[0], texts
    assert "heart" in texts[1], texts
    assert "yellow background" in texts[3], texts
    assert all("white background" in text for text in texts[:3]), texts


def test_the_scorer_finds_the_right_words(pictures: list[Image.Image]):
    from transformers import CLIPModel, CLIPProcessor

    folder = MODELS / PLACES["scorer"]
    model: Any = CLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    processor: Any = CLIPProcessor.from_pretrained(folder, local_files_only=True)
    words = ["a 3d strawberry on a white background", "a 3d heart on a white background", "a 3d panda bear on a white background"]
    words.append("a 3d car on a yellow background")
    inputs = processor(text=words, images=pictures, return_tensors="pt", padding="max_length", max_length=77)
    with torch.inference_mode():
        best = model(**inputs).logits_per_image.argmax(1).tolist()
    assert sum(n == found for n, found in enumerate(best)) >= 3, best
