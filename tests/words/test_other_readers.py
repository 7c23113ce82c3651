"""Another program's reader (sd-parsers, from PyPI) understands our files."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from sd_parsers import ParserManager

from modules.infotext import write
from modules.pixels.metadata import encode
from tests.words.examples import resolved


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
def test_sd_parsers_reads_our_files(extension: str) -> None:
    asked = resolved(
        prompt='a red apple, (3d:1.2), "quoted"', negative_prompt="blurry, text", seed=77, settings={"CLIP_stop_at_last_layers": 2}
    )
    data = encode(Image.new("RGB", (64, 48)), extension, infotext=write(asked, 0))
    found = ParserManager().parse(io.BytesIO(data))
    assert found is not None
    assert [p.value for p in found.prompts] == ['a red apple, (3d:1.2), "quoted"']
    assert [p.value for p in found.negative_prompts] == ["blurry, text"]
    [sampler] = found.samplers
    assert (sampler.name, sampler.parameters["seed"], sampler.parameters["steps"]) == ("Euler a", "77", "20")
    assert [(m.name, m.hash) for m in found.models] == [("exampleMix_v1", "0a1b2c3d4e")]
