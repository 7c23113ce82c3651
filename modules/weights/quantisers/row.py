"""`Quantiser`: one way of keeping the weights of layers in fewer bits, as a record. Facts and functions, no state.

Knows layers of torch; knows nothing about models, files or settings. No torch here: the functions of a row import what they need.
Start reading at `Quantiser`, then `refusal`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from modules.faults import ModelFault

Written = tuple[dict[str, Any], dict[str, str]]
"""The tensors of a layer, and words about them for the header of their file, both under names that follow the layer's path."""


@dataclass(frozen=True, kw_only=True)
class Quantiser:
    """title: for people; bytes_per_weight: of a layer that is taken, scales included, rounded; note: what to know before choosing it.

    needs: package and oldest version, as pip writes it ("bitsandbytes>=0.46.1"), "" for none; licence: of that package.
    refused: device kind ("mps") -> why it does not run there. layers: names of torch.nn's classes that are taken; keeps: patterns of
    paths that are not, beside those that no row takes; multiple_of: only layers whose inputs are a multiple of this many.
    ran: where it really ran when this row was written. source: paper or documentation.

    make(layer, torch_name) -> the layer with few bits, on the CPU; the layer given may be changed. full(layer) -> its weight, float32 on
    the CPU, in the layer's own shape. tensors(layer) -> every tensor of it ("weight.absmax"); restore(layer, written) -> the layer again,
    bit for bit, from one without numbers (on the meta device) of torch's own class. metadata(words, plain) -> the header of a file, from
    the words of all layers and the names of all tensors that are as they were. config(left_out) -> what config.json says of it as
    `quantization_config`, {} where the libraries have no word for it; left_out: paths of layers that are not taken. claims(config) ->
    whether a `quantization_config` is its.
    """

    title: str
    bytes_per_weight: float
    note: str
    make: Callable[[Any, str], Any]
    full: Callable[[Any], Any]
    tensors: Callable[[Any], Written]
    restore: Callable[[Any, Written], Any]
    config: Callable[[Sequence[str]], dict[str, Any]] = lambda left_out: {}
    claims: Callable[[Mapping[str, Any]], bool] = lambda config: False
    metadata: Callable[[Mapping[str, str], Sequence[str]], dict[str, str]] = lambda words, plain: {}
    layers: tuple[str, ...] = ("Linear",)
    keeps: tuple[str, ...] = ()
    multiple_of: int = 1
    needs: str = ""
    licence: str = ""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    ran: str = ""
    source: str = ""

    @property
    def missing(self) -> str:
        """A sentence about what to install, "" when everything is there."""
        if not self.needs:
            return ""
        package, least = re.split(r">=|==", self.needs)
        try:
            there = metadata.version(package)
        except metadata.PackageNotFoundError:
            return f"It needs the package {package}, which is not installed. Install it: python -m pip install '{self.needs}'"
        if _number(there) < _number(least):
            return f"It needs {self.needs}; {there} is installed. Renew it: python -m pip install '{self.needs}'"
        return ""

    def refusal(self, kind: str) -> str:
        """Why it cannot be used on a device of a kind ("cuda", "rocm", "xpu", "mps", "directml", "cpu"); "" when it can."""
        return self.refused.get(kind, "") or self.missing

    def check(self, name: str, kind: str) -> None:
        """Raises ModelFault with `refusal`. name: its own in the list."""
        if why := self.refusal(kind):
            raise ModelFault(f"The quantisation {name} cannot be used here. {why.rstrip('.')}. Or choose another one, or None.")


def library(name: str) -> Any:
    """A module of a package that not everybody has installed; nothing is known of its types then."""
    return importlib.import_module(name)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
