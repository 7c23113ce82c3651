"""Tiny autoencoders: the files of their maker, those of diffusers, and what is neither."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

from modules.faults import ModelFault
from modules.weights import taesd


@pytest.fixture(scope="module", params=[4, 16])
def tiny(request: pytest.FixtureRequest) -> AutoencoderTiny:
    torch.manual_seed(0)
    return AutoencoderTiny(
        latent_channels=request.param,
        encoder_block_out_channels=(16,) * 4,
        decoder_block_out_channels=(16,) * 4,
    ).eval()


def makers_names(tiny: AutoencoderTiny, *, encoder: bool) -> dict[str, torch.Tensor]:
    """As the maker's own files name them: the decoder's layers counted from its clamp on."""
    found: dict[str, torch.Tensor] = {}
    for name, value in tiny.state_dict().items():
        part, _, index, rest = name.split(".", 3)
        if part == "decoder":
            found[f"{'decoder.' if encoder else ''}{int(index) + 1}.{rest}"] = value
        elif encoder:
            found[f"encoder.{index}.{rest}"] = value
    return found


def decoded(model: AutoencoderTiny) -> torch.Tensor:
    latents = torch.randn((1, model.config.latent_channels, 4, 4), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return model.decode(latents, return_dict=False)[0]


@pytest.mark.parametrize("encoder", [True, False])
def test_the_makers_file_decodes_the_same(tiny: AutoencoderTiny, tmp_path: Path, encoder: bool):
    path = tmp_path / "taesd_decoder.safetensors"
    save_file(makers_names(tiny, encoder=encoder), path)
    assert taesd.latent_channels(path) == tiny.config.latent_channels
    assert torch.equal(decoded(taesd.load(path, "float32")), decoded(tiny))


def test_a_folder_and_its_file_decode_the_same(tiny: AutoencoderTiny, tmp_path: Path):
    tiny.save_pretrained(tmp_path / "taesd")
    assert taesd.latent_channels(tmp_path / "taesd") == tiny.config.latent_channels
    for path in (tmp_path / "taesd", tmp_path / "taesd" / "diffusion_pytorch_model.safetensors"):
        assert torch.equal(decoded(taesd.load(path, "float32")), decoded(tiny))


def test_another_file_is_refused(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    save_file({"decoder.conv_in.weight": torch.zeros(4, 4, 3, 3)}, path)
    with pytest.raises(ModelFault, match="not a tiny autoencoder"):
        taesd.load(path, "float32")
    with pytest.raises(ModelFault, match="not a tiny autoencoder"):
        taesd.latent_channels(path)
