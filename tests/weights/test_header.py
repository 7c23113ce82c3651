"""Headers of weight files: what is read, and what is refused with a sentence that helps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from modules.faults import ModelFault
from modules.weights.header import TensorInfo, read


def whole(path: Path) -> Path:
    save_file({"a": torch.zeros(2, 3), "b.c": torch.zeros(4, dtype=torch.float16)}, path, metadata={"ss_output_name": "cat"})
    return path


def test_names_types_shapes_metadata(tmp_path: Path):
    header = read(whole(tmp_path / "m.safetensors"))
    assert header.tensors == {"a": TensorInfo("F32", (2, 3)), "b.c": TensorInfo("F16", (4,))}
    assert header.metadata == {"ss_output_name": "cat"}
    assert header.shape("a") == (2, 3)
    assert header.shape("x") is None
    assert header.has("b.")
    assert list(header.under("b.")) == ["c"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"<!DOCTYPE html><html>sign in</html>", "web page"),
        (b"PK\x03\x04" + b"\0" * 100, "pickle"),
        (b"\x80\x02" + b"\0" * 100, "pickle"),
        (b"GGUF" + b"\0" * 100, "GGUF"),
        (b"\xff" * 100, "damaged"),
        ((2**40).to_bytes(8, "little") + b"{}", "damaged"),
        ((5000).to_bytes(8, "little") + b'{"a":', "cut off"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, reason: str):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFault, match=reason):
        read(path)


def test_a_file_cut_off_in_its_data_is_refused(tmp_path: Path):
    path = whole(tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ModelFault, match="5 bytes are missing"):
        read(path)


def _with_header(path: Path, rows: object, data: bytes = b"\0" * 8) -> Path:
    text = json.dumps(rows).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0]},
        {"dtype": "F32", "shape": [2], "data_offsets": [True, 8]},
        {"shape": [2], "data_offsets": [0, 8]},
        "F32",
    ],
)
def test_a_row_that_lies_is_refused(tmp_path: Path, row: object):
    with pytest.raises(ModelFault):
        read(_with_header(tmp_path / "m.safetensors", {"a": row}))


def test_tensors_over_each_other_are_refused(tmp_path: Path):
    row = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    with pytest.raises(ModelFault, match="over each other"):
        read(_with_header(tmp_path / "m.safetensors", {"a": row, "b": row}))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_never_crashes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    path = whole(tmp_path_factory.mktemp("damage") / "m.safetensors")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert path.name in _refusal(path)


def _refusal(path: Path) -> str:
    """What is said about a file; its name when nothing is wrong with it."""
    try:
        return read(path).path.name
    except ModelFault as fault:
        return fault.message
