"""The hooks: what a guest (a plugin, a script, an extension) may do to a run, and the `Run` it receives.

Every hook is a method of `Guest` with one call site; the program calls it through `Hooks`, which keeps a guest's faults away from the
picture, measures its time and writes down what it changed. Knows nothing about where guests come from. Start reading at `Guest`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from modules.faults import Cancelled
from modules.knobs import KnobField, knobs_of
from modules.request import GenerationRequest, Picture, ResolvedRequest, Result

if TYPE_CHECKING:
    import torch
    from PIL import Image

SLOW_S = 1.0  # a guest that takes longer, and more than this share of the whole, is told about
SLOW_SHARE = 0.2
FAULTS_KEY = "Script faults"
Value = TypeVar("Value")


class Painting(Protocol):
    """Paints a part of a picture anew in an img2img run of its own, inside the job. image: RGB; mask: "L", white is painted.

    fields: of `GenerationRequest`, in place of the job's own; second passes, ControlNet and scripts do not take part. Nothing is saved.
    Returns the picture at its own size. Raises Fault, Cancelled when the job was stopped.
    """

    def __call__(self, image: Image.Image, mask: Image.Image, **fields: Any) -> Image.Image: ...


@dataclass(kw_only=True)
class Run:
    """One job, for its guests. job: its id; resolved: as it is now; args: guest name -> what it was asked with, one value a control.

    warn(text): say something beside the result. infotext: keys to be added to the parameters text, text or numbers. paint: in the
    worker, for hooks that see finished pictures; lent_s: seconds that it took, which are not the guests' own. drawn: the mask of the
    job's img2img as it was drawn, at its own size, white for what is painted; None without one.
    """

    job: str
    resolved: ResolvedRequest
    warn: Callable[[str], None]
    args: dict[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    infotext: dict[str, object] = field(default_factory=dict[str, object])
    paint: Painting | None = None
    lent_s: float = 0.0
    drawn: Image.Image | None = None


@dataclass(kw_only=True)
class Texts:
    """What a batch is made from; every list has one entry a picture and may be changed in place. batch_no: from 0."""

    batch_no: int
    prompts: list[str]
    negative_prompts: list[str]
    seeds: list[int]
    subseeds: list[int]


@dataclass(kw_only=True)
class Call:
    """One call of the pipeline, before it begins. arguments: what the pipeline will be called with, such as "prompt_embeds" (B, tokens,
    width), "negative_prompt_embeds" and "latents" (B, C, h, w); values may be replaced by ones of the same shape, or by another length
    of text. stage: "txt2img", "img2img" or "hires".
    """

    stage: str
    steps: int
    arguments: dict[str, Any]


@dataclass(kw_only=True)
class Ask:
    """One question to the network. sample: (rows, C, h, w) as scaled for it; text: (rows, tokens, width); rows: the negative prompt's
    first while it guides. number: of the call, from 1. All three tensors may be replaced. answer: the prediction, in `answered`.
    """

    number: int
    total: int
    timestep: Any
    sample: torch.Tensor
    text: torch.Tensor | None
    answer: torch.Tensor | None = None


@dataclass(kw_only=True)
class Step:
    """A step that was taken. number: from 1, of total; latents: (B, C, h, w), may be replaced; clean: the predicted end, if known."""

    number: int
    total: int
    latents: torch.Tensor
    clean: torch.Tensor | None = None


@dataclass(kw_only=True)
class Finished:
    """A picture before it is saved. index: its place in the job; infotext: more keys for its own parameters text."""

    image: Image.Image
    index: int
    infotext: dict[str, object] = field(default_factory=dict[str, object])


class Guest:
    """A guest overrides what it needs. A value that is returned goes on in place of the one received; None leaves it as it is.

    name: lower-case title, unique. knobs: a dataclass with Knob fields: its controls on the page and its arguments, in order; None for
    none. Hooks of the web process (`before_resolve`) must not need torch. known_as: lower-case titles of other programs' extensions for
    the same, under which requests may ask for it; `translated` reads their arguments.
    """

    name = ""
    title = ""
    knobs: type | None = None
    tabs: tuple[str, ...] = ("txt2img", "img2img")
    known_as: tuple[str, ...] = ()

    def before_resolve(self, request: GenerationRequest) -> GenerationRequest | None:
        """The request as it was asked, before anything is checked. Web process; call site: `App.submit`."""

    def resolved(self, run: Run, resolved: ResolvedRequest) -> ResolvedRequest | None:
        """Nothing is open any more; before the model is taken. Call site: `PictureRunner.make`."""

    def before_batch(self, run: Run, texts: Texts) -> Texts | None:
        """Prompts and seeds of a batch, before its LoRA tags are read. Call site: `PictureRunner.make`."""

    def before_call(self, run: Run, call: Call) -> Call | None:
        """Latents and conditioning, before the pipeline is called. Call site: `sampling.sample`."""

    def ask(self, run: Run, ask: Ask) -> Ask | None:
        """Before each call of the network. Call site: `listening.heard`."""

    def answered(self, run: Run, ask: Ask) -> Ask | None:
        """After each call of the network, before guidance. Call site: `listening.heard`."""

    def step(self, run: Run, step: Step) -> Step | None:
        """After each step of the sampler. Call site: `sampling.sample`."""

    def before_decode(self, run: Run, latents: torch.Tensor) -> torch.Tensor | None:
        """Latents (B, C, h, w) in the network's scale, finished. Call site: `batch.make_batch`."""

    def decoded(self, run: Run, images: list[Image.Image]) -> list[Image.Image] | None:
        """The pictures of a batch, RGB, as many as there were. Call site: `PictureRunner.make`."""

    def before_save(self, run: Run, finished: Finished) -> Finished | None:
        """Each picture, right before it is saved. Call site: `PictureRunner.make`."""

    def picture_saved(self, run: Run, picture: Picture) -> None:
        """A picture lies on the disk. Call site: `PictureRunner.make`."""

    def job_done(self, run: Run, result: Result) -> None:
        """The job has ended; its result can be read. Call site: `PictureRunner.run`."""

    def listens(self, hook: str) -> bool:
        """Is this hook of any use to it? For guests that find out late what they do."""
        return True

    def takes_part(self, args: tuple[Any, ...]) -> bool:
        """Does it do anything in a job with these values? Asked before the job is queued; one that does not is left out of it."""
        return True

    def translated(self, title: str, args: Any) -> Any:
        """Its own arguments, a list or an object by name, for those sent under one of its `known_as`. Raises RequestFault."""
        return args

    def controls(self) -> dict[str, KnobField]:
        """Its controls, by name, in the order of its arguments. Web process; call site: the page and the API's list of scripts."""
        return knobs_of(self.knobs) if self.knobs is not None else {}


NOT_HOOKS = ("listens", "controls", "takes_part", "translated")
HOOKS = tuple(n for n in vars(Guest) if not n.startswith("_") and callable(getattr(Guest, n)) and n not in NOT_HOOKS)


@dataclass(kw_only=True)
class Trace:
    """What a guest did in one hook of a job. seconds: in all its calls; changed: what it replaced or edited; faults: in words."""

    guest: str
    hook: str
    calls: int = 0
    seconds: float = 0.0
    changed: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Ledger(Protocol):
    """Keeps count of faults beyond one job. See `modules.plugins.ledger`."""

    def fault(self, guest: str, hook: str, text: str) -> bool:
        """One more fault; True when the guest is disabled from now on."""
        ...


class Hooks:
    """The guests of one job, in order. `Hooks([])` does nothing and costs nothing."""

    def __init__(self, guests: Sequence[Guest], run: Run | None = None, ledger: Ledger | None = None) -> None:
        self._guests = list(guests)
        self._run = run
        self._ledger = ledger
        self._trace: dict[tuple[str, str], Trace] = {}
        self._silenced: set[str] = set()

    @property
    def run(self) -> Run | None:
        return self._run

    def wants(self, hook: str) -> bool:
        """Does any guest have this hook?"""
        return any(self._having(hook))

    def pass_on(self, hook: str, value: Value) -> Value:
        """Hand a value through all guests that have the hook; what one returns goes to the next."""
        for guest in self._having(hook):
            before = _seen(value)
            found = self.guarded(guest, hook, lambda g=guest, v=value: self._fitting(hook, getattr(g, hook), v))
            value = value if found is None else found
            row = self._row(guest.name, hook)
            row.changed += [name for name in _differences(before, _seen(value)) if name not in row.changed]
        return value

    def _fitting(self, hook: str, method: Callable[..., Any], value: Any) -> Any:
        """What a guest gives back. Raises TypeError when that is something else than it received."""
        found = method(value) if hook == "before_resolve" else method(self._run, value)
        if found is not None and not isinstance(found, type(value)):
            raise TypeError(f"{hook} gave back {type(found).__name__} in place of {type(value).__name__}")
        return found

    def tell(self, hook: str, value: object) -> None:
        """Something happened that nobody can change."""
        for guest in self._having(hook):
            self.guarded(guest, hook, lambda g=guest: getattr(g, hook)(self._run, value))

    def guarded(self, guest: Guest, hook: str, work: Callable[[], Any]) -> Any:
        """What the guest's work gives; None when it fails, which becomes a warning. Raises Cancelled alone."""
        row = self._row(guest.name, hook)
        began, lent = time.perf_counter(), self._lent_s()
        try:
            return work()
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a guest raises, the picture and the queue go on
            self._failed(row, error)
            return None
        finally:
            row.calls += 1
            row.seconds += time.perf_counter() - began - (self._lent_s() - lent)

    def _lent_s(self) -> float:
        return self._run.lent_s if self._run is not None else 0.0

    def close(self, total_s: float) -> list[dict[str, Any]]:
        """The job is over: tell about slow guests; the trace as plain data."""
        seconds: dict[str, float] = {}
        for row in self._trace.values():
            seconds[row.guest] = seconds.get(row.guest, 0.0) + row.seconds
        for name, spent in seconds.items():
            if spent > SLOW_S and spent > SLOW_SHARE * total_s:
                self._warn(f"The script {name} took {spent:.1f} s of {total_s:.1f} s.")
        return [row.to_data() for row in self._trace.values()]

    def _failed(self, row: Trace, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"[:500]
        if text in row.faults:
            return
        row.faults.append(text)
        self._warn(f"The script {row.guest} failed in {row.hook} and was passed over there: {text}")
        if self._run is not None:
            known = str(self._run.infotext.get(FAULTS_KEY, ""))
            told = f"{row.guest} ({row.hook})"
            self._run.infotext[FAULTS_KEY] = f"{known}, {told}" if known else told
        if self._ledger is not None and self._ledger.fault(row.guest, row.hook, text):
            self._silenced.add(row.guest)
            self._warn(f"The script {row.guest} failed too often and is switched off until it is switched on again or its file changes.")

    def _warn(self, text: str) -> None:
        if self._run is not None:
            self._run.warn(text)

    def _having(self, hook: str) -> Iterator[Guest]:
        own = getattr(Guest, hook)
        return (g for g in self._guests if g.name not in self._silenced and getattr(type(g), hook) is not own and g.listens(hook))

    def _row(self, guest: str, hook: str) -> Trace:
        return self._trace.setdefault((guest, hook), Trace(guest=guest, hook=hook))


NOBODY = Hooks([])


def _seen(value: object) -> dict[str, object]:
    """What can be compared later: texts and numbers by value, tensors and pictures by identity."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields: dict[str, object] = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        flat = {name: inner for name, inner in fields.items() if not isinstance(inner, dict)}
        for name, inner in fields.items():
            if isinstance(inner, dict):
                flat |= {f"{name}.{key}": row for key, row in inner.items()}
        return {name: _mark(inner) for name, inner in flat.items()}
    return {"all": _mark(value)}


def _mark(value: object) -> object:
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, list | tuple):
        return tuple(_mark(one) for one in value)
    return id(value)


def _differences(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]
