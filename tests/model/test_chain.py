"""The whole chain, for every family and every form a model comes in: a file without a telling name in models/, found by what is in it,
resolved, loaded and run as the worker does, and the picture is that of a plain diffusers call, bit for bit.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from modules.families import shipped
from modules.faults import ModelFault
from modules.folders import Folders
from modules.processing.runner import PictureRunner
from modules.request import Checkpoint
from modules.weights import layouts
from modules.weights.layouts import LAYOUTS
from tests.model import tiny
from tests.model.forms import FORMS, MODELS, Made, Shelf, core_of, is_wide, lay_gguf, split
from tests.model.test_families import difference, spread
from tests.weights.layouts.test_gguf import write_gguf

Make = Callable[[str], Made]
ALL, SAFETENSORS = tuple(FORMS), ("folder", "whole", "network", "network, diffusers names")
IN_FORMS: Mapping[str, tuple[str, ...]] = {
    "sd15": SAFETENSORS,
    "sd15 inpainting": ("network",),
    "sd15 instruct-pix2pix": ("whole",),
    "sd2": ("whole", "network"),
    "sd2 v": SAFETENSORS[:3],
    "sdxl": SAFETENSORS,
    "sdxl inpainting": ("network",),
    "sdxl refiner": SAFETENSORS[:3],
    "sd3 medium": ("whole", "network", "gguf"),
    "sd3.5 medium": ALL,
    "sd3.5 large": ("whole", "gguf"),
    "flux dev": ALL,
    "flux schnell": ("whole", "gguf"),
}
CHAIN = [(name, form) for name, forms in IN_FORMS.items() for form in forms]
ALL_PARTS = {"sd3_enable_t5": True}  # Stable Diffusion 3 does without T5 unless told otherwise


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """The model of a name, written once for all its forms; only the latest lies on the disk."""
    latest: list[Made] = []

    def build(name: str) -> Made:
        if not latest or latest[0].name != name:
            clear()
            model, base = MODELS[name], tmp_path_factory.mktemp("chain")
            folder = tiny.BUILDERS[model.builder](base / "made", **model.options)
            layouts.write(folder, base / "whole.safetensors", model.layout)
            latest.append(Made(name, model, folder, base / "whole.safetensors", base))
        return latest[0]

    def clear() -> None:
        while latest:
            shutil.rmtree(latest.pop().scrap)

    yield build
    clear()


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> PictureRunner:
    return PictureRunner(Folders.at(tmp_path_factory.mktemp("worker")), {}, 0)


@pytest.fixture
def shelf(tmp_path: Path, runner: PictureRunner) -> Iterator[Shelf]:
    yield Shelf(tmp_path / "data", runner)
    shutil.rmtree(tmp_path / "data")


def told_by(checkpoint: Checkpoint) -> tuple[str, str]:
    return checkpoint.family, checkpoint.variant


@pytest.mark.parametrize(("name", "form"), CHAIN)
def test_a_picture_of_every_family_in_every_form(made: Make, name: str, form: str, shelf: Shelf) -> None:
    it = made(name)
    FORMS[form](it, shelf)
    resolved = shelf.resolved(it.model.sampler, **ALL_PARTS)
    silent = it.model.unsaid if form.startswith("network") else None
    assert told_by(resolved.checkpoint) == (it.model.family, it.model.variant if silent is None else silent)
    apart = set(LAYOUTS[it.model.layout].parts) - {core_of(it)} if form not in ("folder", "whole") else set()
    assert set(resolved.parts) == apart
    theirs = it.plain(it.folder, settled=form != "folder")
    assert spread(theirs) > 1
    assert difference(shelf.picture(resolved), theirs) == 0


def test_what_is_nowhere_is_named_with_the_place_to_put_it(made: Make, shelf: Shelf) -> None:
    it = made("flux schnell")
    shelf.place().hardlink_to(split(it)["transformer"])
    with pytest.raises(
        ModelFault, match=r"holds no vae, text encoder, text encoder 2\. Put a file .* into models/VAE or models/text_encoder"
    ):
        shelf.resolved(it.model.sampler)


@pytest.mark.parametrize("name", ["flux dev", "sd3.5 medium"])
def test_quantised_weights_make_the_picture_of_their_rounded_values(made: Make, name: str, shelf: Shelf) -> None:
    it = made(name)
    lay_gguf(it, shelf, quantised=True)
    folder = it.scrap / "rounded"
    shutil.copytree(it.folder, folder, copy_function=lambda a, b: Path(b).hardlink_to(a))
    weights = folder / core_of(it) / "diffusion_pytorch_model.safetensors"
    values = {key: rounded(value) if is_wide(value) else value for key, value in load_file(weights).items()}
    weights.unlink()
    save_file(values, weights, {"format": "pt"})
    theirs = it.plain(folder, settled=True)
    assert difference(theirs, it.plain(it.folder, settled=True)) > 0
    assert difference(shelf.picture(shelf.resolved(it.model.sampler, **ALL_PARTS)), theirs) == 0


def rounded(value: torch.Tensor) -> torch.Tensor:
    """What Q8_0 keeps of a matrix: in each 32 numbers of a row, 8 bits times one half-precision scale."""
    cells = value.numpy().reshape(-1, 32)
    scale = (np.abs(cells).max(axis=1, keepdims=True) / 127).astype(np.float16).astype(np.float32)
    whole = np.round(cells / np.where(scale == 0, 1, scale)).clip(-127, 127).astype(np.float32)
    return torch.from_numpy(whole * scale).reshape(value.shape)


LLAMA_NAMES = {
    "shared.weight": "token_embd.weight", "encoder.final_layer_norm.": "enc.output_norm.", "encoder.block.": "enc.blk.",
    "layer.0.SelfAttention.relative_attention_bias.": "attn_rel_b.", "layer.0.SelfAttention.": "attn_", "layer.0.layer_norm.": "attn_norm.",
    "layer.1.DenseReluDense.wi_0.": "ffn_gate.", "layer.1.DenseReluDense.wi_1.": "ffn_up.", "layer.1.DenseReluDense.wo.": "ffn_down.",
    "layer.1.layer_norm.": "ffn_norm.",
}  # fmt: skip


def test_a_t5_from_gguf_takes_its_place(made: Make, shelf: Shelf) -> None:
    """As T5 is handed round beside GGUF transformers, under llama.cpp's names."""
    it = made("sd3.5 medium")
    parts = split(it)
    for name in (core_of(it), "vae", "text_encoder", "text_encoder_2"):
        shelf.place().hardlink_to(parts[name])
    rows: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for name, value in load_file(parts["text_encoder_3"]).items():
        for ours, theirs in LLAMA_NAMES.items():
            name = name.replace(ours, theirs)
        rows[name] = ("F32", tuple(value.shape), value.numpy().tobytes())
    with safe_open(parts["text_encoder_3"], framework="pt") as file:
        write_gguf(shelf.place(ending=".gguf"), rows, {"general.architecture": "t5encoder", **file.metadata()})
    resolved = shelf.resolved(it.model.sampler, **ALL_PARTS)
    assert Path(resolved.parts["text_encoder_3"].path).suffix == ".gguf"
    assert difference(shelf.picture(resolved), it.plain(it.folder, settled=True)) == 0


def test_stable_diffusion_3_does_without_t5_unless_told_otherwise(made: Make, shelf: Shelf) -> None:
    it = made("sd3.5 medium")
    lay_gguf(it, shelf)
    resolved = shelf.resolved(it.model.sampler)
    assert set(resolved.parts) == {"vae", "text_encoder", "text_encoder_2"}
    theirs = it.plain(it.folder, settled=True, text_encoder_3=None, tokenizer_3=None)
    assert difference(shelf.picture(resolved), theirs) == 0


def test_a_text_encoder_with_the_published_vocabulary_needs_no_tokenizer_of_its_own(made: Make, shelf: Shelf) -> None:
    """A network, a VAE and a text encoder from anywhere, none of which says a word about itself."""
    it = made("sd15")
    torch.manual_seed(1)
    words = 49408
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words, hidden_size=768, projection_dim=768, intermediate_size=64, num_hidden_layers=2, num_attention_heads=12,
            hidden_act="quick_gelu", bos_token_id=words - 2, eos_token_id=words - 1,
        )
    ).half()  # fmt: skip
    weights = {f"text_model.{key.removeprefix('text_model.')}": value for key, value in encoder.state_dict().items()}
    save_file(weights, shelf.place("text_encoder"))
    for name in (core_of(it), "vae"):
        shelf.place().hardlink_to(split(it)[name])
    theirs = it.plain(it.folder, settled=True, text_encoder=encoder.float().eval(), tokenizer=shipped.tokenizer("sd15", "tokenizer"))
    assert difference(shelf.picture(shelf.resolved(it.model.sampler)), theirs) == 0
