"""An IP-Adapter file is read, worn and taken off again; the pipeline's own result with it is diffusers' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from modules.control.ip_adapter import read_adapter, read_encoder, scales, worn
from modules.families.kinds import kind_of
from modules.faults import ModelFault
from modules.weights import header

WIDTH, TOKENS, PROJECTED = 32, 4, 24
RED = Image.new("RGB", (40, 40), "red")


@pytest.fixture(scope="module")
def pipeline(starter_path: Path) -> Any:
    found = StableDiffusionPipeline.from_pretrained(starter_path, dtype=torch.float32, safety_checker=None, local_files_only=True)
    found.set_progress_bar_config(disable=True)
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, pipeline: Any) -> tuple[Path, Path]:
    """An adapter with true key names for the starter's UNet, and an image encoder as one file."""
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=1,
        patch_size=16,
        image_size=48,
        projection_dim=PROJECTED,
    )
    encoder = CLIPVisionModelWithProjection(config)
    save_file({k: v.contiguous() for k, v in encoder.state_dict().items()}, folder / "encoder.safetensors")
    text = pipeline.unet.config.cross_attention_dim
    weights = {
        "image_proj.proj.weight": torch.randn(TOKENS * text, PROJECTED) * 0.2,
        "image_proj.proj.bias": torch.zeros(TOKENS * text),
        "image_proj.norm.weight": torch.ones(text),
        "image_proj.norm.bias": torch.zeros(text),
    }
    number = 1
    for name in pipeline.unet.attn_processors:
        if "attn2" in name:
            inner = pipeline.unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape
            weights[f"ip_adapter.{number}.to_k_ip.weight"] = torch.randn(inner) * 0.1
            weights[f"ip_adapter.{number}.to_v_ip.weight"] = torch.randn(inner) * 0.1
            number += 2
    save_file(weights, folder / "adapter.safetensors")
    return folder / "adapter.safetensors", folder / "encoder.safetensors"


def _picture(pipeline: Any, **more: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.tensor(pipeline("a red apple", num_inference_steps=2, generator=generator, output_type="np", **more).images)


def test_it_is_known_by_its_keys(files: tuple[Path, Path]) -> None:
    assert [kind_of(header.read(path)).kind for path in files] == ["ip_adapter", "clip_vision"]


def test_worn_it_counts_and_taken_off_it_is_gone(pipeline: Any, files: tuple[Path, Path]) -> None:
    plain = _picture(pipeline)
    with worn(pipeline, *files, architecture="sd1", style=1.0, composition=0.0):
        red = _picture(pipeline, ip_adapter_image=RED)
        blue = _picture(pipeline, ip_adapter_image=Image.new("RGB", (40, 40), "blue"))
    with worn(pipeline, *files, architecture="sd1", style=0.0, composition=0.0):
        unheard = _picture(pipeline, ip_adapter_image=RED)
    assert not torch.equal(red, plain)
    assert not torch.equal(red, blue)
    assert torch.allclose(unheard, plain, atol=1e-5)
    assert torch.equal(_picture(pipeline), plain)


def test_it_equals_diffusers_own_loading(pipeline: Any, files: tuple[Path, Path], starter_path: Path) -> None:
    with worn(pipeline, *files, architecture="sd1", style=0.7, composition=0.0):
        ours = _picture(pipeline, ip_adapter_image=RED)
    other = StableDiffusionPipeline.from_pretrained(
        starter_path, dtype=torch.float32, safety_checker=None, local_files_only=True, image_encoder=read_encoder(files[1], torch.float32)
    )
    other.set_progress_bar_config(disable=True)
    other.load_ip_adapter(str(files[0].parent), subfolder="", weight_name=files[0].name, image_encoder_folder=None)
    other.set_ip_adapter_scale(0.7)
    assert torch.allclose(ours, _picture(other, ip_adapter_image=RED), atol=1e-5)


def test_files_that_do_not_fit_are_refused_and_nothing_stays(pipeline: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    plain = _picture(pipeline)
    wrong = tmp_path / "wrong.safetensors"
    tensors = {f"{part}.{name}": value for part, inner in read_adapter(files[0]).items() for name, value in inner.items()}
    save_file({**tensors, "image_proj.proj.weight": torch.zeros(TOKENS * 8, 99)}, wrong)
    with pytest.raises(ModelFault, match="width 99"), worn(pipeline, wrong, files[1], architecture="sd1", style=1, composition=0):
        pass
    with pytest.raises(ModelFault, match="no IP-Adapter"):
        read_adapter(files[1])
    with pytest.raises(ModelFault, match="no CLIP image encoder"):
        read_encoder(files[0], torch.float32)
    assert torch.equal(_picture(pipeline), plain)


def test_style_and_layout_have_their_own_blocks_where_they_are_known() -> None:
    assert scales("sd1", 0.6, 0.2) == 0.6
    assert scales("sdxl", 0.5, 0.0) == {"up": {"block_0": [0.0, 0.5, 0.0]}, "down": {"block_2": [0.0, 0.0]}}
