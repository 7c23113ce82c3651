"""What a weight file says about itself: names, number types and shapes of its tensors, and its metadata. No tensor is read.

Everything a file can lie about is checked here, before anybody opens it for good. Start reading at `read`.
Source: the safetensors format (8 bytes little-endian header length, JSON, data).
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from modules.faults import ModelFault

HEADER_LIMIT = 100_000_000
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6,
    "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """dtype: as safetensors writes it ("F16"); a GGUF quantisation keeps its own name ("Q4_0"). shape: as torch sees it."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Header:
    """tensors: name -> its type and shape. metadata: text -> text. format: "safetensors" or "gguf"."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    format: str = "safetensors"

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor, None when it is not there."""
        found = self.tensors.get(name)
        return found.shape if found else None

    def under(self, prefix: str) -> Iterator[str]:
        """The names that begin so, with the prefix taken off."""
        return (name[len(prefix) :] for name in self.tensors if name.startswith(prefix))

    def has(self, prefix: str) -> bool:
        """Does any name begin so?"""
        return any(name.startswith(prefix) for name in self.tensors)


def read(path: Path) -> Header:
    """The header of a safetensors file. Raises ModelFault with the reason: empty, cut off, another kind of file, broken."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > min(HEADER_LIMIT, size - 8) or length < 2:
                raise ModelFault(f"{path.name} {_what_else(path, start, size, length)}")
            text = file.read(length)
    except OSError as error:
        raise ModelFault(f"{path.name} cannot be read: {error.strerror}.") from error
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFault(f"{path.name} is not a safetensors file: {_what_else(path, start, size, length)}") from error
    if not isinstance(rows, dict):
        raise ModelFault(f"{path.name} has a broken header. Download it again.")
    return _checked(path, cast(dict[str, Any], rows), size - 8 - length)


def _checked(path: Path, rows: dict[str, Any], data_bytes: int) -> Header:
    metadata = rows.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in metadata.items()):
        raise ModelFault(f"{path.name} has broken metadata in its header. Download it again.")
    tensors: dict[str, TensorInfo] = {}
    spans: list[tuple[int, int]] = []
    for name, row in rows.items():
        try:
            info = TensorInfo(str(row["dtype"]), tuple(_natural(n) for n in row["shape"]))
            begin, end = (_natural(n) for n in row["data_offsets"])
        except (TypeError, KeyError, ValueError) as error:
            raise ModelFault(f"{path.name} describes its tensor {name[:80]!r} wrongly. Download it again.") from error
        if info.dtype not in BITS:
            raise ModelFault(f"{path.name} holds numbers of the type {info.dtype[:40]!r}, which this version cannot read.")
        if end > data_bytes:
            raise ModelFault(f"{path.name} is cut off: {end - data_bytes} bytes are missing at its end. Download it again.")
        if (end - begin) * 8 != math.prod(info.shape) * BITS[info.dtype]:
            raise ModelFault(f"{path.name}: the tensor {name[:80]!r} has another size than its shape says. Download it again.")
        tensors[name] = info
        spans.append((begin, end))
    spans.sort()
    if any(after[0] < before[1] for before, after in itertools.pairwise(spans)):
        raise ModelFault(f"{path.name} is broken: its tensors lie over each other. Download it again.")
    if not tensors:
        raise ModelFault(f"{path.name} holds no tensors.")
    return Header(path=path, tensors=tensors, metadata=cast(dict[str, str], metadata))


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise ValueError(value)
    return value


def _what_else(path: Path, start: bytes, size: int, length: int) -> str:
    """Why a file is not what its name says, and what to do, as the end of a sentence."""
    with path.open("rb") as file:
        begin = file.read(512)
    if size == 0:
        return "is empty. Download it again."
    if begin.startswith(b"version https://git-lfs"):
        return "is only a pointer of Git LFS, not the file itself. Fetch it with `git lfs pull` or download it again."
    if re.match(rb"\s*(<!doctype|<html|<\?xml|\{\"error)", begin, re.IGNORECASE):
        return "is a web page or an error message, not a model. Download it again, signed in if its site asks for that."
    if begin.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return "is a pickle file (.ckpt, .pt) under another name; those can hold programs. Convert it on the Models tab."
    if begin.startswith(b"GGUF"):
        return "is a GGUF file under another name. Give it the ending .gguf."
    if 2 <= length <= HEADER_LIMIT and begin[8:9] == b"{":
        return f"is cut off: it ends inside its header ({size} of at least {length + 8} bytes). Download it again."
    return "is not a safetensors file, or its header is damaged. Download it again."
