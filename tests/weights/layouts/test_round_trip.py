"""Folder to single file and back: identical tensors, identical configs, for every layout, ours and the starter model's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from modules.faults import ModelFault
from modules.weights import header, layouts
from modules.weights.layouts.carried import plain
from modules.weights.layouts.component import open_component
from modules.weights.layouts.module import load_component
from tests.weights.layouts.conftest import SAMPLES, Sample

Get = Callable[[str], Sample]


def own_tensors(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("name", SAMPLES)
def test_tensors_come_back_identical(sample: Get, name: str) -> None:
    made = sample(name)
    components = layouts.components(header.read(made.single), made.layout)
    assert set(components) == {path.parent.name for path in made.folder.glob("*/*.safetensors")}
    for component in components:
        assert same(layouts.read(made.single, made.layout, component), own_tensors(made.folder / component)), component


@pytest.mark.parametrize("name", SAMPLES)
def test_configs_come_back_from_shapes_and_metadata(sample: Get, name: str) -> None:
    made = sample(name)
    for component, config in layouts.configs(header.read(made.single), made.layout).items():
        own = open_component(made.folder, made.layout, component).config
        for key in own.keys() - {"architectures", "dtype", "transformers_version", "model_type"}:
            if not key.startswith("_"):
                assert plain(config[key]) == plain(own[key]), f"{component}.{key}"


@pytest.mark.parametrize("name", ["sd15", "sd2-768", "sdxl", "sdxl-refiner", "sd3", "sd3.5-medium", "flux-dev"])
def test_shapes_alone_are_enough_for_models_of_the_published_build(sample: Get, name: str, tmp_path: Path) -> None:
    """As any downloaded file: without our metadata."""
    made = sample(name)
    bare = tmp_path / "bare.safetensors"
    layouts.write(made.folder, bare, made.layout, metadata={"darkroom.configs": "", "darkroom.scheduler": "", "darkroom.tokenizer": ""})
    for component in layouts.components(header.read(bare), made.layout):
        from_file = load_component(bare, made.layout, component, "float32")
        from_folder = load_component(made.folder, made.layout, component, "float32")
        assert same(from_file.state_dict(), from_folder.state_dict()), component
        for key in ("num_attention_heads", "attention_head_dim", "norm_num_groups", "hidden_act", "scaling_factor", "shift_factor", "d_kv"):
            assert plain(getattr(from_file.config, key, None)) == plain(getattr(from_folder.config, key, None)), f"{component}.{key}"


@pytest.mark.parametrize("name", ["sd15", "sd2-768", "sdxl", "sdxl-refiner", "sd3.5-medium", "flux-dev"])
def test_back_to_a_folder(sample: Get, name: str, tmp_path: Path) -> None:
    made = sample(name)
    again = tmp_path / "again"
    layouts.to_folder(made.single, made.layout, again, made.folder)
    for folder in [path.parent for path in made.folder.glob("*/*.safetensors")]:
        assert same(own_tensors(again / folder.name), own_tensors(folder)), folder.name
    assert {path.name for path in again.iterdir()} == {path.name for path in made.folder.iterdir()}
    report = layouts.verify(again, made.single, made.layout)
    assert report.tensors == sum(len(own_tensors(path.parent)) for path in made.folder.glob("*/*.safetensors"))


def test_the_starter_model_with_its_own_vocabulary_comes_back(starter_path: Path, tmp_path: Path) -> None:
    single, again = tmp_path / "starter.safetensors", tmp_path / "again"
    layouts.write(starter_path, single, "sd1")
    configs = layouts.configs(header.read(single), "sd1")
    assert configs["vae"]["scaling_factor"] == pytest.approx(0.3899492919)
    assert (configs["unet"]["norm_num_groups"], configs["unet"]["attention_head_dim"]) == (16, 4)
    layouts.to_folder(single, "sd1", again, starter_path)
    for part in ("unet", "vae", "text_encoder"):
        assert same(own_tensors(again / part), own_tensors(starter_path / part))
    assert (again / "tokenizer" / "vocab.json").read_bytes() == (starter_path / "tokenizer" / "vocab.json").read_bytes()
    assert '"v_prediction"' in (again / "scheduler" / "scheduler_config.json").read_text()


def test_mixed_transformer_depths_are_found(tmp_path: Path) -> None:
    """As in the pruned SDXL models, whose levels are not the mirror of each other."""
    from diffusers import UNet2DConditionModel

    options: dict[str, Any] = {
        "block_out_channels": (64, 64, 128),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": [1, 2, 3],
        "reverse_transformer_layers_per_block": [[3, 3, 1], [2, 1, 1], 1],
        "attention_head_dim": [1, 1, 2],
        "cross_attention_dim": 32,
        "use_linear_projection": True,
    }
    unet = UNet2DConditionModel(**options)
    unet.save_pretrained(tmp_path / "model" / "unet")
    layouts.write(tmp_path / "model", tmp_path / "pruned.safetensors", "sd2", metadata={"darkroom.configs": ""})
    again = load_component(tmp_path / "pruned.safetensors", "sd2", "unet", "float32")
    assert same(again.state_dict(), unet.state_dict())


def test_half_precision_with_an_exact_vae(sample: Get, tmp_path: Path) -> None:
    made = sample("sdxl")
    half = tmp_path / "half.safetensors"
    dtype = {"unet": "float16", "text_encoder": "float16", "text_encoder_2": "bfloat16"}
    layouts.write(made.folder, half, "sdxl", dtype)
    found = header.read(half).tensors
    assert {info.dtype for name, info in found.items() if name.startswith("model.")} == {"F16"}
    assert {info.dtype for name, info in found.items() if name.startswith("first_stage_model.")} == {"F32"}
    assert found["conditioner.embedders.0.transformer.text_model.embeddings.position_ids"].dtype == "I64"
    assert layouts.verify(half, made.folder, "sdxl", dtype).tensors > 500


def test_another_vae_is_baked_in(sample: Get, tmp_path: Path) -> None:
    model, other = sample("sd15"), sample("sdxl")
    baked = tmp_path / "baked.safetensors"
    layouts.write(model.single, baked, "sd1", parts={"vae": other.folder})
    assert same(layouts.read(baked, "sd1", "vae"), own_tensors(other.folder / "vae"))
    assert same(layouts.read(baked, "sd1", "unet"), own_tensors(model.folder / "unet"))
    assert layouts.configs(header.read(baked), "sd1")["vae"]["scaling_factor"] == pytest.approx(0.13025)


def test_file_to_file_keeps_what_only_other_programs_read(sample: Get, tmp_path: Path) -> None:
    made, again = sample("sd2-768"), tmp_path / "again.safetensors"
    layouts.write(made.single, again, made.layout)
    assert header.read(again).tensors == header.read(made.single).tensors
    assert same(load_file(again), load_file(made.single))


def test_verify_finds_a_single_wrong_number(sample: Get, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    made = sample("flux-schnell")
    tensors = load_file(made.single)
    damaged = tmp_path / "damaged.safetensors"
    tensors["model.diffusion_model.img_in.weight"][3, 5] += 1
    save_file(tensors, damaged)
    with pytest.raises(ModelFault, match=r"x_embedder\.weight has other numbers"):
        layouts.verify(damaged, made.folder, "flux")
    tensors["model.diffusion_model.img_in.weight"][3, 5] = float("nan")
    save_file(tensors, damaged)
    with pytest.raises(ModelFault, match=r"x_embedder\.weight has other numbers"):
        layouts.verify(damaged, made.folder, "flux")
    del tensors["model.diffusion_model.txt_in.bias"]
    save_file(tensors, damaged)
    with pytest.raises(ModelFault, match=r"first is model\.diffusion_model\.txt_in\.bias|context_embedder"):
        layouts.verify(damaged, made.folder, "flux")
    with pytest.raises(ModelFault, match="is not what"):
        layouts.verify(made.single, made.folder, "flux", detect=_refuses)


def _refuses(_: header.Header) -> str:
    raise ModelFault("this is not what it should be")


def test_numbers_too_large_for_half_precision_are_noticed(sample: Get, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    made = sample("sd15")
    tensors = load_file(made.single)
    tensors["model.diffusion_model.out.2.bias"][0] = 1e6
    loud, half = tmp_path / "loud.safetensors", tmp_path / "half.safetensors"
    save_file(tensors, loud)
    layouts.write(loud, half, "sd1", "float16")
    with pytest.raises(ModelFault, match="too large for its number type"):
        layouts.verify(half, loud, "sd1", "float16")
