"""`Backend`, a row of the table, and `Work`, what it is asked to build. Plain data, no torch. Start reading at `Backend`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Answer = Callable[[Sequence[Any]], Any]  # tensors as those of an example -> one tensor


class CannotStandIn(Exception):
    """A backend cannot do this piece of work. The message is a sentence for people that ends with a full stop."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be stood in for. network: a module of its own that takes the example's tensors, one by one, and gives one tensor.

    It shares its weights with the model's network, which goes on meanwhile; its attribute `network` is one of the same class as that.
    example: tensors of true sizes; form: a word for the names of its arguments. kind: of device ("cpu", "cuda", ...); key: digest of
    weights and form, the same for the same numbers; folder: for what is kept on the disk.
    """

    network: Any
    example: tuple[torch.Tensor, ...]
    kind: str
    key: str
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Backend:
    """title, help: for people; source: the documentation followed.

    probe(device kind) -> "" where it can be used, else the reason in a sentence; quick, imports no torch. build(work) -> what answers in
    the network's place: tensors as the example's -> one tensor; raises CannotStandIn, or whatever its library raises. None for eager.
    tolerance: number type -> how far an answer may be from eager's, as a share of eager's largest value; other types are not taken.
    any_size: what was built answers for every size; else it is built for each.
    """

    title: str
    help: str
    source: str
    probe: Callable[[str], str]
    build: Callable[[Work], Answer] | None = None
    tolerance: Mapping[str, float]
    any_size: bool = True
