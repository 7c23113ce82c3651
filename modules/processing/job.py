"""What the worker knows of one generation job while it runs, and what it makes of it in the end. Start reading at `Job`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image

from modules.hooks import NOBODY, Hooks
from modules.processing.line import Line
from modules.request import Picture, ResolvedRequest, Result

Outcome = tuple[str, dict[str, Any]]


@dataclass(kw_only=True)
class Job:
    """One run. made: pictures that an earlier attempt finished, by index; learnt: embeddings that took part, with their sha256.

    infotext: keys that only the runs know. maps: control maps of the first batch. guests: who takes part. first: place of its first
    picture in the job, when scripts make more than one run of it; span: where its progress lies in the job's, as (begin, share).
    line: where what follows a picture is done, None for at once; failed: what was raised there. behind: its pictures are decoded there
    too. lends: other workers may help.
    """

    id: str
    resolved: ResolvedRequest
    control: Any
    made: dict[int, Picture]
    pictures: list[Picture] = field(default_factory=list[Picture])
    images: list[Image.Image] = field(default_factory=list[Image.Image])
    warnings: list[str] = field(default_factory=list[str])
    learnt: dict[str, str] = field(default_factory=dict[str, str])
    infotext: dict[str, object] = field(default_factory=dict[str, object])
    notes: dict[str, str] = field(default_factory=dict[str, str])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    last_preview: float = 0.0
    restored: set[str] = field(default_factory=set[str])
    init_hash: str = ""
    maps: list[Image.Image] = field(default_factory=list[Image.Image])
    guests: Hooks = NOBODY
    first: int = 0
    span: tuple[float, float] = (0.0, 1.0)
    line: Line | None = None
    failed: Exception | None = None
    behind: bool = False
    lends: bool = False

    def warn(self, text: str) -> None:
        """Say it now, and beside the result."""
        self.warnings.append(text)
        self.control.event("warning", {"text": text})

    def later(self, work: Callable[[], object]) -> None:
        """Do this when all is done that was to be done later before. Raises what that raised; then it is not done.

        What is itself done later does its own part of it at once.
        """
        if self.line is None or self.line.here:
            work()
            return
        self._check()
        self.line.put(lambda: self._do(work))

    def after(self, work: Callable[[], object]) -> None:
        """Do this when the pictures so far are there: now, unless they are decoded later."""
        if self.behind:
            self.later(work)
        else:
            work()

    def settle(self) -> None:
        """Wait for what was to be done later. Raises what it raised."""
        if self.line is not None:
            self.line.wait()
        self._check()

    def _do(self, work: Callable[[], object]) -> None:
        if self.failed is None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it ends this job, whose own thread raises it
                self.failed = error

    def _check(self) -> None:
        if self.failed is not None:
            raise self.failed


@dataclass(frozen=True, kw_only=True)
class Computed:
    """How a job left the device. peak_bytes: the most memory it took, 0 for not known; end: of the house that led it."""

    interrupted: bool
    peak_bytes: int = 0
    end: Callable[[Result], list[dict[str, Any]]] | None = None


def outcome_of(run: Job, computed: Computed) -> Outcome:
    """("done" or "canceled", Result as data) of a job whose pictures are all there."""
    result = Result(
        pictures=tuple(run.pictures),
        warnings=tuple(run.warnings),
        notes=tuple(run.notes.values()),
        seconds=run.seconds,
        interrupted=computed.interrupted,
        peak_bytes=computed.peak_bytes,
    )
    if computed.end is not None:
        trace = computed.end(result)
        result = replace(result, trace=tuple(trace), warnings=tuple(run.warnings))
    return ("canceled" if computed.interrupted else "done"), result.to_data()


def raising(error: Exception) -> Callable[[], Outcome]:
    """An outcome that is this error."""

    def end() -> Outcome:
        raise error

    return end
