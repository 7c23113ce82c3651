"""What a prompt says can be seen: editing, AND, emphasis and the negative prompt move the starter model's pictures the way they
should, as the starter pack's own scorer sees it, over several seeds.

Words and backgrounds are those that the model draws surely (starter/README.md). Start reading at `leaning`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from PIL import Image

from modules.folders import PROGRAM
from tests.model.conftest import Studio

SEEDS = 4
HEART, PANDA = "a red heart", "a panda"
BLUE, YELLOW = "a panda on a blue background", "a panda on a yellow background"
Leaning = Callable[..., torch.Tensor]


@pytest.fixture(scope="module")
def score() -> Callable[[Sequence[Image.Image], Sequence[str]], torch.Tensor]:
    """Similarity (pictures, texts) in the scorer's logits."""
    from transformers import CLIPModel, CLIPTokenizer

    folder = PROGRAM / "models" / "CLIP" / "darkroom-starter-scorer"
    model: Any = CLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    @torch.inference_mode()
    def scored(images: Sequence[Image.Image], texts: Sequence[str]) -> torch.Tensor:
        pixels = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]) / 127.5 - 1
        ids = tokenizer(list(texts), padding=True, return_tensors="pt")
        seen = functional.normalize(model.visual_projection(model.vision_model(pixels).pooler_output), dim=1)
        said = functional.normalize(model.text_projection(model.text_model(**ids).pooler_output), dim=1)
        return seen @ said.T * model.logit_scale.exp()

    return scored


@pytest.fixture
def leaning(studio: Studio, score: Callable[[Sequence[Image.Image], Sequence[str]], torch.Tensor]) -> Leaning:
    """Of one prompt's pictures: how much more each looks like the first text than like the second, in logits; above 0 is the first."""

    def measured(first: str, second: str, prompt: str, negative_prompt: str = "") -> torch.Tensor:
        asked = {"steps": 8, "cfg_scale": 5, "seed": 100, "batch_size": SEEDS, "width": 128, "height": 128}
        likeness = score(studio.pictures(prompt=prompt, negative_prompt=negative_prompt, **asked), [first, second])
        return likeness[:, 0] - likeness[:, 1]

    return measured


def test_the_scorer_tells_them_apart(leaning: Leaning) -> None:
    """Without this the others say nothing."""
    assert (leaning(HEART, PANDA, HEART) > 3).all()
    assert (leaning(HEART, PANDA, PANDA) < -3).all()


def test_editing_shows_the_second_when_it_comes_early_and_the_first_when_it_comes_late(leaning: Leaning) -> None:
    early, late = (leaning(HEART, PANDA, f"[{HEART}:{PANDA}:{when}]") for when in (0.15, 0.85))
    assert (early < 0).all()
    assert (late > 0).all()
    early, late = (leaning(BLUE, YELLOW, f"a panda on a [blue:yellow:{when}] background") for when in (0.15, 0.85))
    assert (early < 0).all()
    assert (late > 0).all()


def test_and_pulls_towards_the_part_of_more_weight(leaning: Leaning) -> None:
    yellow, blue = (leaning(BLUE, YELLOW, f"{YELLOW}:{a} AND {BLUE}:{b}") for a, b in ((1, 0.3), (0.3, 1)))
    assert (yellow < 0).all()
    assert (blue > 0).all()


def test_emphasis_decides_between_two_things(leaning: Leaning) -> None:
    heart, panda = (leaning(HEART, PANDA, f"({HEART}:{a}) ({PANDA}:{b})") for a, b in ((1.6, 0.4), (0.4, 1.6)))
    assert (heart > 0).all()
    assert (panda < 0).all()


def test_the_negative_prompt_pushes_its_colour_out(leaning: Leaning) -> None:
    green, both = "a panda on a green background", "a panda on a green yellow background"
    assert (leaning(green, YELLOW, both) < 0).all()
    assert (leaning(green, YELLOW, both, "on a yellow background") > 0).all()
