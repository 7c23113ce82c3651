"""Safetensors files written tensor by tensor: the header first, since shapes are known, then one tensor after another.

Memory use is one tensor, however large the file. Knows nothing about models. Start reading at `write`.
Source: the safetensors format (8 bytes little-endian header length, JSON, data; data ordered by falling alignment).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.faults import DiskFault
from modules.weights.header import BITS

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})


@dataclass(frozen=True)
class Piece:
    """One tensor of the file to be. dtype: as safetensors writes it ("F16"); make() gives it, in any number type, when its turn comes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], Tensor]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * BITS[self.dtype] // 8


def in_dtype(own: str, wanted: str | None) -> str:
    """The type a tensor is written in: whole numbers stay what they are, quantised ones become float16 unless asked otherwise.

    own: as the file has it; wanted: a torch name, None to keep. Raises KeyError for a type that cannot be written.
    """
    if own not in FLOATS and own in BITS:
        return own
    return DTYPES[wanted] if wanted else (own if own in FLOATS else "F16")


def write(target: Path, pieces: Iterable[Piece], metadata: Mapping[str, str], each: Callable[[int, int], None] | None = None) -> None:
    """Write the file; each(done, total) after every tensor. What was begun is taken away when it fails.

    Raises DiskFault; ValueError when a tensor has not the shape that was announced or comes twice.
    """
    order = sorted(pieces, key=lambda piece: (-BITS[piece.dtype], piece.name))
    head = _header(order, metadata)
    whole = False
    try:
        with target.open("wb") as file:
            file.write(head)
            for done, piece in enumerate(order, 1):
                file.write(_bytes(piece))
                if each:
                    each(done, len(order))
            file.flush()
            os.fsync(file.fileno())
        whole = True
    except OSError as error:
        raise DiskFault(f"{target.name} cannot be written: {error.strerror}. Free some space and try again.") from error
    finally:
        if not whole:
            target.unlink(missing_ok=True)


def _header(order: list[Piece], metadata: Mapping[str, str]) -> bytes:
    rows: dict[str, object] = {"__metadata__": {"format": "pt", **metadata}}
    at = 0
    for piece in order:
        if piece.name in rows:
            raise ValueError(f"{piece.name} comes twice")
        rows[piece.name] = {"dtype": piece.dtype, "shape": list(piece.shape), "data_offsets": [at, at + piece.size_bytes]}
        at += piece.size_bytes
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes(piece: Piece) -> memoryview:
    import torch

    tensor = piece.make()
    if tuple(tensor.shape) != piece.shape:
        raise ValueError(f"{piece.name} has the shape {list(tensor.shape)}, not {list(piece.shape)}")
    dtype = next(getattr(torch, name) for name, short in DTYPES.items() if short == piece.dtype)
    flat = tensor.detach().to("cpu", dtype).contiguous().reshape(-1)
    numbers: Any = flat.view(torch.uint8).numpy()
    return memoryview(numbers)
