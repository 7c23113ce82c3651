"""GGUF files: their header as a `Header`, and their tensors as plain numbers. No code from a file is run, nothing is trusted.

Start reading at `read`. How quantised blocks become numbers stands in `ggml_blocks`. Source: the GGUF specification (ggml, MIT).
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.faults import ModelFault
from modules.weights import ggml_blocks
from modules.weights.header import Header, TensorInfo

if TYPE_CHECKING:
    from torch import Tensor

_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9
_COUNT_LIMIT, _TEXT_LIMIT, _ARRAY_LIMIT, _AXES_LIMIT = 200_000, 50_000_000, 5_000_000, 8
_SHAPE_KEY = "comfy.gguf.orig_shape."


@dataclass(frozen=True, slots=True)
class Row:
    """One tensor: its type, its shape as torch has it, its first byte."""

    kind: ggml_blocks.Quant
    shape: tuple[int, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Index:
    """rows: name -> where; metadata: as the file has it."""

    rows: dict[str, Row]
    metadata: dict[str, Any]


def read(path: Path) -> Header:
    """The header of a GGUF file. Raises ModelFault with the reason: empty, cut off, another kind of file, a type not known here.

    Metadata: single values as text, arrays left out. Shapes as torch has them.
    """
    found = index(path)
    tensors = {name: TensorInfo(row.kind.name, row.shape) for name, row in found.rows.items()}
    metadata = {key: str(value) for key, value in found.metadata.items() if not isinstance(value, list)}
    return Header(path=path, tensors=tensors, metadata=metadata, format="gguf")


def tensor(path: Path, row: Row, rows: tuple[int, int] | None = None) -> Tensor:
    """One tensor on the CPU: float32 from quantised types, else the file's own type. row: from `index`; rows: only these of axis 0."""
    import numpy as np
    import torch

    width = math.prod(row.shape[1:])
    if rows is not None and width % row.kind.block:  # blocks reach from one row into the next
        return tensor(path, row)[rows[0] : rows[1]]
    shape, at = row.shape, row.at
    if rows is not None:
        shape, at = (rows[1] - rows[0], *row.shape[1:]), row.at + row.kind.size_bytes(rows[0] * width)
    raw = np.fromfile(path, dtype=np.uint8, count=row.kind.size_bytes(math.prod(shape)), offset=at)
    plain = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}.get(row.kind.name)
    if plain is not None:
        return torch.from_numpy(raw).view(plain).reshape(shape)
    return torch.from_numpy(ggml_blocks.numbers(row.kind, raw)).reshape(shape)


def index(path: Path) -> Index:
    """Where the tensors lie. Raises ModelFault; see `read`."""
    try:
        return _parsed(path, path.stat().st_size)
    except OSError as error:
        raise ModelFault(f"{path.name} cannot be read: {error.strerror}.") from error


def _parsed(path: Path, size: int) -> Index:
    if size < 24:
        raise ModelFault(f"{path.name} is {'empty' if size == 0 else 'cut off'}. Download it again.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] != b"GGUF":
            raise ModelFault(f"{path.name} is not a GGUF file. Download it again, or give it the ending of what it is.")
        try:
            return _Reader(data, size).index()
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise ModelFault(f"{path.name} is cut off or damaged inside its header. Download it again.") from error
        except ValueError as error:
            raise ModelFault(f"{path.name} {error}") from error


class _Reader:
    """Reads on through a header. Raises ValueError (the end of a sentence) or struct.error when it is not sound."""

    def __init__(self, data: mmap.mmap, size: int) -> None:
        self._data, self._size, self._at = data, size, 4

    def index(self) -> Index:
        version = self._number("<I")
        if version not in (2, 3):
            raise ValueError(f"is GGUF version {version}; this version reads 2 and 3.")
        counts = self._number("<Q"), self._number("<Q")
        if not 0 < counts[0] <= _COUNT_LIMIT or counts[1] > _COUNT_LIMIT:
            raise ValueError("has a damaged header. Download it again.")
        metadata: dict[str, Any] = {}
        for _ in range(counts[1]):
            key = self._text()
            metadata[key] = self._value(self._number("<I"))
        found = [(self._text(), *self._described()) for _ in range(counts[0])]
        step = metadata.get("general.alignment", 32)
        if not isinstance(step, int) or not 0 < step <= 65536:
            raise ValueError("has a damaged header. Download it again.")
        begin = -(-self._at // step) * step
        return Index({name: self._row(name, dims, kind, begin + at, metadata) for name, dims, kind, at in found}, metadata)

    def _row(self, name: str, dims: tuple[int, ...], kind: int, at: int, metadata: dict[str, Any]) -> Row:
        quant = ggml_blocks.QUANTS.get(kind)
        if quant is None:
            raise ValueError(f"uses the quantisation number {kind}, which this version cannot read. Take a Q4_K, Q5_K, Q6_K or Q8_0 file.")
        count = math.prod(dims)
        if count % quant.block or at + quant.size_bytes(count) > self._size:
            raise ValueError(f"is cut off or damaged: its tensor {name[:80]!r} does not fit. Download it again.")
        shape = metadata.get(_SHAPE_KEY + name)
        if isinstance(shape, list) and all(isinstance(n, int) and n > 0 for n in shape) and math.prod(shape) == count:
            dims = tuple(reversed(shape))
        return Row(quant, tuple(reversed(dims)), at)

    def _described(self) -> tuple[tuple[int, ...], int, int]:
        axes = self._number("<I")
        if axes > _AXES_LIMIT:
            raise ValueError("has a damaged header. Download it again.")
        dims = tuple(self._number("<Q") for _ in range(axes))
        return dims, self._number("<I"), self._number("<Q")

    def _value(self, kind: int) -> Any:
        if kind in _NUMBERS:
            return self._number(_NUMBERS[kind])
        if kind == _TEXT:
            return self._text()
        if kind != _ARRAY:
            raise ValueError("has a damaged header. Download it again.")
        inner, count = self._number("<I"), self._number("<Q")
        if count > _ARRAY_LIMIT or inner == _ARRAY:
            raise ValueError("has a damaged header. Download it again.")
        return [self._value(inner) for _ in range(count)]

    def _text(self) -> str:
        length = self._number("<Q")
        if length > min(_TEXT_LIMIT, self._size - self._at):
            raise ValueError("is cut off or damaged inside its header. Download it again.")
        self._at += length
        return self._data[self._at - length : self._at].decode("utf-8")

    def _number(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return value
