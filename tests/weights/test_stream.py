"""Files written tensor by tensor: what safetensors itself reads from them, and what is left when writing fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from modules.weights import header
from modules.weights.stream import Piece, in_dtype, write

VALUES = {
    "half": torch.randn(3, 5).half(),
    "brain": torch.randn(7).bfloat16(),
    "whole": torch.arange(4)[None],
    "scalar": torch.tensor(4.5),
    "none": torch.zeros(0),
    "askew": torch.randn(6, 4).T,
}
TYPES = {"half": "F16", "brain": "BF16", "whole": "I64", "scalar": "F32", "none": "F32", "askew": "F32"}


def pieces(values: dict[str, torch.Tensor]) -> list[Piece]:
    return [Piece(name, TYPES[name], tuple(value.shape), lambda value=value: value) for name, value in values.items()]


def test_safetensors_reads_what_was_written(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write(tmp_path / "x.safetensors", pieces(VALUES), {"a": "ü"}, lambda done, total: seen.append((done, total)))
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "a": "ü"}
        for name, value in VALUES.items():
            assert file.get_tensor(name).dtype == value.dtype
            assert torch.equal(file.get_tensor(name), value)
    assert seen == [(n, len(VALUES)) for n in range(1, len(VALUES) + 1)]
    assert header.read(tmp_path / "x.safetensors").tensors["askew"].shape == (4, 6)


def test_nothing_is_left_of_a_file_that_could_not_be_finished(tmp_path: Path) -> None:
    broken = [*pieces(VALUES), Piece("last", "U8", (2,), lambda: torch.zeros(3, dtype=torch.uint8))]
    with pytest.raises(ValueError, match="last has the shape"):
        write(tmp_path / "x.safetensors", broken, {})
    assert not list(tmp_path.iterdir())


def test_whole_numbers_keep_their_type() -> None:
    assert [in_dtype("I64", "float16"), in_dtype("F32", "bfloat16"), in_dtype("F8_E4M3", None), in_dtype("Q4_K", None)] == [
        "I64",
        "BF16",
        "F8_E4M3",
        "F16",
    ]
