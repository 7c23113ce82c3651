"""Which family a model folder is of, and why not another; from descriptions alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modules.families import FAMILIES, identify
from modules.faults import ModelFault
from modules.weights.model_folder import ModelFolder, read

SD15 = ModelFolder(
    path=Path("sd15"),
    pipeline="StableDiffusionPipeline",
    components={"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel", "tokenizer": "CLIPTokenizer"},
    configs={
        "unet": {"in_channels": 4, "sample_size": 64, "cross_attention_dim": 768},
        "vae": {"latent_channels": 4, "block_out_channels": [128, 256, 512, 512]},
        "text_encoder": {"hidden_size": 768},
    },
)


def test_the_starter_and_the_published_shapes_are_known(starter_path: Path) -> None:
    assert identify(read(starter_path))[1].native_px == 128
    family, match = identify(SD15)
    assert (family.id, match.native_px) == ("sd", 512)
    sd21 = replace(SD15, configs={**SD15.configs, "unet": {"in_channels": 4, "sample_size": 96, "cross_attention_dim": 1024}})
    assert identify(sd21)[1].native_px == 768


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pipeline": "FluxPipeline"}, "FluxPipeline"),
        ({"pipeline": ""}, "not named"),
        ({"components": {**SD15.components, "vae": "AutoencoderTiny"}}, "AutoencoderTiny"),
        ({"configs": {**SD15.configs, "unet": {"in_channels": 9, "sample_size": 64}}}, "9 channels"),
    ],
)
def test_others_are_refused_with_each_familys_reason(change: dict, words: str) -> None:
    with pytest.raises(ModelFault, match=words) as caught:
        identify(replace(SD15, **change))
    assert all(family.title in caught.value.message for _, family in FAMILIES)
