"""Reading tensors one at a time from safetensors and GGUF files, and the files a component of a model folder is made of.

Nothing is kept in memory beyond the tensor asked for. Knows no names of models. Start reading at `Tensors`.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from modules.faults import ModelFault
from modules.weights import gguf, header
from modules.weights.header import Header

if TYPE_CHECKING:
    from torch import Tensor

_STEMS = ("diffusion_pytorch_model", "model")
INDEX = ".safetensors.index.json"  # how the name ends of a file that says which piece has which tensor


class Tensors:
    """Opens files when first needed and holds them open until the `with` block ends."""

    def __init__(self) -> None:
        self._open: dict[Path, Any] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.clear()
        self._stack.close()

    def read(self, source: Header, name: str, rows: tuple[int, int] | None = None) -> Tensor:
        """A tensor on the CPU as the file has it (a quantised one dequantised to float32). rows: only these of axis 0."""
        if source.format == "gguf":
            if source.path not in self._open:
                self._open[source.path] = gguf.index(source.path)
            return gguf.tensor(source.path, self._open[source.path].rows[name], rows)
        if source.path not in self._open:
            from safetensors import safe_open

            self._open[source.path] = self._stack.enter_context(safe_open(source.path, framework="pt", device="cpu"))
        file = self._open[source.path]
        return file.get_slice(name)[rows[0] : rows[1]] if rows else file.get_tensor(name)


def header_of(path: Path) -> Header:
    """The header of a safetensors or GGUF file. Raises ModelFault."""
    return gguf.read(path) if path.suffix.lower() == ".gguf" else header.read(path)


def headers_of(folder: Path) -> list[Header]:
    """The headers of a component's weight files: the plain file, else its pieces, else the one with a variant in its name.

    Raises ModelFault when there is none.
    """
    for stem in _STEMS:
        if (folder / f"{stem}.safetensors").is_file():
            return [header.read(folder / f"{stem}.safetensors")]
        index = folder / f"{stem}{INDEX}"
        if index.is_file():
            return [header.read(folder / name) for name in _pieces(index)]
    found, indices = sorted(folder.glob("*.safetensors")), sorted(folder.glob(f"*{INDEX}"))
    if len(indices) == 1:
        return [header.read(folder / name) for name in _pieces(indices[0])]
    if len(found) == 1:
        return [header.read(found[0])]
    why = "more than one weight file, none with the usual name" if found else "no .safetensors weights"
    raise ModelFault(f"{folder.parent.name}: its part {folder.name} has {why}. Download the model again.")


def _pieces(index: Path) -> list[str]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ModelFault(f"{index.parent.name}/{index.name} cannot be read: {error}. Copy the model again.") from error
    if any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise ModelFault(f"{index.parent.name}/{index.name} names files outside its folder; it is not used.")
    return sorted(names)


def torch_dtype(name: str) -> Any:
    """The torch type of "float32", "float16", "bfloat16", "float8_e4m3fn", ... Raises ModelFault when there is none."""
    import torch

    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ModelFault(f"There is no number type {name!r}; take float32, float16 or bfloat16.")
    return found


def cast(tensor: Tensor, dtype: str | None) -> Tensor:
    """The tensor in that number type; whole numbers stay what they are. dtype None: unchanged."""
    return tensor.to(torch_dtype(dtype)) if dtype and tensor.is_floating_point() else tensor
