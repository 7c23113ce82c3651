"""A single-file checkpoint written anew, tensor by tensor: changed, cast, without ballast, with another VAE.

The file's own names are kept, so whatever could read it before still can. What changes numbers sees diffusers' names: a tensor that
holds several layers (q, k and v in one) is taken apart and put together again. Start reading at `rewrite`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.faults import ModelFault
from modules.upkeep.opened import Model
from modules.upkeep.report import Report
from modules.weights.header import Header
from modules.weights.layouts import rules
from modules.weights.layouts.component import Component, find, open_component
from modules.weights.layouts.files import Tensors, header_of
from modules.weights.layouts.kinds import KINDS
from modules.weights.stream import FLOATS, Piece, in_dtype, write

if TYPE_CHECKING:
    from torch import Tensor

Change = Callable[[str, str, "Tensor"], "Tensor"]  # (component, diffusers' name, tensor) -> the tensor it becomes
EMA = "model_ema."
# What training leaves in a checkpoint and no program needs for pictures.
_BALLAST = re.compile(r"(model_ema\.|optimizer|loss\.|lr_schedulers|global_step|epoch)")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """change: what happens to the numbers, None for nothing; dtype: a torch name, None to keep; ema: take the averaged copies;

    discard: names to leave out, None for none; vae: file of a VAE to bake in; metadata: over the file's own.
    """

    change: Change | None = None
    dtype: str | None = None
    ema: bool = False
    discard: re.Pattern[str] | None = None
    vae: Path | None = None
    metadata: Mapping[str, str] | None = None


def wanted(work: Mapping[str, Any]) -> str | None:
    """The number type a job asks for, None to keep the model's own."""
    return None if work["dtype"] == "keep" else work["dtype"]


def rewrite(model: Model, target: Path, plan: Plan, report: Report) -> None:
    """Write the model, which lies in one file, to `target`. Raises ModelFault, DiskFault."""
    source = header_of(model.path)
    with ExitStack() as stack:
        files = stack.enter_context(Tensors())
        pieces = {piece.name: piece for piece in _kept(model, source, plan, files, report)}
        if plan.vae is not None:
            if "vae" in model.components:
                for place in model.components["vae"].places.values():
                    pieces.pop(place.name, None)
            pieces |= {piece.name: piece for piece in _baked(model, plan, files)}
        if not pieces:
            raise ModelFault(f"Nothing of {model.name} is left to write.")
        metadata = {k: v for k, v in source.metadata.items() if k != "format"} | dict(plan.metadata or {})
        write(target, pieces.values(), metadata, report.part)


def _kept(model: Model, source: Header, plan: Plan, files: Tensors, report: Report) -> Iterator[Piece]:
    """The tensors of the source that stay, under their names."""
    owners = {place.name: (component, place.entry) for component in model.components.values() for place in component.places.values()}
    averaged = _averaged(source) if plan.ema else {}
    if plan.ema and not averaged:
        raise ModelFault(f"{model.name} has no averaged (EMA) copy of its weights. Convert it without that option.")
    left = 0
    for name, info in source.tensors.items():
        if _BALLAST.match(name) or (plan.discard and plan.discard.search(name)):
            left += 1
            continue
        read_name = averaged.get(name, name)
        changes = plan.change is not None and name in owners and info.dtype in FLOATS and read_name == name
        make = _changed(*owners[name], files, plan.change) if changes and plan.change else _as_is(source, read_name, files)
        yield Piece(name, in_dtype(info.dtype, plan.dtype), info.shape, make)
    report.notes["left_out"] = left


def _as_is(source: Header, name: str, files: Tensors) -> Callable[[], Tensor]:
    return lambda: files.read(source, name)


def _changed(component: Component, entry: rules.Entry, files: Tensors, change: Change) -> Callable[[], Tensor]:
    return lambda: rules.to_single(entry, lambda own: change(component.name, own, component.read(files, own)))


def _averaged(source: Header) -> dict[str, str]:
    """Name of a weight -> name of its averaged copy: without the dots, as LDM's training code writes it."""
    names = {name: EMA + name.removeprefix("model.").replace(".", "") for name in source.under("")}
    return {name: copy for name, copy in names.items() if name.startswith("model.") and copy in source.tensors}


def _baked(model: Model, plan: Plan, files: Tensors) -> Iterator[Piece]:
    """The tensors of another VAE under the names that this file has, or would have, for its own."""
    if plan.vae is None:
        return
    baked = open_component(plan.vae, model.layout, "vae")
    home = find(header_of(model.path), baked.part) if "vae" in model.components else None
    naming, prefix = home if home is not None and home[0] else baked.part.homes[0]
    own = model.components.get("vae")
    if own is not None and own.shapes.get("decoder.conv_in.weight") != baked.shapes.get("decoder.conv_in.weight"):
        raise ModelFault(f"{plan.vae.name} is a VAE for another kind of model than {model.name}. Choose one made for it.")
    for entry in KINDS[baked.part.kind].namings[naming].writing(baked.shapes).from_parts(baked.shapes):
        first = baked.tensors[entry.parts[0]]
        shape = rules.single_shape(entry, baked.shapes)
        yield Piece(prefix + entry.single, in_dtype(first.dtype, plan.dtype), shape, _joined(baked, entry, files))


def _joined(component: Component, entry: rules.Entry, files: Tensors) -> Callable[[], Tensor]:
    return lambda: rules.to_single(entry, lambda own: component.read(files, own))
