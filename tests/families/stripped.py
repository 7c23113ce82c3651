"""Stripped headers of full-size models: keys, shapes and number types without weights, and how their variants are made from them.

Start reading at `header` and `NAMES`. The files in headers/ are made by `tests.families.make_headers`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from modules.weights.header import Header, TensorInfo

HEADERS = Path(__file__).parent / "headers"
NAMES = sorted(path.name.removesuffix(".json.gz") for path in HEADERS.glob("*.json.gz"))


@cache
def header(name: str) -> Header:
    """The header of a full-size model, as a file on disk would give it."""
    data = json.loads(gzip.decompress((HEADERS / f"{name}.json.gz").read_bytes()))
    tensors = {key: TensorInfo(dtype, tuple(shape)) for key, (dtype, shape) in data["tensors"].items()}
    return Header(path=Path(f"{name}.safetensors"), tensors=tensors, metadata=data["metadata"])


def made(tensors: dict[str, tuple[int, ...]], *, metadata: dict[str, str] | None = None, name: str = "file") -> Header:
    """A header with these shapes."""
    return Header(
        path=Path(f"{name}.safetensors"),
        tensors={key: TensorInfo("F16", shape) for key, shape in tensors.items()},
        metadata=metadata or {},
    )


def renamed(source: Header, change: Callable[[str], str | None], *, format: str = "safetensors") -> Header:
    """The same tensors under other names; those that `change` turns into None are left out."""
    tensors = {new: info for key, info in source.tensors.items() if (new := change(key)) is not None}
    return Header(path=Path("renamed.safetensors"), tensors=tensors, metadata=source.metadata, format=format)


def under(source: Header, prefix: str, new: str = "", *, format: str = "safetensors") -> Header:
    """Only the tensors with a prefix, under another one."""
    return renamed(source, lambda key: new + key[len(prefix) :] if key.startswith(prefix) else None, format=format)
