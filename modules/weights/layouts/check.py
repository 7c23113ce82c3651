"""Is a converted model what it was made from? Opened anew and compared tensor by tensor, before anybody calls it done.

Start reading at `verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modules.faults import ModelFault
from modules.weights import header
from modules.weights.header import Header, TensorInfo
from modules.weights.layouts.component import Component
from modules.weights.layouts.export import Dtype, Model, open_model, pieces
from modules.weights.layouts.files import Tensors
from modules.weights.stream import in_dtype

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Report:
    """components: those compared; tensors: how many of them were found equal; kind: what the detector says, "" when none was asked."""

    components: tuple[str, ...]
    tensors: int
    kind: str = ""


def verify(
    made: Path,
    source: Path,
    layout: str,
    dtype: Dtype = None,
    *,
    parts: Mapping[str, Path] | None = None,
    detect: Callable[[Header], str] | None = None,
    each: Callable[[int, int], None] | None = None,
) -> Report:
    """Compare a file or folder with what it was made from. Raises ModelFault with the first thing that is wrong.

    Checked: the very names, shapes and types that were to be written; every number equal to the source's (cast to dtype), none of them
    NaN or infinite. dtype, parts: as in `write`. detect(header): asked what a single file is, may raise; each(done, total).
    """
    want, have = open_model(source, layout, parts), open_model(made, layout)
    if want.components.keys() != have.components.keys():
        raise ModelFault(f"{made.name} holds {', '.join(have.components)} instead of {', '.join(want.components)}.")
    if made.is_file():
        _same_names(made, want, dtype)
    total, done = sum(len(found.tensors) for found in want.components.values()), 0
    with Tensors() as old, Tensors() as new:
        for name, component in want.components.items():
            wanted = dtype if isinstance(dtype, str) or dtype is None else dtype.get(name)
            _same_list(made, component, have.components[name], wanted)
            for tensor in component.tensors:
                _same_numbers(made, f"{name}.{tensor}", component.read(old, tensor), have.components[name].read(new, tensor))
                done += 1
                if each:
                    each(done, total)
    kind = detect(header.read(made)) if detect and made.is_file() else ""
    return Report(components=tuple(want.components), tensors=total, kind=kind)


def _same_names(made: Path, want: Model, dtype: Dtype) -> None:
    with Tensors() as files:
        planned = {piece.name: TensorInfo(piece.dtype, piece.shape) for piece in pieces(want, files, dtype)}
    found = header.read(made).tensors
    wrong = sorted(name for name in planned.keys() | found.keys() if planned.get(name) != found.get(name))
    if wrong:
        raise ModelFault(f"{made.name}: {len(wrong)} of its tensors are not as planned, the first is {wrong[0]}.")


def _same_list(made: Path, want: Component, have: Component, dtype: str | None) -> None:
    planned = {name: (in_dtype(info.dtype, dtype), info.shape) for name, info in want.tensors.items()}
    found = {name: (info.dtype, info.shape) for name, info in have.tensors.items()}
    wrong = sorted(name for name in planned.keys() | found.keys() if planned.get(name) != found.get(name))
    if wrong:
        raise ModelFault(f"{made.name}: {len(wrong)} tensors of its {want.name} are not as planned, the first is {wrong[0]}.")


def _same_numbers(made: Path, name: str, want: Tensor, have: Tensor) -> None:
    import torch

    if not have.is_floating_point():
        if not torch.equal(want, have):
            raise ModelFault(f"{made.name}: {name} has other numbers than what it was made from.")
        return
    wide = have.to(torch.float32)
    if not bool(torch.isfinite(want.to(torch.float32)).all()):
        raise ModelFault(f"{made.name}: {name} holds numbers that are none (NaN or infinite), in the source already. Use another source.")
    if bool(torch.isinf(wide).any()):
        raise ModelFault(f"{made.name}: {name} has numbers too large for its number type. Take bfloat16 or float32.")
    if not torch.equal(want.to(have.dtype).to(torch.float32), wide):
        raise ModelFault(
            f"{made.name}: {name} has other numbers than what it was made from. Convert it again; if that helps not, check the disk."
        )
