"""The stage of a job that guests lead, filled in: their makings become runs of the worker, with their place and progress in the job.

Knows the worker's parts that it is given; knows nothing about guests themselves. Start reading at `stage_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from modules.folders import Folders
from modules.hardware.bench import Bench
from modules.hooks import NOBODY, Hooks
from modules.library import Library
from modules.processing.extras import Desk, restored
from modules.processing.pieces import Others, others_of
from modules.processing.resolve import resolve
from modules.processing.stage import Made, Stage
from modules.processing.upscaling import upscaling_for
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, Picture, ResolvedRequest
from modules.saver import Saver
from modules.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What the worker lends: batches(run, others) makes every picture of a run, but for batches that other workers make; grid(run) the
    one of them all, warn(run, text).
    """

    folders: Folders
    saver: Saver
    desk: Desk
    bench: Bench
    batches: Callable[[Any, Others | None], None]
    grid: Callable[[Any], None]
    warn: Callable[[Any, str], None]
    model: Callable[[], Any]


class _Quiet:
    """The job's control for a run whose pictures and steps are not the job's."""

    TOLD = ("warning",)

    def __init__(self, control: Any) -> None:
        self._control = control

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def progress(self, **_: Any) -> None:
        """The job's own stands still meanwhile."""

    def event(self, kind: str, data: dict[str, Any]) -> None:
        if kind in self.TOLD:
            self._control.event(kind, data)


class _Makings:
    """The makings of one job. run: the worker's record of it, of which each making gets its own copy."""

    def __init__(self, run: Any, hands: Hands) -> None:
        self._run = run
        self._hands = hands
        self._made = 0
        self._span = (0.0, 1.0)
        self._lent: dict[int, Others] = {}  # by the identity of a making's guests; a job has one loan at a time
        self.shown: list[Picture] = []

    def scale(self, begin: float, share: float) -> None:
        self._span = (min(1.0, begin), min(share, max(0.0, 1.0 - begin)))

    def make(self, resolved: ResolvedRequest, hooks: Hooks, *, grid: bool = True) -> Made:
        resolved = hooks.pass_on("resolved", resolved)
        own: dict[str, Any] = {"pictures": [], "images": [], "infotext": {}}
        part = replace(self._run, resolved=resolved, guests=hooks, first=self._made, span=self._span, **own)
        self._made += resolved.batch_size * resolved.n_iter
        with self._shared([part], self._span[1]):
            self._hands.batches(part, self._lent.get(id(hooks)))
        pictures, images = [p for p in part.pictures if p.kind in ("sample", "partial")], list(part.images)
        if grid:
            self._hands.grid(part)
        self.shown += part.pictures
        front = part.pictures[0] if part.pictures and part.pictures[0].kind == "grid" else None
        whole: tuple[Image.Image, Picture] | None = None
        if front is not None:
            with Image.open(front.path) as image:
                whole = (image.convert("RGB"), front)
        return Made(resolved=part.resolved, images=images, pictures=pictures, grid=whole, interrupted=self._run.control.interrupted)

    @contextmanager
    def ahead(self, makings: Sequence[tuple[ResolvedRequest, Hooks]], share: float) -> Iterator[None]:
        """See `Stage`."""
        with self._shared([replace(self._run, resolved=resolved, guests=hooks) for resolved, hooks in makings], share):
            yield

    @contextmanager
    def _shared(self, parts: Sequence[Any], share: float) -> Iterator[None]:
        """Inside, other workers may make batches of these runs, unless they do so for others of this job."""
        others = None if self._lent else others_of(*parts, share=share)
        if others is None or not others.on:
            yield
            return
        before = 0
        for part in parts:
            self._lent[id(part.guests)] = others.after(before)
            before += part.resolved.n_iter
        try:
            yield
        finally:
            self._lent = {}
            others.close()

    def aside(self, resolved: ResolvedRequest) -> list[Image.Image]:
        own: dict[str, Any] = {"pictures": [], "images": [], "infotext": {}, "made": {}, "learnt": {}}
        part = replace(self._run, resolved=resolved, guests=NOBODY, control=_Quiet(self._run.control), **own)
        self._hands.batches(part, None)
        return list(part.images)

    def keep(self, image: Image.Image, resolved: ResolvedRequest, *, kind: str, text: str | None = None) -> Picture:
        settings, grid = resolved.settings, kind == "grid"
        saved = resolved.save_images and settings["grid_save" if grid else "samples_save"]
        where: dict[str, Any] = {"resolved": resolved, "index": -1 if grid else 0, "job": self._run.id, "kind": kind, "saved": saved}
        picture = self._hands.saver.save(image, **where, text=text, unique=True)
        if not grid:
            picture, self._made = replace(picture, index=self._made), self._made + 1
        self._run.control.event("picture", picture.to_data())
        return picture

    def resolve(self, request: GenerationRequest, settings: Settings) -> ResolvedRequest:
        library = Library(self._hands.folders)
        try:
            return resolve(request, settings, library, Styles(self._hands.folders.styles_file), self._hands.desk.inputs)
        finally:
            library.close()

    def warn(self, text: str) -> None:
        if text not in self._run.warnings:
            self._hands.warn(self._run, text)


def stage_of(run: Any, hands: Hands) -> Stage:
    """What guests may ask of the worker while they lead this job. run: its record, see `modules.processing.runner`."""
    makings, folders, desk = _Makings(run, hands), hands.folders, hands.desk
    return Stage(
        job=run.id, resolved=run.resolved, control=run.control, folders=folders, inputs=desk.inputs, make=makings.make, keep=makings.keep,
        resolve=makings.resolve, warn=makings.warn, model=hands.model, scale=makings.scale, aside=makings.aside,
        shown=makings.shown, ahead=makings.ahead, lends=run.lends,
        upscaling=lambda settings: upscaling_for(folders, desk.shelf, settings),
        restored=lambda image, name, weight: restored(image, name, 1.0, weight, desk)[0],
        torch_device=hands.bench.device.torch_name, dtype=hands.bench.dtype,
    )  # fmt: skip
