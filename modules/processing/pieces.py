"""Batches of a job that other workers of its lane make: what they hand over, and how the worker that leads the job takes them in.

A batch made elsewhere is taken in where it would have been made here, so names, order, texts, grids and maps are those of one worker alone.
Knows batches; knows nothing about who makes them or how they are told of each other: the control of a job does. Start reading at `Others`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from modules.hooks import NOBODY
from modules.processing.batch import Batch
from modules.processing.job import Job
from modules.request import ResolvedRequest
from modules.saver import Saver

TOLD = ("seconds", "warnings", "learnt", "infotext")  # of a Batch, plain data
AT_WORK = ("before_batch", "before_call", "ask", "answered", "step", "before_decode")  # hooks that a batch cannot be made without


@dataclass
class _Pace:
    """own_s: what the last piece took that was made here; since: when the present one was begun."""

    own_s: float = 0.0
    since: float | None = None


class Others:
    """What others make of a job. on: they were told that they may; else there is never anything. first: number of the piece 0."""

    def __init__(self, control: Any, *, on: bool, first: int = 0, pace: _Pace | None = None) -> None:
        self._control = control
        self.on = on
        self._first = first
        self._pace = pace or _Pace()

    def after(self, count: int) -> Others:
        """The same for what comes behind so many pieces: their piece 0 is this one's piece `count`."""
        return Others(self._control, on=self.on, first=self._first + count, pace=self._pace)

    def there(self, number: int) -> bool:
        """Another worker has made that piece."""
        return self.on and self._control.pieces.there(self._first + number)

    def lent(self, number: int) -> bool:
        """Another worker has made that piece, or is at it."""
        return self.there(number) or (self.on and self._control.pieces.lent(self._first + number))

    def piece(self, number: int) -> dict[str, Any] | None:
        """What another worker made of that piece; None when it is to be made here. One that takes others longer than one took here is not
        waited for."""
        if not self.on:
            return None
        pace, number = self._pace, self._first + number
        if pace.since is not None:
            pace.own_s, pace.since = time.monotonic() - pace.since, None
        found = self._control.pieces.wait(number, pace.own_s, lambda: self._control.interrupted)
        self._control.begun(number)
        if found is None:
            pace.since = time.monotonic()
        return found

    def close(self) -> None:
        """No more pieces are needed."""
        if self.on:
            self._control.enough()


def others_of(*runs: Job, share: float = 1.0) -> Others:
    """Others may make the batches of these runs of one job, which follow each other. share: how much of its progress they are."""
    control, resolved = runs[0].control, [run.resolved for run in runs]
    if not runs[0].lends or control.interrupted or not may_lend(*resolved) or any(run.guests.wants(h) for run in runs for h in AT_WORK):
        return Others(control, on=False)
    work = {} if runs[0].guests is NOBODY else _work(resolved)
    first = control.lend(sum(one.n_iter for one in resolved), model=resolved[0].checkpoint.title, share=share, **work)
    return Others(control, on=True, first=first)


def may_lend(*resolved: ResolvedRequest) -> bool:
    """These have several batches, which need nothing of each other, and save nothing on the way."""

    def whole(one: ResolvedRequest) -> bool:
        return one.visit is not None or (one.save_images and one.settings.get("save_images_before_highres_fix", False))

    return sum(one.n_iter for one in resolved) > 1 and not any(map(whole, resolved))


def _work(resolved: Sequence[ResolvedRequest]) -> dict[str, Any]:
    """What pieces of a job are asked that are not of its own request: plain requests, as `RunControl.lend` takes them."""
    common, each, batches = resolved[0].to_data(), dict[str, dict[str, Any]](), dict[str, int]()
    for one in resolved:
        different = {name: value for name, value in one.to_data().items() if value != common.get(name)}
        for batch in range(one.n_iter):
            batches[str(len(batches))] = batch
            each |= {str(len(batches) - 1): different} if different else {}
    return {"kind": resolved[0].task, "resolved": common, "each": each, "batches": batches}


def packed(batch: Batch, run: Job, saver: Saver) -> dict[str, Any]:
    """A batch as plain data, its pictures kept without loss. run: that made it, with warnings and notes of its own."""
    number = 0

    def keep(image: Image.Image) -> dict[str, str]:
        nonlocal number
        number += 1
        return {"path": saver.keep(image, job=run.id, name=str(number))}

    told = {name: getattr(batch, name) for name in TOLD}
    told["warnings"] = list(dict.fromkeys([*batch.warnings, *(text for text in run.warnings if text not in run.resolved.warnings)]))
    return {
        **told,
        "notes": run.notes,
        "images": [keep(image) for image in batch.images],
        "maps": [keep(image) for image in batch.maps],
        "beside": [[{"kind": kind, **keep(image)} for kind, image in row] for row in batch.beside],
    }


def unpacked(data: Mapping[str, Any]) -> Batch:
    """The batch of `packed` again. The files are gone then. Raises OSError."""
    return Batch(
        images=[opened(one) for one in data["images"]],
        maps=[opened(one) for one in data["maps"]],
        beside=[[(one["kind"], opened(one)) for one in row] for row in data["beside"]],
        **{name: data[name] for name in TOLD},
    )


def opened(one: Mapping[str, Any]) -> Image.Image:
    """A picture that was handed over; its file is gone then. Raises OSError."""
    path = Path(one["path"])
    with Image.open(path) as opened:
        opened.load()
        image = opened.copy()
    path.unlink(missing_ok=True)
    image.info.clear()
    return image
