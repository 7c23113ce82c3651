"""Which family a model folder is of, and why not another; from descriptions alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modules.families import FAMILIES, candidates, identify, shipped
from modules.faults import ModelFault
from modules.weights.model_folder import ModelFolder, read


def shipped_folder(name: str) -> ModelFolder:
    """A shipped config folder as if it were a model's."""
    components = shipped.components(name)
    parts = [part for part in components if not part.startswith("tokenizer")]
    return ModelFolder(
        path=Path(name),
        pipeline=json.loads((shipped.folder(name) / "model_index.json").read_text())["_class_name"],
        components={part: row[1] for part, row in components.items()},
        configs={part: shipped.config(name, part) for part in parts},
    )


SD15 = shipped_folder("sd15")
VARIANTS = [(family.id, name, row.config) for _, family in FAMILIES for name, row in family.variants.items()]


def test_the_starter_is_of_the_first_family(starter_path: Path) -> None:
    family, match = identify(read(starter_path))
    assert (family.id, match.variant, match.native_px, match.prediction) == ("sd15", "", 128, "v_prediction")


@pytest.mark.parametrize(("family_id", "variant", "config"), VARIANTS)
def test_every_published_folder_is_known_by_one_family(family_id: str, variant: str, config: str) -> None:
    folder = shipped_folder(config)
    fits = [(family, match) for family, match in candidates(folder) if match.fits]
    assert [family.id for family, _ in fits] == [family_id]
    family, match = fits[0]
    same_as = {"sdxl-few-step": "", "sd3.5-large-turbo": "3.5-large"}  # nothing in these folders tells them from the slower ones
    assert match.variant == same_as.get(config, variant)
    assert match.native_px == family.variant(variant).native_px
    assert set(match.parts) == {part for part in folder.configs if part != "scheduler"}
    assert match.prediction == ("v_prediction" if config == "sd2-768" else family.prediction)
    assert all(match.why for _, match in candidates(folder))


def test_sizes_and_pace_are_read_from_a_folder() -> None:
    unet = {**SD15.configs["unet"], "sample_size": [96, 96]}
    assert identify(replace(SD15, configs={**SD15.configs, "unet": unet}))[1].native_px == 768
    xl = shipped_folder("sdxl")
    turbo = {**xl.configs["scheduler"], "timestep_spacing": "trailing"}
    components = {**xl.components, "scheduler": "EulerAncestralDiscreteScheduler"}
    assert identify(replace(xl, components=components, configs={**xl.configs, "scheduler": turbo}))[1].variant == "few-step"


def test_a_small_model_of_other_widths_is_told_by_structure() -> None:
    def changed(**values: Any) -> str:
        return identify(replace(SD15, configs={**SD15.configs, "unet": {**SD15.configs["unet"], **values}}))[0].id

    assert changed(cross_attention_dim=32) == "sd15"
    assert changed(cross_attention_dim=32, use_linear_projection=True) == "sd2"
    assert changed(cross_attention_dim=1024) == "sd2"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pipeline": "PixArtAlphaPipeline"}, "a PixArt model"),
        ({"pipeline": "SomethingElsePipeline"}, "SomethingElsePipeline"),
        ({"pipeline": ""}, "not named"),
        ({"components": {**SD15.components, "vae": "AutoencoderTiny"}}, "AutoencoderTiny"),
        ({"components": {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}}, "no text encoder"),
        ({"configs": {**SD15.configs, "unet": {**SD15.configs["unet"], "in_channels": 6}}}, "takes 6 channels"),
        ({"configs": {**SD15.configs, "unet": {**SD15.configs["unet"], "in_channels": 5}}}, "a depth model"),
        ({"configs": {**SD15.configs, "unet": {**SD15.configs["unet"], "out_channels": 8}}}, "gives 8 channels"),
        ({"configs": {**SD15.configs, "unet": {**SD15.configs["unet"], "num_class_embeds": 1000}}}, "class labels"),
        ({"configs": {}}, "no UNet"),
    ],
)
def test_others_are_refused_with_each_familys_reason(change: dict, words: str) -> None:
    with pytest.raises(ModelFault, match=words) as caught:
        identify(replace(SD15, **change))
    assert set(caught.value.extra["reasons"]) == {family.title for _, family in FAMILIES}
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    ("config", "part", "values"),
    [
        ("sd15", "unet", {"in_channels": "many", "cross_attention_dim": None, "sample_size": "big", "out_channels": 4}),
        ("sd15", "vae", {"latent_channels": "four"}),
        ("sdxl", "unet", {"projection_class_embeddings_input_dim": [], "transformer_layers_per_block": "x"}),
        ("sd3-medium", "transformer", {"num_attention_heads": -1, "in_channels": {}}),
        ("flux-dev", "transformer", {"in_channels": True, "guidance_embeds": "yes", "num_layers": 1e9}),
        ("sdxl", "scheduler", {"prediction_type": ["v"], "timestep_spacing": 3}),
    ],
)
def test_nonsense_in_a_config_from_outside_crashes_nothing(config: str, part: str, values: dict) -> None:
    folder = shipped_folder(config)
    broken = replace(folder, configs={**folder.configs, part: {**folder.configs[part], **values}})
    assert len(candidates(broken)) == len(FAMILIES)


def test_facts_agree_with_the_configs() -> None:
    """Cells, channels, text encoders and pipeline classes are what the published parts have."""
    import diffusers

    for _, family in FAMILIES:
        assert set(family.optional) <= set(family.text_encoders)
        assert bool(family.optional) == bool(family.optional_note)
        assert len(family.encoder_kinds) == len(family.text_encoders)
        for name, variant in family.variants.items():
            vae = shipped.config(variant.config, "vae")
            assert vae["latent_channels"] == family.latent_channels
            assert 2 ** (len(vae["block_out_channels"]) - 1) == family.cell_px
            assert family.denoiser in shipped.components(variant.config)
            encoders = {part for part in shipped.components(variant.config) if part.startswith("text_encoder")}
            assert encoders <= set(family.text_encoders)
            assert variant.native_px % family.multiple_of_px == 0
            low, high = family.pixels_of(name)
            assert (low or 0) <= variant.native_px**2 <= (high or variant.native_px**2)
            assert all(hasattr(diffusers, kind) for kind in variant.tasks.values())
            assert {"steps", "cfg_scale", "sampler_name", "scheduler"} <= set(family.defaults_of(name))
