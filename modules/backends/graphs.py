"""A network as an ONNX graph on the disk, for every backend that reads one. Start reading at `opened`.

Exported by torch's tracing exporter where it can: it takes a second where the one over torch.export takes half a minute (starter model, one
core) and gives the same numbers; what a trace cannot see is found by the comparison with eager that every backend must pass.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules.backends import kept
from modules.backends.record import CannotStandIn, Work
from modules.faults import ModelFault

GRAPH = "network.onnx"
FREE = {1: (0,), 2: (0,), 3: (0, 1), 4: (0, 2, 3)}  # axes that may have any length, by the number of axes: not the channels
OPSET = 18
LARGE_BYTES = 1_500_000_000  # a file of ONNX itself holds 2 GB at most; larger weights lie beside it

log = logging.getLogger(__name__)


def opened(work: Work, open_: Callable[[Path], Any]) -> Any:
    """What `open_` makes of the graph's file. One that came from the disk and cannot be opened is made again, once."""
    there = kept.whole(kept.entry(work.folder, work.key))
    try:
        return open_(graph_file(work))
    except Exception as error:  # libraries raise classes of their own for a damaged file
        if not there:
            raise
        log.warning("the graph %s cannot be opened and is made again: %s", work.key, error)
    kept.forget(work.folder, work.key)
    return open_(graph_file(work))


def graph_file(work: Work) -> Path:
    """The graph of the work's network for any number of rows and any size; from the disk where it is whole. Raises CannotStandIn."""
    return kept.made(work.folder, work.key, lambda folder: write(work, folder / GRAPH)) / GRAPH


def write(work: Work, path: Path) -> None:
    """Export it: by tracing, or over torch.export where that knows an operator that tracing does not. Large weights lie beside the file.

    Raises CannotStandIn when torch cannot, ModelFault when the file came out empty.
    """
    import torch

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # a trace warns about every Python value it takes as fixed; the comparison decides
            try:
                _traced(work, path)
            except torch.onnx.errors.UnsupportedOperatorError:
                _captured(work, path)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, torch.onnx.OnnxExporterError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        log.exception("exporting %s", work.key)
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CannotStandIn(f"the network cannot be written as an ONNX graph ({first[:160]}).") from error
    if not path.is_file() or not path.stat().st_size:
        raise ModelFault("The ONNX graph came out empty. Free some space on the disk.")


def _traced(work: Work, path: Path) -> None:
    import torch

    names = _names(work)
    free = {name: {axis: f"{name}_{axis}" for axis in FREE.get(given.ndim, ())} for name, given in zip(names, work.example, strict=True)}
    torch.onnx.export(
        work.network, work.example, str(path), input_names=names, output_names=["answer"], dynamic_axes=free, dynamo=False,
        opset_version=OPSET,
    )  # fmt: skip


def _captured(work: Work, path: Path) -> None:
    """torch finds out by itself which axes may be free."""
    import torch

    free = tuple(dict.fromkeys(FREE.get(given.ndim, ()), torch.export.Dim.AUTO) for given in work.example)
    program: Any = torch.onnx.export(
        work.network, work.example, input_names=_names(work), output_names=["answer"], dynamic_shapes=(free,), dynamo=True,
        external_data=False, verbose=False,
    )  # fmt: skip
    size = sum(weight.numel() * weight.element_size() for weight in work.network.parameters())
    program.save(path, external_data=size > LARGE_BYTES)


def _names(work: Work) -> list[str]:
    return [f"given_{n}" for n in range(len(work.example))]
