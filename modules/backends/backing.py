"""`Backing`: what stands in for one loaded network, how it comes to be, and how it is compared with eager before it is believed.

Set on the network as the hook next to it, inside all others, so that it is asked exactly what the network would be: AND parts, guidance,
ControlNets' additions included. Whatever is in the way, fails or disagrees, the network answers itself, and the reason is told.
Knows nothing about requests. Start reading at `Backing.standing_in`, then `Use.answer`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

from modules.backends import kept
from modules.backends.forms import Flat, Form, sizes, taken_apart
from modules.backends.record import Answer, Backend, CannotStandIn, Work
from modules.backends.state import fingerprint, obstacle, twin_of
from modules.backends.table import BACKENDS, EAGER
from modules.faults import Fault
from modules.registry import Registry
from modules.steering.blocks import inside

NAME = "darkroom_backend"
GIB = 2**30
log = logging.getLogger(__name__)
Spot = tuple[Any, ...]  # a form, and the sizes where they matter


def _in_thread(build: Callable[[], None]) -> None:
    threading.Thread(target=build, daemon=True, name="backend").start()


@dataclass(frozen=True, kw_only=True)
class Wish:
    """name: of the row; background: build while eager goes on; most_bytes: of the disk for everything that is kept."""

    name: str = EAGER
    background: bool = True
    most_bytes: float = 20 * GIB


@dataclass
class _Shelf:
    """What was built for one backend and one state of the weights. building: spots that are worked on."""

    key: tuple[str, str]
    ready: dict[Spot, Answer] = field(default_factory=dict[Spot, "Answer"])
    failed: dict[Spot, str] = field(default_factory=dict[Spot, str])
    building: set[Spot] = field(default_factory=set[Spot])
    believed: set[Spot] = field(default_factory=set[Spot])


class Backing:
    """Belongs to one loaded model and ends with it. kind: of device; folder: where graphs are kept; rows: the table.

    start(build): runs it beside everything else.
    """

    def __init__(
        self, kind: str, folder: Path, *, rows: Registry[Backend] = BACKENDS, start: Callable[[Callable[[], None]], None] = _in_thread
    ) -> None:
        self.kind = kind
        self.folder = folder
        self.rows = rows
        self.start = start
        self._shelf = _Shelf(("", ""))

    @contextmanager
    def standing_in(self, network: Any, wish: Wish) -> Iterator[Use | None]:
        """Inside, calls of the network are answered by what the wish names, as far as it can. None for eager.

        To be entered before all other hooks on the network.
        """
        name = self.rows.name_of(wish.name) or EAGER
        if name == EAGER:
            yield None
            return
        use = Use(self, network, name, wish)
        registry = HookRegistry.check_if_exists_or_initialize(network)
        registry.register_hook(_StandIn(use), NAME)
        try:
            yield use
        finally:
            registry.remove_hook(NAME, recurse=False)

    def shelf(self, name: str, weights: str) -> _Shelf:
        """What was built for this state; that for another one is let go."""
        if self._shelf.key != (name, weights):
            self._shelf = _Shelf((name, weights))
        return self._shelf


class _StandIn(ModelHook):
    _is_stateful = False

    def __init__(self, use: Use) -> None:
        super().__init__()
        self._use = use

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        """Instead of the network's own."""
        return self._use.answer(inside(self), args, kwargs)


class Use:
    """One pipeline call. name: of the row; notes: why eager answered, in sentences; answered: how many network calls were stood in for."""

    def __init__(self, backing: Backing, network: Any, name: str, wish: Wish) -> None:
        self.name = name
        self.notes: list[str] = []
        self.answered = 0
        self._backing = backing
        self._network = network
        self._row = backing.rows.get(name)
        self._wish = wish
        self._shelf: _Shelf | None = None
        self._taken: dict[Spot, Answer | None] = {}  # one picture is not made in two ways because something is ready meanwhile

    def answer(self, eager: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A network call's answer, as the network gives it. eager: its own forward."""
        try:
            form, tensors = self._asked(args, kwargs)
            found = self._found(form, tensors)
            if found is None:
                return eager(*args, **kwargs)
            told = self._compared(*found, eager, form, tensors)
        except CannotStandIn as reason:
            self._say(str(reason))
            return eager(*args, **kwargs)
        return (told,)

    def _asked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Form, list[torch.Tensor]]:
        """Raises CannotStandIn."""
        if why := obstacle(self._network):
            raise CannotStandIn(why)
        form, tensors = taken_apart(self._network, args, kwargs)
        kind = _kind(self._network.dtype)
        if kind not in self._row.tolerance:
            raise CannotStandIn(f"it does not compute in {kind} here.")
        if any(tensor.is_floating_point() and tensor.ndim > 1 and tensor.dtype != self._network.dtype for tensor in tensors):
            raise CannotStandIn(f"the network is asked in another number type than {kind}.")
        return form, tensors

    def _found(self, form: Form, tensors: Sequence[torch.Tensor]) -> tuple[_Shelf, Answer] | None:
        """What answers calls of this form and size in this run; None for eager, which was said. Raises CannotStandIn."""
        spot = self._spot(form, tensors)
        shelf = self._shelf
        if spot not in self._taken:
            self._taken[spot] = None
            if why := self._row.probe(self._backing.kind):
                raise CannotStandIn(why)
            if shelf is None:
                shelf = self._shelf = self._backing.shelf(self.name, fingerprint(self._network))
            self._taken[spot] = self._built(shelf, spot, form, tensors)
        answer = self._taken[spot]
        return None if shelf is None or answer is None else (shelf, answer)

    def _spot(self, form: Form, tensors: Sequence[torch.Tensor]) -> Spot:
        return (form,) if self._row.any_size else (form, sizes(tensors))

    def _built(self, shelf: _Shelf, spot: Spot, form: Form, tensors: Sequence[torch.Tensor]) -> Answer:
        if spot not in shelf.ready and spot not in shelf.failed:
            if shelf.building:
                raise CannotStandIn("it is still being prepared.")
            self._build(shelf, spot, form, tensors)
        if spot in shelf.failed:
            raise CannotStandIn(shelf.failed[spot])
        if spot not in shelf.ready:
            raise CannotStandIn("it is being prepared in the background for the next pictures.")
        return shelf.ready[spot]

    def _build(self, shelf: _Shelf, spot: Spot, form: Form, tensors: Sequence[torch.Tensor]) -> None:
        """Now, or in the background; puts the outcome on the shelf."""
        with torch.inference_mode(mode=False):  # tensors of inference mode cannot be exported
            example = tuple(tensor.detach().clone() for tensor in tensors)
        network = Flat(twin_of(self._network), form).train(False)
        work = Work(
            network=network, example=example, kind=self._backing.kind, key=f"{shelf.key[1]}-{form.word}", folder=self._backing.folder
        )  # fmt: skip
        build, most = self._row.build, self._wish.most_bytes
        shelf.building.add(spot)

        def run() -> None:
            try:
                kept.tidy(work.folder, most, work.key)
                if build is not None:
                    shelf.ready[spot] = build(work)
                kept.tidy(work.folder, most, work.key)
            except Exception as error:
                log.exception("preparing %s", shelf.key[0])
                shelf.failed[spot] = _reason(error)
            finally:
                shelf.building.discard(spot)

        self._backing.start(run) if self._wish.background else run()

    def _compared(
        self, shelf: _Shelf, answer: Answer, eager: Callable[..., Any], form: Form, tensors: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """The answer, which at the first call of these sizes must be near eager's. Raises CannotStandIn, for good, when it is not."""
        spot = self._spot(form, tensors)
        try:
            told = answer(tensors).to(self._network.dtype)
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError | MemoryError):
                raise
            log.exception("asking %s", self.name)
            raise self._never(shelf, spot, _reason(error)) from error
        size = (spot, sizes(tensors))
        if size not in shelf.believed:
            own = eager(**form.put_together(tensors), return_dict=False)[0]
            allowed = self._row.tolerance[_kind(self._network.dtype)]
            apart = difference(told, own)
            if apart is not None and apart > allowed:
                kept.forget(self._backing.folder, f"{shelf.key[1]}-{form.word}")
                raise self._never(shelf, spot, f"its numbers were {apart:.2g} away from eager's, where {allowed:g} is allowed.")
            if apart is not None:
                shelf.believed.add(size)
        if not bool(torch.isfinite(told).all()):
            raise CannotStandIn("it gave values that are not numbers.")
        self.answered += 1
        return told

    def _never(self, shelf: _Shelf, spot: Spot, why: str) -> CannotStandIn:
        shelf.ready.pop(spot, None)
        shelf.failed[spot] = why
        self._taken[spot] = None
        return CannotStandIn(why)

    def _say(self, why: str) -> None:
        """Each reason once."""
        note = f"{self._row.title} stood aside for eager torch: {why}"
        if note not in self.notes:
            self.notes.append(note)


def difference(told: torch.Tensor, own: torch.Tensor) -> float | None:
    """Largest difference as a share of eager's largest value; infinite for another size; None when eager's own answer is not finite."""
    if told.shape != own.shape:
        return float("inf")
    if not bool(torch.isfinite(own).all()):
        return None
    apart = (told.float() - own.float()).abs().max() / own.float().abs().max().clamp(min=1e-12)
    return float(apart) if bool(torch.isfinite(apart)) else float("inf")


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _reason(error: BaseException) -> str:
    """A sentence of what went wrong."""
    if isinstance(error, CannotStandIn):
        return str(error)
    said = error.message if isinstance(error, Fault) else (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {said[:200].rstrip('.')}."
