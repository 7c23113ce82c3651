"""Every quantiser that runs on the CPU really runs here, on tiny models of the true classes; what cannot is refused in words."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from modules.faults import ModelFault, UnknownName
from modules.weights import header
from modules.weights.held import held_bytes
from modules.weights.layouts.module import load_component
from modules.weights.quantisers import QUANTISERS, row, saved
from modules.weights.quantisers.component import MARK, full_weight, layers_of, quantise
from tests.model import tiny

HERE = [name for name, one in QUANTISERS if not one.refusal("cpu")]
CORES = {"sd15": ("sd1", "unet"), "sd3": ("sd3", "transformer")}
# How far the output may be off, as the norm of the difference by the norm of the output. The UNet of random weights is the worst case.
FAR = {"fp8": 0.15, "fp8-e5m2": 0.3, "nf4": 0.12, "fp4": 0.15}
USUAL = 0.04


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def at(family: str) -> Path:
        if family not in made:
            made[family] = tiny.BUILDERS[family](tmp_path_factory.mktemp(family))
        return made[family]

    return at


def answer(model: Any) -> torch.Tensor:
    """What a UNet or transformer makes of the same noise."""
    rng = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng).to(model.dtype)

    config, when = model.config, torch.tensor([500])
    with torch.inference_mode():
        if isinstance(model, UNet2DConditionModel):
            return model(noise(1, 4, 8, 8), when, noise(1, 7, config.cross_attention_dim)).sample.float()
        told = {"encoder_hidden_states": noise(1, 7, config.joint_attention_dim), "timestep": when}
        return model(noise(1, 16, 8, 8), pooled_projections=noise(1, config.pooled_projection_dim), **told).sample.float()


@pytest.mark.parametrize("family", CORES)
@pytest.mark.parametrize("name", HERE)
def test_a_model_is_made_small_stays_close_and_is_read_again_bit_for_bit(name: str, family: str, folder: Any, tmp_path: Path):
    layout, part = CORES[family]
    model = load_component(folder(family), layout, part, "float32")
    before, whole = answer(model), {path: layer.weight.clone() for path, layer in model.named_modules() if type(layer) is torch.nn.Linear}
    full, one = held_bytes(model), QUANTISERS.get(name)
    taken = quantise(model, one)
    assert len(taken) > 20
    numbers = sum(full_weight(model.get_submodule(path)).numel() for path in taken)
    rest = full - 4 * numbers
    scales = 0.3 * numbers + 1100 * len(taken)  # tiny layers have as many scales as large ones, and each its table of 16 values
    assert numbers * one.bytes_per_weight * 0.9 <= held_bytes(model) - rest <= numbers * one.bytes_per_weight + scales
    for path in [path for path in taken if path in whole][:3]:
        layer, original = model.get_submodule(path), whole[path]
        assert full_weight(layer).shape == original.shape
        assert torch.linalg.norm(full_weight(layer) - original) < 0.2 * torch.linalg.norm(original)
    shutil.copytree(folder(family) / part, tmp_path / part)
    saved.write(model, name, tmp_path / part)
    after = answer(model)
    assert not torch.equal(after, before)
    assert torch.linalg.norm(after - before) < FAR.get(name, USUAL) * torch.linalg.norm(before)
    again = saved.load(tmp_path / part, layout, part, "float32")
    assert {path for path, layer in again.named_modules() if hasattr(layer, MARK)} == set(taken)
    assert torch.equal(answer(again), after)


@pytest.mark.parametrize("name", ["fp8", "nf4", "torchao-int8"])
def test_a_model_that_was_written_for_another_number_type_computes_in_the_one_asked_for(name: str, folder: Any, tmp_path: Path):
    if name not in HERE:
        pytest.skip(QUANTISERS.get(name).missing)
    model = load_component(folder("sd3"), "sd3", "transformer", "bfloat16")
    quantise(model, QUANTISERS.get(name))
    shutil.copytree(folder("sd3") / "transformer", tmp_path / "transformer")
    saved.write(model, name, tmp_path / "transformer")
    again = saved.load(tmp_path / "transformer", "sd3", "transformer", "float32")
    assert again.dtype == torch.float32
    before, after = answer(model), answer(again)
    assert torch.linalg.norm(after - before) < 0.05 * torch.linalg.norm(before)


@pytest.mark.skipif("torchao-int8" not in HERE, reason=QUANTISERS.get("torchao-int8").missing)
def test_diffusers_itself_reads_what_torchao_wrote(folder: Any, tmp_path: Path):
    model = load_component(folder("sd15"), "sd1", "unet", "float32")
    quantise(model, QUANTISERS.get("torchao-int8"))
    shutil.copytree(folder("sd15") / "unet", tmp_path / "unet")
    saved.write(model, "torchao-int8", tmp_path / "unet")
    theirs: Any = UNet2DConditionModel.from_pretrained(tmp_path / "unet", dtype=torch.float32, local_files_only=True)
    assert torch.equal(answer(theirs.eval()), answer(model))


def test_text_encoders_are_taken_and_what_must_stay_whole_is_left(folder: Any):
    t5 = load_component(folder("sd3"), "sd3", "text_encoder_3", "float32")
    taken = quantise(t5, QUANTISERS.get("fp8"))
    assert taken
    assert not [path for path in taken if path.endswith(".wo")]  # transformers casts what goes into them to their own type
    assert torch.isfinite(t5(torch.arange(1, 20)[None]).last_hidden_state).all()
    unet = load_component(folder("sd15"), "sd1", "unet", "float32")
    assert not {"conv_in", "conv_out", "time_embedding.linear_1"} & set(layers_of(unet, QUANTISERS.get("fp8")))


def test_a_missing_package_and_an_old_one_are_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    def no_package(name: str) -> str:
        raise row.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(row.metadata, "version", no_package)
    assert "pip install 'torchao>=0.16.0'" in QUANTISERS.get("torchao-int8").missing
    with pytest.raises(ModelFault, match=r"nf4 cannot be used here\. It needs the package bitsandbytes"):
        QUANTISERS.get("nf4").check("nf4", "cuda")
    assert QUANTISERS.get("fp8").missing == ""
    monkeypatch.setattr(row.metadata, "version", lambda _name: "0.9.2")
    assert "0.9.2 is installed" in QUANTISERS.get("torchao-int8").missing


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("fp8", "mps", "no 8-bit floats"),
        ("nf4", "directml", "no kernels for DirectML"),
        ("torchao-int4", "cpu", "for NVIDIA cards"),
        ("torchao-int4", "rocm", "for NVIDIA cards"),
    ],
)
def test_a_device_that_cannot_is_told_why(name: str, kind: str, words: str):
    assert words in QUANTISERS.get(name).refusal(kind)
    with pytest.raises(ModelFault, match=words):
        QUANTISERS.get(name).check(name, kind)


def test_fp8_runs_wherever_torch_has_the_type():
    assert [kind for kind in ("cuda", "rocm", "xpu", "mps", "directml", "cpu") if not QUANTISERS.get("fp8").refusal(kind)] == [
        "cuda",
        "rocm",
        "xpu",
        "cpu",
    ]


def test_folders_of_other_programs_are_recognised_by_what_the_libraries_write():
    assert saved.claimed({}) is None
    assert saved.claimed({"quantization_config": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}) == "nf4"
    assert saved.claimed({"quantization_config": {"load_in_8bit": True, "quant_method": "bitsandbytes"}}) == "bnb-int8"
    assert saved.claimed({"quantization_config": {"quant_method": "quanto", "weights_dtype": "int8"}}) == "quanto-int8"
    with pytest.raises(ModelFault, match="gptq"):
        saved.claimed({"quantization_config": {"quant_method": "gptq"}})
    with pytest.raises(UnknownName):
        QUANTISERS.get("int9")


def test_damaged_folders_are_refused(folder: Any, tmp_path: Path):
    model = load_component(folder("sd15"), "sd1", "unet", "float32")
    quantise(model, QUANTISERS.get("fp8"))
    shutil.copytree(folder("sd15") / "unet", tmp_path / "unet")
    saved.write(model, "fp8", tmp_path / "unet")
    [file] = (tmp_path / "unet").glob("*.safetensors")
    kept = {name: tensor for name, tensor in tiny_tensors(file).items() if not name.startswith("conv_in")}
    save_file(kept, file)
    with pytest.raises(ModelFault, match=r"does not fit its config\.json"):
        saved.load(tmp_path / "unet", "sd1", "unet", "float32")


def tiny_tensors(file: Path) -> dict[str, torch.Tensor]:
    assert {info.dtype for info in header.read(file).tensors.values()} == {"F32", "F8_E4M3"}
    return load_file(file)
