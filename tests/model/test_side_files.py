"""LoRAs, embeddings, VAE, TAESD and clip skip in whole runs: they change the picture, stand in its text, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from PIL import Image
from safetensors.torch import save_file

from modules import infotext
from modules.faults import ModelFault
from modules.folders import PROGRAM
from modules.request import Result
from tests.model.conftest import FakeControl, Studio

STARTER = PROGRAM / "models" / "Stable-diffusion" / "darkroom-starter"
ASKED = {"prompt": "a red apple, 3d", "steps": 2, "seed": 3, "cfg_scale": 5}
Make = Callable[..., tuple[bytes, dict[str, str], Result]]


@pytest.fixture(scope="module")
def make(studio: Studio) -> Iterator[Make]:
    """(pixels, parameters, result) of one picture."""

    def run(**changes: Any) -> tuple[bytes, dict[str, str], Result]:
        studio.library.refresh()
        _, result = studio.make(FakeControl(), **{**ASKED, **changes})
        with Image.open(result.pictures[0].path) as image:
            return image.convert("RGB").tobytes(), infotext.parse(result.pictures[0].infotext), result

    yield run
    studio.library.close()


@pytest.fixture(scope="module")
def plain(make: Make) -> bytes:
    return make()[0]


def place(studio: Studio, folder: str, name: str, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    path = studio.folders.models / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata=metadata or None)
    return path


def lora(module: str, rows: int, columns: int) -> dict[str, torch.Tensor]:
    """One kohya module, large enough to be seen."""
    drawn = torch.Generator().manual_seed(1)
    down, up = torch.randn(4, columns, generator=drawn), torch.randn(rows, 4, generator=drawn)
    return {f"{module}.lora_down.weight": down, f"{module}.lora_up.weight": up * 0.2, f"{module}.alpha": torch.tensor(4.0)}


def test_a_lora_is_applied_written_down_and_taken_off(studio: Studio, make: Make, plain: bytes):
    place(studio, "Lora", "swirl.safetensors", lora("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", 256, 256))
    changed, said, result = make(prompt="a red apple, 3d<lora:swirl:1>")
    assert changed != plain
    assert said["Lora hashes"].startswith("swirl: ")
    assert len(said["Lora hashes"]) == len("swirl: ") + 12
    assert said["Prompt"].endswith("<lora:swirl:1>")
    assert not result.warnings
    assert result.notes == ("LoRA swirl: 3/3 keys",)
    assert make()[0] == plain
    assert make(prompt="a red apple, 3d<lora:swirl:0>")[0] == plain


def test_a_lora_of_the_text_encoder_alone(studio: Studio, make: Make, plain: bytes):
    place(studio, "Lora", "words.safetensors", lora("lora_te_text_model_encoder_layers_0_self_attn_q_proj", 256, 256))
    assert make(prompt="a red apple, 3d<lora:words:te=1:unet=0>")[0] != plain
    assert make(prompt="a red apple, 3d<lora:words:te=0:unet=1>")[0] == plain
    assert make()[0] == plain


def test_a_lora_that_fits_nowhere_is_refused_before_sampling(studio: Studio, make: Make, plain: bytes):
    place(studio, "Lora", "lost.safetensors", lora("lora_unet_down_blocks_9_attentions_9_transformer_blocks_0_attn2_to_k", 8, 8))
    with pytest.raises(ModelFault, match="lost"):
        make(prompt="a red apple<lora:lost:1>")
    assert make()[0] == plain


def test_an_embedding_counts_by_its_name(studio: Studio, make: Make, plain: bytes):
    drawn = torch.Generator().manual_seed(2)
    place(studio, "embeddings", "zzglow.safetensors", {"emb_params": torch.randn(2, 256, generator=drawn)})
    changed, said, _ = make(prompt="a red apple, zzglow, 3d")
    assert said["TI hashes"].startswith("zzglow: ")
    (studio.folders.models / "embeddings" / "zzglow.safetensors").unlink()
    without, said, _ = make(prompt="a red apple, zzglow, 3d")
    assert "TI hashes" not in said
    assert without != changed
    assert make()[0] == plain


def test_clip_skip(make: Make, plain: bytes):
    changed, said, _ = make(override_settings={"CLIP_stop_at_last_layers": 2})
    assert changed != plain
    assert said["Clip skip"] == "2"
    assert infotext.to_request(said)["override_settings"]["CLIP_stop_at_last_layers"] == 2
    assert make()[0] == plain


def test_a_vae_file(studio: Studio, make: Make, plain: bytes):
    vae = AutoencoderKL.from_pretrained(STARTER / "vae", dtype=torch.float32, local_files_only=True)
    weights = {name: value.clone() for name, value in vae.state_dict().items()}
    place(studio, "VAE", "same.safetensors", weights)
    weights["decoder.conv_out.bias"] += 0.3
    place(studio, "VAE", "bright.safetensors", weights)
    changed, said, _ = make(override_settings={"sd_vae": "bright.safetensors"})
    assert changed != plain
    assert (said["VAE"], len(said["VAE hash"])) == ("bright.safetensors", 10)
    assert make(override_settings={"sd_vae": "same.safetensors"})[0] == plain
    assert make()[0] == plain
    _, said, result = make(override_settings={"sd_vae": "gone.safetensors"})
    assert "VAE" not in said
    assert "gone.safetensors" in result.warnings[0]


def test_decoding_with_a_tiny_autoencoder(studio: Studio, make: Make, plain: bytes):
    _, said, result = make(override_settings={"sd_vae_decode_method": "TAESD"})
    assert said["VAE Decoder"] == "Full"
    assert "no TAESD file" in result.warnings[0]
    torch.manual_seed(0)
    AutoencoderTiny().save_pretrained(studio.folders.models / "taesd")
    weights = studio.folders.models / "taesd" / "diffusion_pytorch_model.safetensors"
    (studio.folders.models / "VAE-approx").mkdir()
    weights.rename(studio.folders.models / "VAE-approx" / "taesd.safetensors")
    changed, said, result = make(override_settings={"sd_vae_decode_method": "TAESD"})
    assert changed != plain
    assert said["VAE Decoder"] == "TAESD"
    assert not result.warnings
    assert make()[0] == plain
