"""The configuration of a training: checked, written as TOML and read again, with presets that are themselves whole."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.faults import DiskFault, RequestFault, UnknownName
from modules.knobs import knobs_of
from modules.request.train import DREAMBOOTH, PRESETS, TrainConfig, presets_for, with_preset

FAMILIES = {"sd15", "sd2", "sdxl", "sd3", "flux"}


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=4), st.floats(0, 100), st.integers(0, 2**63 - 1), st.booleans())
def test_what_is_written_is_what_is_read(word: str, prompts: list[str], rate: float, seed: int, flip: bool):
    config = TrainConfig.from_data({"trigger_word": word, "sample_prompts": prompts, "learning_rate": rate, "seed": seed, "flip_aug": flip})
    assert TrainConfig.from_toml(config.to_toml()) == config
    assert tomllib.loads(config.to_toml()) == config.to_data()


def test_a_file_is_read_by_people_too(tmp_path: Path):
    TrainConfig(trigger_word="ohwx").save(tmp_path / "config.toml")
    text = (tmp_path / "config.toml").read_text(encoding="utf-8")
    assert "# Trigger word. Put before every caption" in text
    assert 'trigger_word = "ohwx"' in text
    assert TrainConfig.load(tmp_path / "config.toml").trigger_word == "ohwx"


@pytest.mark.parametrize(
    ("text", "field", "word"),
    [
        ("seed = 1\nlearning_rate = x", "config", "line 2"),
        ("[lora]\nrank = 4", "config", "table [lora]"),
        ("learning_rat = 1e-4", "train option", "learning_rate"),
        ("train_batch_size = 0", "train_batch_size", "between 1"),
        ("sample_prompts = [1]", "sample_prompts", "list of texts"),
        ('method = "magic"', "method", "lora"),
        ("seed = -1", "seed", "between 0"),
        ("prior_preservation = true", "class_prompt", "word for the class"),
        ("min_timestep = 900\nmax_timestep = 100", "min_timestep", "below"),
        ("min_bucket_reso = 2048\nmax_bucket_reso = 1024", "min_bucket_reso", "longest side"),
        ("resolution = 16", "resolution", "at least 32"),
        ("bucket_reso_steps = 4", "bucket_reso_steps", "follows from the model"),
        ("min_snr_gamma = 5\ndebiased_estimation_loss = true", "debiased_estimation_loss", "min_snr_gamma"),
        ('method = "dreambooth"\ntext_encoder_steps = 10', "text_encoder_lr", "1e-6"),
        ('optimizer_args = ["d_coef"]', "optimizer_args", "name=number"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(text: str, field: str, word: str):
    with pytest.raises(RequestFault) as fault:
        TrainConfig.from_toml(text)
    assert fault.value.field == field
    assert word in f"{fault.value.message} {fault.value.extra.get('allowed')}"


def test_a_file_that_is_no_text_or_too_large_is_a_fault(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestFault, match="UTF-8"):
        TrainConfig.load(path)
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(RequestFault, match="larger"):
        TrainConfig.load(path)
    with pytest.raises(DiskFault):
        TrainConfig.load(tmp_path / "none.toml")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_whole_and_says_what_it_is_for(name: str):
    preset = PRESETS[name]
    config = with_preset(TrainConfig(checkpoint="model"), name)
    assert config.method == preset.method
    assert set(preset.families) <= FAMILIES
    assert preset.values.keys() <= knobs_of(TrainConfig).keys()
    assert {field: getattr(config, field) for field in preset.values} == dict(preset.values)


def test_every_family_has_a_preset_for_small_and_large_memory():
    for family in FAMILIES:
        found = presets_for(family, "lora", 141)
        assert found, family
        memory = [preset.memory_gb for preset in found.values()]
        assert memory == sorted(memory, reverse=True)
    assert list(presets_for("sd15", "lora")) == ["lora-cpu"]
    assert "lora-sd2-768-10gb" not in presets_for("sd2", "lora", 24, 512)
    with pytest.raises(UnknownName):
        with_preset(TrainConfig(), "fast-dream")


def test_fast_dreambooth_is_as_its_notebook_has_it():
    config = with_preset(TrainConfig(), "fast-DreamBooth")
    assert (config.method, config.text_encoder_steps, config.text_encoder_lr) == (DREAMBOOTH, 350, 1e-6)
    assert (config.max_train_steps, config.learning_rate, config.total_steps) == (1500, 2e-6, 1850)
    assert (config.closed(512).resolution, config.train_batch_size, config.mixed_precision) == (512, 1, "fp16")
    assert (config.optimizer, config.lr_scheduler, config.lr_warmup_steps) == ("AdamW8bit", "linear", 0)
    on_sd2 = with_preset(TrainConfig(), "fast-DreamBooth-sd2")
    assert on_sd2 == config.changed(text_encoder_resolution=576), "its text encoder's stage has a largest size on SD2"


def test_sizes_follow_from_the_model_until_someone_says_one():
    read = TrainConfig.from_toml(TrainConfig().to_toml())
    assert (read.resolution, read.closed(128).resolution, read.closed(1024).resolution) == (0, 128, 1024)
    assert TrainConfig(resolution=640).closed(1024).resolution == 640
    assert "resolution = 0" in read.to_toml()
    assert not {name for name, preset in PRESETS.items() if preset.values["resolution"]}, "every preset suits models of every size"


def test_pictures_of_the_class_are_for_networks_and_whole_models():
    word = TrainConfig.from_data({"method": "textual_inversion", "prior_preservation": True})
    assert not word.closed(512).prior_preservation
    assert TrainConfig(prior_preservation=True, class_prompt="a cat").closed(512).prior_preservation
    assert not any(preset.values.get("prior_preservation") for preset in PRESETS.values())


def test_every_field_is_a_knob_with_words_for_people():
    knobs = knobs_of(TrainConfig)
    assert knobs.keys() == {field.name for field in dataclasses.fields(TrainConfig)}
    assert all(field.knob.label for field in knobs.values())
    labels = [field.knob.label for field in knobs.values()]
    assert len(set(labels)) == len(labels)
