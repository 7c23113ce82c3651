"""GGUF files: their headers, their blocks (against values the reference implementation gave), and a Flux transformer from one."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modules.faults import ModelFault
from modules.weights import ggml_blocks, gguf
from modules.weights.layouts.files import header_of
from modules.weights.layouts.module import load_component
from tests.weights.layouts.conftest import Sample

Get = Callable[[str], Sample]
NUMBERS = {quant.name: (number, quant) for number, quant in ggml_blocks.QUANTS.items()}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def write_gguf(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]], metadata: dict[str, str] | None = None) -> Path:
    """tensors: name -> (type, shape as torch has it, bytes)."""
    rows = {"general.architecture": "flux", **(metadata or {})}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(rows))
    head += b"".join(text(key) + struct.pack("<I", 8) + text(value) for key, value in rows.items())
    data = b""
    for name, (kind, shape, raw) in tensors.items():
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in reversed(shape))
        head += struct.pack("<IQ", NUMBERS[kind][0], len(data))
        data += raw + bytes(-len(raw) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def q8_0(values: np.ndarray) -> bytes:
    """Rows of 32 numbers as 8 bits and one scale each."""
    rows = values.reshape(-1, 32).astype(np.float32)
    scale = (np.abs(rows).max(axis=1, keepdims=True) / 127).astype(np.float16)
    whole = np.round(rows / np.where(scale == 0, 1, scale).astype(np.float32)).clip(-127, 127).astype(np.int8)
    return b"".join(s.tobytes() + w.tobytes() for s, w in zip(scale, whole, strict=True))


def test_a_flux_transformer_from_gguf(sample: Get, tmp_path: Path) -> None:
    made = sample("flux-dev")
    tensors: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for name, value in load_file(made.single).items():
        inner = name.removeprefix("model.diffusion_model.")
        if inner != name:
            wide = value.ndim == 2 and value.shape[1] % 32 == 0
            raw = q8_0(value.numpy()) if wide else value.to(torch.float32).numpy().tobytes()
            tensors[inner] = ("Q8_0" if wide else "F32", tuple(value.shape), raw)
    file = write_gguf(tmp_path / "flux.gguf", tensors)
    head = gguf.read(file)
    assert head.format == "gguf"
    assert head.metadata["general.architecture"] == "flux"
    assert head.tensors["double_blocks.0.img_attn.qkv.weight"].dtype == "Q8_0"
    loaded = load_component(file, "flux", "transformer", "float32")
    exact = load_component(made.single, "flux", "transformer", "float32").state_dict()
    for name, value in loaded.state_dict().items():
        assert (value - exact[name]).abs().max() <= exact[name].abs().max() / 200, name
    assert torch.equal(loaded.state_dict()["proj_out.bias"], exact["proj_out.bias"])


# One block each of bytes 7, 20, 33, ... (13 i + 7 modulo 256) with the scales set to 0.5 (and the minimum to 0.25), and what the
# reference implementation (gguf 0.19.0) makes of it: the first four and the last two numbers, and the sum of all.
SCALES: dict[str, tuple[int, ...]] = {
    "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), "Q8_0": (0,),
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,),
}  # fmt: skip
REFERENCE: dict[str, tuple[list[float], float]] = {
    "Q4_0": ([-3.5, 3.0, 1.5, 0.0, 2.5, 3.0], -6.5),
    "Q4_1": ([5.75, 4.25, 2.75, 1.25, 7.75, 7.75], 142.5),
    "Q5_0": ([2.5, -7.0, -0.5, -2.0, 0.0, -7.5], -20.5),
    "Q5_1": ([15.75, 14.25, 4.75, 11.25, 9.25, 1.75], 248.5),
    "Q8_0": ([16.5, 23.0, 29.5, 36.0, -44.5, -38.0], 40.0),
    "Q2_K": ([10.5, 0.0, 3.5, 7.0, 12.0, -3.0], 1084.0),
    "Q3_K": ([34.5, -46.0, 11.5, -23.0, -18.0, -18.0], 167.5),
    "Q4_K": ([194.75, 106.25, 17.75, 401.25, 28.0, 41.0], 21604.0),
    "Q5_K": ([666.75, 106.25, 489.75, 401.25, 158.0, 171.0], 45948.0),
    "Q6_K": ([-655.5, 798.0, 427.5, -399.0, -354.0, -413.0], 6450.0),
}


def block(name: str) -> np.ndarray:
    raw = ((np.arange(NUMBERS[name][1].size) * 13 + 7) % 256).astype(np.uint8)
    for at, value in zip(SCALES[name], (0.5, 0.25), strict=False):
        raw[at : at + 2] = np.array([value], np.float16).view(np.uint8)
    return raw


@pytest.mark.parametrize("name", SCALES)
def test_blocks_are_read_as_the_reference_reads_them(name: str) -> None:
    values = ggml_blocks.numbers(NUMBERS[name][1], block(name))
    shown, total = REFERENCE[name]
    assert [*values[:4].tolist(), *values[-2:].tolist()] == shown
    assert float(values.astype(np.float64).sum()) == total


def test_plain_types_keep_their_numbers(tmp_path: Path) -> None:
    half = torch.randn(4, 6).to(torch.bfloat16)
    file = write_gguf(tmp_path / "x.gguf", {"a": ("BF16", (4, 6), half.view(torch.uint8).numpy().tobytes())})
    assert torch.equal(gguf.tensor(file, gguf.index(file).rows["a"]), half)


@pytest.mark.parametrize("cut", [0, 3, 30, 90, 200])
def test_a_cut_off_file_is_refused_by_name(tmp_path: Path, cut: int) -> None:
    whole = write_gguf(tmp_path / "whole.gguf", {"weight": ("F32", (8, 8), bytes(256))}).read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[:cut])
    with pytest.raises(ModelFault, match=r"cut\.gguf .*again"):
        header_of(tmp_path / "cut.gguf")


def test_damaged_headers_crash_nothing(tmp_path: Path) -> None:
    whole = bytearray(write_gguf(tmp_path / "whole.gguf", {"weight": ("F32", (8, 8), bytes(256))}).read_bytes())
    random = np.random.default_rng(0)
    file, refused = tmp_path / "mutated.gguf", 0
    for _ in range(200):
        mutated = bytearray(whole)
        for at in random.integers(0, 120, 3):
            mutated[at] = random.integers(0, 256)
        file.write_bytes(mutated)
        try:
            gguf.read(file)
        except ModelFault:
            refused += 1
    assert refused > 100


def test_an_unknown_quantisation_is_named(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "new.gguf", {"weight": ("F32", (8, 8), bytes(256))})
    raw: Any = bytearray(file.read_bytes())
    at = raw.index(b"weight") + len("weight") + 4 + 16
    raw[at : at + 4] = struct.pack("<I", 23)
    file.write_bytes(raw)
    with pytest.raises(ModelFault, match="quantisation number 23"):
        gguf.read(file)
