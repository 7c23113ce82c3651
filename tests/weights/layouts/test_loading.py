"""Pipelines from single files and from parts: the same pictures as from the folder, and clear words when something is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from modules.families import identify, shipped
from modules.families.family import LoadPlan
from modules.families.loading import layout_of, load_folder, load_single
from modules.faults import ModelFault
from modules.weights import header, layouts, model_folder
from modules.weights.layouts.module import load_component
from tests.model import tiny
from tests.weights.layouts.conftest import Sample

Get = Callable[[str], Sample]


def from_file(path: Path, made: Sample, **parts: Path) -> Any:
    """The pipeline as a family would ask for it: configs found by detection alone."""
    family, match = identify(header.read(path))
    assert family.layout == made.layout or match.variant == "refiner"
    configs = shipped.folder(family.variant(match.variant).config)
    plan = LoadPlan(path=path, dtype="float32", variant=match.variant, parts=parts)
    return load_single(plan, made.layout, model_folder.read(made.folder).pipeline, configs)


def from_folder(made: Sample, **parts: Path) -> Any:
    plan = LoadPlan(path=made.folder, dtype="float32", parts=parts)
    return load_folder(plan, model_folder.read(made.folder).pipeline)


def picture(pipeline: Any) -> np.ndarray:
    pipeline.set_progress_bar_config(disable=True)
    call: dict[str, Any] = {"num_inference_steps": 2, "generator": torch.Generator().manual_seed(3), "output_type": "np"}
    kind = type(pipeline).__name__
    image = Image.new("RGB", (64, 64), "teal")
    if "Inpaint" in kind:
        call |= {"image": image, "mask_image": Image.new("L", (64, 64), 255)}
    elif "Pix2Pix" in kind or "Img2Img" in kind:
        call |= {"image": image}
    if "Img2Img" in kind:
        call |= {"strength": 1.0}
    elif "Pix2Pix" not in kind:
        call |= {"height": 64, "width": 64}
    return pipeline("a red cat", **call).images[0]


PICTURED = (
    "sd15", "sd15-inpainting", "sd2-768", "sdxl", "sdxl-refiner", "sd3.5-medium", "sd3.5-large-without-t5", "flux-dev", "flux-schnell",
)  # fmt: skip


@pytest.mark.parametrize("name", PICTURED)
def test_the_picture_of_the_file_is_the_picture_of_the_folder(sample: Get, name: str) -> None:
    made = sample(name)
    assert np.array_equal(picture(from_file(made.single, made)), picture(tiny.settled(from_folder(made))))


def test_the_starter_model_as_a_single_file_makes_its_picture(starter_path: Path, tmp_path: Path) -> None:
    single = tmp_path / "starter.safetensors"
    layouts.write(starter_path, single, "sd1")
    made = Sample(starter_path, single, "sd1")
    assert np.array_equal(picture(from_file(single, made)), picture(from_folder(made)))


def test_scheduler_and_prediction_come_from_the_file(sample: Get) -> None:
    scheduler = from_file(sample("sd2-768").single, sample("sd2-768")).scheduler
    assert (scheduler.config.prediction_type, scheduler.config.rescale_betas_zero_snr) == ("v_prediction", True)
    made = sample("sd15-v")
    plan = LoadPlan(path=made.single, dtype="float32", prediction="epsilon")
    assert load_single(plan, "sd1", "StableDiffusionPipeline", shipped.folder("sd15")).scheduler.config.prediction_type == "epsilon"


def only(source: Path, target: Path, prefix: str, strip: bool = False) -> Path:
    tensors = {name: value for name, value in load_file(source).items() if name.startswith(prefix)}
    save_file({name.removeprefix(prefix) if strip else name: value for name, value in tensors.items()}, target)
    return target


def test_a_transformer_alone_with_its_parts_in_other_files(sample: Get, tmp_path: Path) -> None:
    """As Flux is handed round: the transformer with bare names, VAE and text encoders each in a file of its own."""
    made = sample("flux-dev")
    core = only(made.single, tmp_path / "core.safetensors", "model.diffusion_model.", strip=True)
    parts = {
        "vae": only(made.single, tmp_path / "ae.safetensors", "vae.", strip=True),
        "text_encoder": only(made.single, tmp_path / "clip_l.safetensors", "text_encoders.clip_l.transformer.", strip=True),
        "text_encoder_2": only(made.single, tmp_path / "t5xxl.safetensors", "text_encoders.t5xxl.transformer.", strip=True),
    }
    configs = shipped.folder("flux-dev")
    with pytest.raises(ModelFault, match=r"holds no vae, text encoder, text encoder 2.*models/VAE or models/text_encoder"):
        load_single(LoadPlan(path=core, dtype="float32"), "flux", "FluxPipeline", configs)
    plan = LoadPlan(path=core, dtype="float32", parts=parts)
    with pytest.raises(ModelFault, match="vocabulary of its own"):
        load_single(plan, "flux", "FluxPipeline", configs)
    for name, path in parts.items():
        loaded = load_component(path, "flux", name, "float32")
        whole = getattr(from_folder(made), name)
        assert all(torch.equal(value, whole.state_dict()[key]) for key, value in loaded.state_dict().items()), name


def test_t5_may_be_missing_where_the_pipeline_allows_it(sample: Get, tmp_path: Path) -> None:
    made = sample("sd3")
    without = tmp_path / "without-t5.safetensors"
    tensors = {name: value for name, value in load_file(made.single).items() if not name.startswith("text_encoders.t5xxl.")}
    save_file(tensors, without, metadata=dict(header.read(made.single).metadata))
    pipeline = from_file(without, made)
    assert (pipeline.text_encoder_3, pipeline.tokenizer_3) == (None, None)
    assert picture(pipeline).shape == (64, 64, 3)


def test_a_component_under_diffusers_names_is_read_too(sample: Get) -> None:
    """As the few-step SDXL UNets are handed round."""
    made = sample("sdxl")
    alone = made.folder / "unet" / "diffusion_pytorch_model.safetensors"
    unet = load_component(alone, "sdxl", "unet", "float32")
    whole = load_component(made.single, "sdxl", "unet", "float32")
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in unet.state_dict().items())
    assert unet.config.cross_attention_dim == 192


def test_old_names_are_understood(sample: Get, tmp_path: Path) -> None:
    """Text encoders without "text_model." (the first SD1 files), autoencoders with "query" and matrices as convolutions."""
    made = sample("sd15")
    tensors = {name.replace("transformer.text_model.", "transformer."): value for name, value in load_file(made.single).items()}
    save_file(tensors, tmp_path / "old.safetensors")
    again = load_component(tmp_path / "old.safetensors", "sd1", "text_encoder", "float32")
    assert torch.equal(
        again.state_dict()["final_layer_norm.bias"], load_file(made.folder / "text_encoder/model.safetensors")["final_layer_norm.bias"]
    )
    vae = load_file(made.folder / "vae" / "diffusion_pytorch_model.safetensors")
    old = {name.replace(".to_q.", ".query.").replace(".to_out.0.", ".proj_attn."): value for name, value in vae.items()}
    old = {name: value[:, :, None, None].contiguous() if ".query.weight" in name else value for name, value in old.items()}
    save_file(old, tmp_path / "vae.safetensors")
    loaded = load_component(tmp_path / "vae.safetensors", "sd1", "vae", "float32")
    assert all(torch.equal(value, vae[name]) for name, value in loaded.state_dict().items())


def test_a_vae_from_another_file_replaces_the_folders_own(sample: Get) -> None:
    made, other = sample("sd15"), sample("sdxl")
    vae = from_folder(made, vae=other.single).vae
    assert torch.equal(vae.decoder.conv_in.weight, from_folder(other).vae.decoder.conv_in.weight)
    assert vae.config.scaling_factor == pytest.approx(0.13025)


def test_parts_of_different_kinds_are_refused_with_both_sizes(sample: Get) -> None:
    made = sample("sd15")
    with pytest.raises(ModelFault, match=r"works with 4 numbers where the vae chosen for it give 16"):
        from_file(made.single, made, vae=sample("sd3").single)
    with pytest.raises(ModelFault, match=r"works with 64 numbers where the text encoder chosen for it give 1024"):
        from_file(made.single, made, text_encoder=sample("sd2-768").folder / "text_encoder" / "model.safetensors")


def test_a_file_that_is_not_whole_is_refused_by_name(sample: Get, tmp_path: Path) -> None:
    made = sample("sd15")
    tensors = load_file(made.single)
    del tensors["model.diffusion_model.middle_block.0.in_layers.2.weight"]
    save_file(tensors, tmp_path / "holey.safetensors")
    with pytest.raises(ModelFault, match=r"its unet lacks 1 of \d+ tensors, the first is mid_block.resnets.0.conv1.weight"):
        load_component(tmp_path / "holey.safetensors", "sd1", "unet", "float32")


def test_a_hostile_config_in_the_metadata_changes_no_shape(sample: Get, tmp_path: Path) -> None:
    made = sample("sd15")
    hostile = '{"unet": {"block_out_channels": [1000000], "layers_per_block": 99999999, "norm_num_groups": {"a": 1}}}'
    save_file(load_file(made.single), tmp_path / "hostile.safetensors", metadata={"darkroom.configs": hostile})
    with pytest.raises(ModelFault, match="does not fit its description"):
        load_component(tmp_path / "hostile.safetensors", "sd1", "unet", "float32")


def test_layouts_of_folders(sample: Get) -> None:
    found = {name: layout_of(model_folder.read(sample(name).folder)) for name in ("sd15", "sdxl", "sdxl-refiner", "sd3", "flux-dev")}
    assert found == {"sd15": "sd1", "sdxl": "sdxl", "sdxl-refiner": "sdxl-refiner", "sd3": "sd3", "flux-dev": "flux"}


def test_half_precision_as_the_folder_has_it(sample: Get) -> None:
    """Also T5's exception: some of its matrices stay exact, as transformers keeps them."""
    made = sample("sd3")
    plan = LoadPlan(path=made.single, dtype="float16")
    single = load_single(plan, "sd3", "StableDiffusion3Pipeline", shipped.folder("sd3-medium"))
    folder = load_folder(LoadPlan(path=made.folder, dtype="float16"), "StableDiffusion3Pipeline")
    for part in ("transformer", "vae", "text_encoder", "text_encoder_3"):
        theirs = getattr(folder, part).state_dict()
        for name, value in getattr(single, part).state_dict().items():
            assert value.dtype == theirs[name].dtype, f"{part}.{name}"
            assert torch.equal(value, theirs[name]), f"{part}.{name}"


def test_eight_bit_weights_with_a_scale_are_scaled(sample: Get, tmp_path: Path) -> None:
    """As ComfyUI writes them: float8 numbers, and beside each matrix the number to multiply it with."""
    made = sample("flux-dev")
    tensors = load_file(made.single)
    name = "model.diffusion_model.double_blocks.0.img_attn.qkv.weight"
    scale = tensors[name].abs().max() / 448
    tensors[name.replace("weight", "scale_weight")] = scale
    exact, tensors[name] = tensors[name], (tensors[name] / scale).to(torch.float8_e4m3fn)
    save_file(tensors, tmp_path / "scaled.safetensors")
    loaded = layouts.read(tmp_path / "scaled.safetensors", "flux", "transformer", "float32")
    width = exact.shape[1]
    assert (loaded["transformer_blocks.0.attn.to_k.weight"] - exact[width : 2 * width]).abs().max() < exact.abs().max() / 12


def test_packed_weights_are_refused_with_the_form_to_take(sample: Get, tmp_path: Path) -> None:
    tensors = load_file(sample("flux-dev").single)
    name = "model.diffusion_model.txt_in.weight"
    tensors[name] = torch.zeros(tensors[name].shape, dtype=torch.uint8)
    save_file(tensors, tmp_path / "packed.safetensors")
    with pytest.raises(ModelFault, match=r"packed into U8 numbers.*GGUF"):
        load_component(tmp_path / "packed.safetensors", "flux", "transformer", "float32")
