"""The shipped configs build the published models, and the shipped tokenizers give the published tokens."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from modules.families import FAMILIES, shipped
from tests.families.full_size import component_shapes

# Millions of weights, as the makers publish them or as counted in their files.
MILLIONS = {
    ("sd15", "unet"): 859.5,
    ("sd15", "text_encoder"): 123.1,
    ("sd15", "vae"): 83.7,
    ("sd2-768", "unet"): 865.9,
    ("sd2-768", "text_encoder"): 340.4,
    ("sdxl", "unet"): 2567.5,
    ("sdxl", "text_encoder_2"): 694.7,
    ("sdxl-refiner", "unet"): 2259.5,
    ("sd3-medium", "transformer"): 2028.3,
    ("sd3.5-medium", "transformer"): 2243.2,
    ("sd3.5-large", "transformer"): 8056.6,
    ("sd3.5-large", "text_encoder_3"): 4762.3,
    ("sd3.5-large", "vae"): 83.8,
    ("flux-dev", "transformer"): 11901.4,
    ("flux-schnell", "transformer"): 11891.2,
}


@pytest.mark.parametrize(("config", "component"), MILLIONS)
def test_the_number_of_weights_is_the_published_one(config: str, component: str) -> None:
    shapes = component_shapes(config, component)
    weights = sum(math.prod(shape) for name, shape in shapes.items() if name != "pos_embed.pos_embed")
    assert round(weights / 1e6, 1) == MILLIONS[config, component]


def test_every_variant_has_its_folder_and_every_folder_its_variant() -> None:
    used = {variant.config for _, family in FAMILIES for variant in family.variants.values()}
    assert used == set(shipped.names())


@pytest.mark.parametrize("name", shipped.names())
def test_a_folder_is_whole(name: str) -> None:
    import diffusers

    for component, (library, kind) in shipped.components(name).items():
        if component.startswith("tokenizer"):
            row = json.loads((shipped.folder(name) / "tokenizers.json").read_text())[component]
            assert (shipped.TOKENIZERS / row["files"] / "tokenizer_config.json").is_file()
        elif library == "diffusers":
            known = getattr(diffusers, kind)._get_init_keys(getattr(diffusers, kind))  # a mistyped option would be ignored
            config = shipped.config(name, component)
            assert {key for key in config if not key.startswith("_")} <= known
        else:
            assert shipped.config(name, component)["architectures"] == [kind]
    with pytest.raises(KeyError, match="no 'nothing'"):
        shipped.config(name, "nothing")
    with pytest.raises(KeyError, match="config folder"):
        shipped.folder("sd9")


def test_clip_tokens_and_paddings() -> None:
    plain, padded = shipped.tokenizer("sdxl", "tokenizer"), shipped.tokenizer("sdxl", "tokenizer_2")
    assert len(plain) == len(padded) == 49408
    assert plain("a photo of a cat, 猫!").input_ids == [49406, 320, 1125, 539, 320, 2368, 267, 163, 234, 360, 256, 49407]
    assert plain("cat", padding="max_length", max_length=5).input_ids == [49406, 2368, 49407, 49407, 49407]
    assert padded("cat", padding="max_length", max_length=5).input_ids == [49406, 2368, 49407, 0, 0]
    assert plain.model_max_length == padded.model_max_length == 77


def test_t5_tokens_are_sentencepieces() -> None:
    """The expected numbers were made with sentencepiece from google/t5-v1_1-xxl's own spiece.model."""
    t5 = shipped.tokenizer("flux-dev", "tokenizer_2")
    assert t5("a photo of a cat").input_ids == [3, 9, 1202, 13, 3, 9, 1712, 1]
    assert t5("  An old  man, (reading:1.2) ÄÖ 猫!").input_ids == [389, 625, 388, 6, 41, 20316, 10, 10917, 61, 3, 2, 3, 2, 55, 1]
    assert t5("").input_ids == [1]
    assert (t5.model_max_length, shipped.tokenizer("flux-schnell", "tokenizer_2").model_max_length) == (512, 256)


def test_a_whole_config_folder_can_be_written(tmp_path: Path) -> None:
    folder = shipped.write("sdxl", tmp_path / "sdxl")
    assert {"unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler"} <= {p.name for p in folder.iterdir()}
    from transformers import CLIPTokenizer

    again = CLIPTokenizer.from_pretrained(folder / "tokenizer_2", local_files_only=True)
    assert (again.pad_token_id, len(again)) == (0, 49408)
