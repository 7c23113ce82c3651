"""How the quantised blocks of GGUF files become float32 numbers. numpy only.

A tensor is a row of blocks; a block is a few bytes that stand for 32 or 256 numbers. Start reading at `numbers`.
Source: ggml's block layouts (ggml-quants, MIT). Compared with the reference implementation in tests/weights/layouts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Array = Any


@dataclass(frozen=True, slots=True)
class Quant:
    """name: as GGUF writes it; block: numbers in a block; size: its bytes."""

    name: str
    block: int
    size: int

    def size_bytes(self, count: int) -> int:
        """Bytes that so many numbers take."""
        return count // self.block * self.size


QUANTS: dict[int, Quant] = {
    0: Quant("F32", 1, 4),
    1: Quant("F16", 1, 2),
    2: Quant("Q4_0", 32, 18),
    3: Quant("Q4_1", 32, 20),
    6: Quant("Q5_0", 32, 22),
    7: Quant("Q5_1", 32, 24),
    8: Quant("Q8_0", 32, 34),
    10: Quant("Q2_K", 256, 84),
    11: Quant("Q3_K", 256, 110),
    12: Quant("Q4_K", 256, 144),
    13: Quant("Q5_K", 256, 176),
    14: Quant("Q6_K", 256, 210),
    28: Quant("F64", 1, 8),
    30: Quant("BF16", 1, 2),
}


def numbers(quant: Quant, raw: Array) -> Array:
    """The numbers of a quantised tensor, float32, one axis. raw: its bytes (uint8). Raises KeyError for a type that is not quantised."""
    blocks = raw.reshape(-1, quant.size)
    return _READERS[quant.name](blocks).reshape(-1)


def _half(blocks: Array, at: int) -> Array:
    """The float16 at a place in every block, as float32 (n, 1)."""
    import numpy as np

    return blocks[:, at : at + 2].copy().view(np.float16).astype(np.float32)


def _nibbles(data: Array, rows: int) -> Array:
    """Bytes (n, b) as 4-bit numbers: of each of `rows` equal runs first all low halves, then all high ones. (n, 2b) int8."""
    import numpy as np

    runs = data.reshape(len(data), rows, 1, -1)
    return np.concatenate([runs & 15, runs >> 4], axis=2).reshape(len(data), -1).astype(np.int8)


def _bit_rows(data: Array, shifts: tuple[int, ...], mask: int, runs: int = 1) -> Array:
    """Bytes (n, b) as small numbers: for every run of bytes, first all its numbers at the first shift, then at the next."""
    import numpy as np

    split = data.reshape(len(data), runs, 1, -1)
    steps = np.array(shifts, np.uint8).reshape(1, 1, -1, 1)
    return ((split >> steps) & mask).reshape(len(data), -1)


def _fifth_bits(blocks: Array, at: int) -> Array:
    """The 32 high bits of a Q5 block, (n, 32) of 0 or 16."""
    import numpy as np

    return (np.unpackbits(blocks[:, at : at + 4], axis=1, bitorder="little") << 4).astype(np.int8)


def _q8_0(blocks: Array) -> Array:
    import numpy as np

    return _half(blocks, 0) * blocks[:, 2:].view(np.int8)


def _q4_0(blocks: Array) -> Array:
    return _half(blocks, 0) * (_nibbles(blocks[:, 2:], 1) - 8)


def _q4_1(blocks: Array) -> Array:
    return _half(blocks, 0) * _nibbles(blocks[:, 4:], 1) + _half(blocks, 2)


def _q5_0(blocks: Array) -> Array:
    return _half(blocks, 0) * ((_nibbles(blocks[:, 6:], 1) | _fifth_bits(blocks, 2)) - 16)


def _q5_1(blocks: Array) -> Array:
    return _half(blocks, 0) * (_nibbles(blocks[:, 8:], 1) | _fifth_bits(blocks, 4)) + _half(blocks, 2)


def _six_bit_scales(packed: Array) -> tuple[Array, Array]:
    """The eight scales and eight minima that a K block packs into 12 bytes, each (n, 8) of 0..63."""
    import numpy as np

    low, mid, high = packed[:, 0:4], packed[:, 4:8], packed[:, 8:12]
    scale = np.concatenate([low & 63, (high & 15) | ((low >> 2) & 48)], axis=1)
    least = np.concatenate([mid & 63, (high >> 4) | ((mid >> 2) & 48)], axis=1)
    return scale.astype(np.float32), least.astype(np.float32)


def _q4_k(blocks: Array) -> Array:
    scale, least = _six_bit_scales(blocks[:, 4:16])
    values = _nibbles(blocks[:, 16:], 4).reshape(len(blocks), 8, 32)
    return (_half(blocks, 0) * scale)[:, :, None] * values - (_half(blocks, 2) * least)[:, :, None]


def _q5_k(blocks: Array) -> Array:
    scale, least = _six_bit_scales(blocks[:, 4:16])
    high = _bit_rows(blocks[:, 16:48], tuple(range(8)), 1).reshape(len(blocks), 8, 32)
    values = _nibbles(blocks[:, 48:], 4).reshape(len(blocks), 8, 32) | (high << 4)
    return (_half(blocks, 0) * scale)[:, :, None] * values - (_half(blocks, 2) * least)[:, :, None]


def _q6_k(blocks: Array) -> Array:
    import numpy as np

    low = _bit_rows(blocks[:, :128], (0, 4), 15, runs=2)
    high = _bit_rows(blocks[:, 128:192], (0, 2, 4, 6), 3, runs=2)
    values = (low | (high << 4)).astype(np.int8) - 32
    scale = _half(blocks, 208) * blocks[:, 192:208].view(np.int8)
    return scale[:, :, None] * values.reshape(len(blocks), 16, 16)


def _q2_k(blocks: Array) -> Array:
    packed = blocks[:, :16]
    values = _bit_rows(blocks[:, 16:80], (0, 2, 4, 6), 3, runs=2).reshape(len(blocks), 16, 16)
    return (_half(blocks, 80) * (packed & 15))[:, :, None] * values - (_half(blocks, 82) * (packed >> 4))[:, :, None]


def _q3_k(blocks: Array) -> Array:
    import numpy as np

    packed = blocks[:, 96:108]
    low = _bit_rows(packed[:, :8], (0, 4), 15)
    high = _bit_rows(packed[:, 8:], (0, 2, 4, 6), 3)
    scale = _half(blocks, 108) * ((low | (high << 4)).astype(np.int8) - 32)
    two = _bit_rows(blocks[:, 32:96], (0, 2, 4, 6), 3, runs=2)
    third = _bit_rows(blocks[:, :32], tuple(range(8)), 1) ^ 1
    values = two.astype(np.int8) - (third << 2).astype(np.int8)
    return scale[:, :, None] * values.reshape(len(blocks), 16, 16)


_READERS: dict[str, Callable[[Array], Array]] = {
    "Q8_0": _q8_0, "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q2_K": _q2_k, "Q3_K": _q3_k, "Q4_K": _q4_k,
    "Q5_K": _q5_k, "Q6_K": _q6_k,
}  # fmt: skip
