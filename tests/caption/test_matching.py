"""How well texts fit, against transformers' own ITM and ITC scores and CLIP's cosines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image

from modules.caption.installed import describe
from modules.caption.loading import load
from modules.caption.matching import Fit, image_features, match, text_features
from modules.folders import PROGRAM

TEXTS = ["a cat", "the small red dog in a tree", "a photo of the blue sky on a house", "what"]


def by_text(fits: list[Fit]) -> dict[str, Fit]:
    return {fit.text: fit for fit in fits}


def test_itm_and_itc_are_transformers_own(model_of: Callable[[str], Path], captioner_of: Any, pictures: list[Image.Image]):
    folder = model_of("blip-itm")
    model: Any = transformers.BlipForImageTextRetrieval.from_pretrained(folder, local_files_only=True).eval()
    processor: Any = transformers.BlipProcessor.from_pretrained(folder, local_files_only=True)
    found = match(captioner_of("blip-itm"), pictures, TEXTS)
    for image, fits in zip(pictures, found, strict=True):
        rows = by_text(fits)
        assert [fit.chance for fit in fits] == sorted((fit.chance for fit in fits), reverse=True)  # pyright: ignore[reportArgumentType]
        for text in TEXTS:
            inputs = processor(images=image, text=text, return_tensors="pt")
            with torch.inference_mode():
                itm = model(**inputs, use_itm_head=True).itm_score.softmax(1)[0, 1].item()
                itc = model(**inputs, use_itm_head=False).itm_score[0, 0].item()
            assert rows[text].chance == pytest.approx(itm, abs=1e-4)
            assert rows[text].cosine == pytest.approx(itc, abs=1e-4)
    assert len({round(fit.chance or 0, 3) for fits in found for fit in fits}) > 4


def test_clips_cosines_are_transformers_own(model_of: Callable[[str], Path], captioner_of: Any, pictures: list[Image.Image]):
    folder = model_of("clip")
    model: Any = transformers.CLIPModel.from_pretrained(folder, local_files_only=True).eval()
    processor: Any = transformers.CLIPProcessor.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        made = model(**processor(images=pictures, text=TEXTS, padding=True, return_tensors="pt"))
        wanted = made.logits_per_image / model.logit_scale.exp()
    assert len({round(cosine, 3) for cosine in wanted.flatten().tolist()}) > 8
    for row, fits in zip(wanted.tolist(), match(captioner_of("clip"), pictures, TEXTS), strict=True):
        assert [fit.cosine for fit in fits] == sorted((fit.cosine for fit in fits), reverse=True)
        assert {fit.text: fit.chance for fit in fits} == dict.fromkeys(TEXTS)
        assert {fit.text: fit.cosine for fit in fits} == pytest.approx(dict(zip(TEXTS, row, strict=True)), abs=1e-5)


@pytest.mark.parametrize("kind", ["clip", "blip-itm"])
def test_features_do_not_depend_on_their_neighbours(kind: str, captioner_of: Any, pictures: list[Image.Image]):
    scorer = captioner_of(kind)
    many = text_features(scorer, TEXTS * 40)
    assert many.shape[0] == 160
    assert torch.allclose(many[:1], text_features(scorer, TEXTS[:1]), atol=1e-5)
    assert torch.allclose(image_features(scorer, pictures)[2:3], image_features(scorer, pictures[2:3]), atol=1e-5)
    assert torch.allclose(many.norm(dim=1), torch.ones(160), atol=1e-5)


def test_a_text_that_is_too_long_is_cut(captioner_of: Any, pictures: list[Image.Image]):
    for kind in ("clip", "blip-itm"):
        (fits,) = match(captioner_of(kind), pictures[:1], ["cat " * 500])
        assert -1 <= fits[0].cosine <= 1


def test_the_starters_scorer_knows_its_colours():
    scorer = load(describe(PROGRAM / "models" / "CLIP" / "darkroom-starter-scorer"), device="cpu", dtype="float32")
    image = Image.new("RGB", (128, 128), (250, 214, 60))
    colours = [f"a 3d heart on a {colour} background" for colour in ("black", "blue", "yellow", "white")]
    (fits,) = match(scorer, [image], colours)
    assert "yellow" in fits[0].text
