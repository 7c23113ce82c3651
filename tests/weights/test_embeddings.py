"""Files of textual inversion in every shape they come in: what they are for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modules.faults import ModelFault
from modules.weights import header
from modules.weights.embeddings import bundled, describe, load, read_file

ONE, TWO, THREE = (
    {"text_encoder": 8},
    {"text_encoder": 8, "text_encoder_2": 12},
    {"text_encoder": 8, "text_encoder_2": 12, "text_encoder_3": 16},
)


def rows(n: int, width: int) -> torch.Tensor:
    return torch.arange(n * width, dtype=torch.float16).reshape(n, width)


def saved(folder: Path, **tensors: torch.Tensor) -> Path:
    path = folder / "word.safetensors"
    save_file({name.replace("__", "."): tensor for name, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize(
    ("tensors", "widths", "expected"),
    [
        ({"emb_params": rows(3, 8)}, ONE, {"text_encoder": 3}),
        ({"string_to_param__*": rows(2, 8)}, ONE, {"text_encoder": 2}),
        ({"*": rows(2, 8)}, ONE, {"text_encoder": 2}),
        ({"<my-cat>": rows(2, 8)}, ONE, {"text_encoder": 2}),
        ({"<my-cat>": rows(1, 8)[0]}, ONE, {"text_encoder": 1}),
        ({"clip_l": rows(2, 8)}, ONE, {"text_encoder": 2}),
        ({"clip_l": rows(2, 8), "clip_g": rows(2, 12)}, TWO, {"text_encoder": 2, "text_encoder_2": 2}),
        ({"text_encoders_0": rows(2, 8), "text_encoders_1": rows(2, 12)}, TWO, {"text_encoder": 2, "text_encoder_2": 2}),
        ({"clip_l": rows(2, 8), "clip_g": rows(2, 12)}, THREE, {"text_encoder": 2, "text_encoder_2": 2}),
        (
            {"clip_l": rows(2, 8), "clip_g": rows(2, 12), "t5xxl": rows(2, 16)},
            THREE,
            {"text_encoder": 2, "text_encoder_2": 2, "text_encoder_3": 2},
        ),
        ({"clip_g": rows(2, 12)}, {"text_encoder_2": 12}, {"text_encoder_2": 2}),  # the SDXL refiner
        ({"emb_params": rows(2, 8)}, {"text_encoder": 8, "text_encoder_2": 16}, {"text_encoder": 2}),  # Flux: CLIP and T5
    ],
)
def test_each_shape_of_file_finds_its_text_encoders(
    tmp_path: Path, tensors: dict[str, torch.Tensor], widths: dict[str, int], expected: dict[str, int]
):
    file = read_file(saved(tmp_path, **tensors))
    optional = [c for c, width in widths.items() if width == 16]
    embedding = load(file, widths, optional)
    assert {c: len(v) for c, v in embedding.vectors.items()} == expected
    assert (embedding.name, embedding.length) == ("word", max(expected.values()))
    first = next(iter(tensors.values()))
    assert torch.equal(next(iter(embedding.vectors.values())), torch.atleast_2d(first).float())


@pytest.mark.parametrize(
    ("tensors", "widths", "words"),
    [
        ({"emb_params": rows(2, 9)}, ONE, "width 9; this model's are 8"),
        ({"clip_l": rows(2, 8)}, TWO, "width 8; this model's are 8 [+] 12"),
        ({"clip_l": rows(2, 8), "clip_g": rows(2, 12)}, {"text_encoder": 9}, "width 8 [+] 12; this model's are 9"),
        ({"clip_l": rows(2, 8), "clip_g": rows(3, 12)}, TWO, "another number of vectors"),
        ({"emb_params": torch.full((1, 8), float("nan"))}, ONE, "not numbers"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor], widths: dict[str, int], words: str):
    with pytest.raises(ModelFault, match=words):
        load(read_file(saved(tmp_path, **tensors)), widths)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"emb_params": rows(76, 8)}, "76 vectors"),
        ({"a__weight": rows(2, 8), "b__weight": rows(2, 8)}, "no textual inversion"),
        ({"emb_params": torch.zeros(2, 2, 2)}, "no textual inversion"),
    ],
)
def test_what_is_none_is_said(tmp_path: Path, tensors: dict[str, torch.Tensor], words: str):
    with pytest.raises(ModelFault, match=words):
        read_file(saved(tmp_path, **tensors))


def test_a_pickle_is_never_opened(tmp_path: Path):
    (tmp_path / "word.pt").write_bytes(b"\x80\x04anything")
    with pytest.raises(ModelFault, match="Convert it on the Models tab"):
        read_file(tmp_path / "word.pt")


def test_words_that_a_lora_carries_along(tmp_path: Path):
    tensors = {
        "bundle_emb__cat__clip_l": rows(2, 8),
        "bundle_emb__cat__clip_g": rows(2, 12),
        "bundle_emb__a dog__string_to_param__*": rows(1, 8),
    }
    found = bundled(header.read(saved(tmp_path, **tensors, lora_unet_x__alpha=torch.ones(1))))
    assert found.keys() == {"cat", "a dog"}
    assert load(found["cat"], TWO).length == 2
    assert load(found["a dog"], ONE).name == "a dog"


def test_a_word_may_be_called_otherwise_than_its_file(tmp_path: Path):
    path = saved(tmp_path, emb_params=rows(1, 8))
    assert describe(header.read(path), "other").name == "other"
