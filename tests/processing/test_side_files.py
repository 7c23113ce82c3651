"""VAE, text encoders and LoRAs that go with a checkpoint: found, missing, of another family."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modules.faults import ModelFault
from modules.folders import Folders
from modules.library import Library
from modules.processing.side_files import chosen_networks, chosen_parts, chosen_vae
from modules.prompts.networks import take_networks
from modules.request import Checkpoint
from modules.settings import Settings

SD1_KEY = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def vae_file(path: Path, channels: int = 4) -> None:
    """The two tensors that a VAE is known by."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"decoder.conv_in.weight": torch.zeros(8, channels, 3, 3), "decoder.conv_out.weight": torch.zeros(3, 8, 3, 3)}, path)


def lora_file(path: Path, width: int) -> None:
    """One module of a kohya LoRA whose attention reads text of that width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    save_file({f"{name}.lora_down.weight": torch.ones(4, width), f"{name}.lora_up.weight": torch.zeros(320, 4)}, path)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def library(tmp_path: Path, models: Path) -> Iterator[Library]:
    opened = Library(Folders.at(tmp_path / "data", models))
    yield opened
    opened.close()


@pytest.fixture
def starter(library: Library) -> Checkpoint:
    return library.find_checkpoint("darkroom-starter")


def test_no_vae_file_means_the_checkpoints_own(library: Library, starter: Checkpoint):
    assert chosen_vae("Automatic", starter, library) == (None, [])
    assert chosen_vae("None", starter, library) == (None, [])


def test_automatic_takes_the_file_named_like_the_checkpoint(library: Library, starter: Checkpoint, models: Path):
    vae_file(models / "VAE" / "darkroom-starter.vae.safetensors")
    library.refresh()
    found, warnings = chosen_vae("Automatic", starter, library)
    assert found is not None
    assert found.name == "darkroom-starter.vae.safetensors"
    assert len(found.sha256) == 64
    assert not warnings
    assert chosen_vae("None", starter, library) == (None, [])


def test_a_vae_by_name_and_one_that_is_not_there(library: Library, starter: Checkpoint, models: Path):
    vae_file(models / "VAE" / "soft.safetensors")
    library.refresh()
    assert chosen_vae("soft.safetensors", starter, library)[0] is not None
    found, warnings = chosen_vae("sharp.safetensors", starter, library)
    assert found is None
    assert "sharp.safetensors" in warnings[0]


def test_a_vae_with_other_latents_is_refused_with_both_names(library: Library, starter: Checkpoint, models: Path):
    vae_file(models / "VAE" / "sixteen.safetensors", channels=16)
    library.refresh()
    with pytest.raises(ModelFault, match=r"sixteen.*16 channels.*darkroom-starter.*needs 4"):
        chosen_vae("sixteen.safetensors", starter, library)


def test_loras_in_the_order_of_their_tags(library: Library, starter: Checkpoint, models: Path):
    lora_file(models / "Lora" / "cat.safetensors", 768)
    library.refresh()
    found, warnings = chosen_networks(take_networks("a <lora:cat:0.5> b <lora:cat:te=1:unet=2>")[1], starter, library)
    assert [(n.name, n.te, n.unet) for n in found] == [("cat", 0.5, 0.5), ("cat", 1.0, 2.0)]
    assert len(found[0].sha256) == 64
    assert not warnings


def test_a_lora_that_is_not_there_and_a_broken_tag_are_warnings(library: Library, starter: Checkpoint, models: Path):
    lora_file(models / "Lora" / "watercolour.safetensors", 768)
    library.refresh()
    found, warnings = chosen_networks(take_networks("<lora:watercolor:1> <lora:watercolour:x>")[1], starter, library)
    assert found == ()
    assert "'watercolor'" in warnings[0]
    assert "Did you mean 'watercolour'?" in warnings[0]
    assert "not numbers" in warnings[1]


def test_a_lora_of_another_family_is_refused_with_both_names(library: Library, starter: Checkpoint, models: Path):
    lora_file(models / "Lora" / "big.safetensors", 2048)
    library.refresh()
    with pytest.raises(ModelFault, match=r"big was made for Stable Diffusion XL; the checkpoint darkroom-starter"):
        chosen_networks(take_networks("<lora:big>")[1], starter, library)


@pytest.fixture
def lacking(library: Library, models: Path) -> Checkpoint:
    """A UNet alone."""
    (models / "Stable-diffusion").mkdir(parents=True)
    shapes = {SD1_KEY: (320, 768), "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)}
    shapes |= {"model.diffusion_model.out.2.weight": (4, 320, 3, 3), "model.diffusion_model.time_embed.0.weight": (1280, 320)}
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, models / "Stable-diffusion" / "alone.safetensors")
    library.refresh()
    return library.find_checkpoint("alone")


def test_what_a_checkpoint_lacks_is_named(library: Library, lacking: Checkpoint):
    with pytest.raises(ModelFault, match=r"alone holds no vae, text encoder"):
        chosen_parts(lacking, library, Settings(), with_vae=False)


def test_the_only_fitting_files_are_taken(library: Library, lacking: Checkpoint, models: Path):
    vae_file(models / "VAE" / "soft.safetensors")
    vae_file(models / "VAE" / "sixteen.safetensors", channels=16)
    (models / "text_encoder").mkdir()
    for name, width in (("clip_l", 768), ("clip_g", 1280)):
        save_file({"text_model.embeddings.token_embedding.weight": torch.zeros(10, width)}, models / "text_encoder" / f"{name}.safetensors")
    library.refresh()
    found, warnings = chosen_parts(lacking, library, Settings(), with_vae=False)
    assert {part: file.name for part, file in found.items()} == {"vae": "soft.safetensors", "text_encoder": "clip_l.safetensors"}
    assert not warnings
    assert set(chosen_parts(lacking, library, Settings(), with_vae=True)[0]) == {"text_encoder"}
    vae_file(models / "VAE" / "other.safetensors")
    library.refresh()
    found, warnings = chosen_parts(lacking, library, Settings(), with_vae=False)
    assert found["vae"].name == "other.safetensors"
    assert "2 files" in warnings[0]
    named = dataclasses.replace(Settings(), forge_additional_modules=["soft.safetensors", "clip_l.safetensors"])
    found, warnings = chosen_parts(lacking, library, named, with_vae=False)
    assert found["vae"].name == "soft.safetensors"
    assert not warnings
