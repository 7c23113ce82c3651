"""What a network is told of a caption, against the pipelines' own encoding."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.train.networks.rig import Built, denoising

CAPTIONS = ["a (red:1.3) cat", "", "the same cat, on a table"]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "sd15": {"do_classifier_free_guidance": False},
    "sdxl": {"do_classifier_free_guidance": False},
    "sd3": {"do_classifier_free_guidance": False, "prompt_2": None, "prompt_3": None, "max_sequence_length": 256},
    "flux": {"prompt_2": None},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_short_captions_are_encoded_as_the_pipeline_does(pipelines: Built, name: str):
    pipeline = pipelines(name)
    texts = denoising(name, pipeline).texts
    with torch.no_grad():
        found = texts.encode(CAPTIONS)
        words, *more = pipeline.encode_prompt(CAPTIONS, device="cpu", num_images_per_prompt=1, **ARGUMENTS[name])
        assert torch.allclose(found.words, words, atol=1e-6)
        if found.pooled is not None:
            pooled = next(one for one in more if one is not None and one.ndim == 2 and one.shape == found.pooled.shape)
            assert torch.allclose(found.pooled, pooled, atol=1e-6)
        stacked = texts.stack([texts.pieces(caption) for caption in CAPTIONS], "cpu", torch.float32)
        assert torch.allclose(stacked.words, found.words, atol=1e-5)


def test_a_long_caption_goes_on_in_further_chunks(pipelines: Built):
    texts = denoising("sdxl", pipelines("sdxl")).texts
    first, second = "a cat, " * 25, "a dog, " * 25  # 75 tokens each
    with torch.no_grad():
        both, alone = texts.encode([first + second, "a cat"]), texts.encode([first])
        cut = texts.encode([(first + second) * 4])
    assert both.words.shape[1] == 154
    assert cut.words.shape[1] == 231
    assert torch.allclose(both.words[:1, :77], alone.words, atol=1e-5)
    assert both.pooled is not None
    assert alone.pooled is not None
    assert torch.allclose(both.pooled[:1], alone.pooled, atol=1e-5)
    assert not torch.allclose(both.words[0, 77:], both.words[0, :77], atol=1e-2)
