"""A network's call as a list of tensors and back: what differs from call to call, and what is always the same.

Knows the signatures of diffusers' networks by asking them. Start reading at `taken_apart`.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from modules.backends.record import CannotStandIn

# A place in a call: ("tensor", axes, number type), ("dict", (name, place), ...), ("list", place, ...), ("tuple", place, ...).
Place = tuple[Any, ...]


@dataclass(frozen=True)
class Form:
    """Which arguments a call has, and of which kind. Calls of one form differ in numbers and sizes only."""

    places: tuple[tuple[str, Place], ...]

    @property
    def word(self) -> str:
        """A digest of it."""
        return hashlib.sha256(repr(self.places).encode()).hexdigest()[:16]

    def put_together(self, tensors: Sequence[torch.Tensor]) -> dict[str, Any]:
        """The arguments by name, with these tensors; every list is a new one."""
        left = iter(tensors)
        return {name: _filled(place, left) for name, place in self.places}


class Flat(torch.nn.Module):
    """A network that takes the tensors of a form one by one and gives its prediction alone."""

    def __init__(self, network: torch.nn.Module, form: Form) -> None:
        super().__init__()
        self.network = network
        self._form = form

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return self.network(**self._form.put_together(tensors), return_dict=False)[0]


def taken_apart(network: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Form, list[torch.Tensor]]:
    """The form of a call of this network, and its tensors. Raises CannotStandIn for arguments that are no tensors."""
    given = inspect.signature(type(network).forward).bind(network, *args, **kwargs).arguments
    tensors: list[torch.Tensor] = []
    places: list[tuple[str, Place]] = []
    for name, value in given.items():
        if name in ("self", "return_dict") or value is None or (isinstance(value, dict) and not value):
            continue
        if name == "timestep":
            value = _time(value)
        places.append((name, _emptied(name, value, tensors)))
    if given.get("return_dict", True):
        raise CannotStandIn("the network was asked for an answer that is not a plain tuple.")
    return Form(tuple(places)), tensors


def sizes(tensors: Sequence[torch.Tensor]) -> tuple[tuple[int, ...], ...]:
    """The size of each."""
    return tuple(tuple(tensor.shape) for tensor in tensors)


def _time(value: Any) -> Any:
    """Samplers tell the time as whole or as broken numbers; networks make the same of both."""
    if isinstance(value, int | float):
        return torch.tensor(float(value))
    return value.float() if isinstance(value, torch.Tensor) and not value.is_floating_point() else value


def _emptied(name: str, value: Any, tensors: list[torch.Tensor]) -> Place:
    if isinstance(value, torch.Tensor):
        tensors.append(value)
        return ("tensor", value.ndim, str(value.dtype))
    if isinstance(value, dict):
        return ("dict", *((key, _emptied(name, inner, tensors)) for key, inner in sorted(value.items()) if inner is not None))
    if isinstance(value, list | tuple):
        return ("list" if isinstance(value, list) else "tuple", *(_emptied(name, inner, tensors) for inner in value))
    raise CannotStandIn(f"the network is told something that is no tensor ({name}).")


def _filled(place: Place, left: Iterator[torch.Tensor]) -> Any:
    kind, *inner = place
    if kind == "tensor":
        return next(left)
    if kind == "dict":
        return {key: _filled(one, left) for key, one in inner}
    return [_filled(one, left) for one in inner] if kind == "list" else tuple(_filled(one, left) for one in inner)
