"""Batches of a job that other workers of its lane make: what they hand over, and how the worker that leads the job takes them in.

A batch made elsewhere is taken in where it would have been made here, so names, order, texts, grids and maps are those of one worker alone.
Knows batches; knows nothing about who makes them or how they are told of each other: the control of a job does. Start reading at `Others`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from modules.processing.batch import Batch
from modules.processing.job import Job
from modules.request import ResolvedRequest
from modules.saver import Saver

TOLD = ("seconds", "warnings", "learnt", "infotext")  # of a Batch, plain data


class Others:
    """What others make of a job. on: they were told that they may; else there is never anything."""

    def __init__(self, control: Any, *, on: bool) -> None:
        self._control = control
        self._on = on
        self._since: float | None = None
        self._own_s = 0.0

    @property
    def on(self) -> bool:
        """They were told that they may."""
        return self._on

    def there(self, number: int) -> bool:
        """Another worker has made that piece."""
        return self._on and self._control.pieces.there(number)

    def lent(self, number: int) -> bool:
        """Another worker has made that piece, or is at it."""
        return self._on and (self._control.pieces.lent(number) or self._control.pieces.there(number))

    def piece(self, number: int) -> dict[str, Any] | None:
        """What another worker made of that piece; None when it is to be made here. One that takes others longer than one took here is not
        waited for."""
        if not self._on:
            return None
        if self._since is not None:
            self._own_s, self._since = time.monotonic() - self._since, None
        found = self._control.pieces.wait(number, self._own_s, lambda: self._control.interrupted)
        self._control.begun(number)
        if found is None:
            self._since = time.monotonic()
        return found


def others_of(run: Job, *, lends: bool) -> Others:
    """Others may make the batches of a run. lends: there are such workers."""
    on = lends and may_lend(run.resolved)
    if on:
        run.control.lend(run.resolved.n_iter, model=run.resolved.checkpoint.title)
    return Others(run.control, on=on)


def may_lend(resolved: ResolvedRequest) -> bool:
    """Its batches need nothing of each other, and save nothing on the way."""
    on_the_way = resolved.save_images and resolved.settings.get("save_images_before_highres_fix", False)
    return resolved.n_iter > 1 and resolved.visit is None and not on_the_way


def packed(batch: Batch, warnings: Iterable[str], job: str, saver: Saver) -> dict[str, Any]:
    """A batch as plain data, its pictures kept without loss. warnings: others that it brought; job: id of the piece."""
    number = 0

    def keep(image: Image.Image) -> dict[str, str]:
        nonlocal number
        number += 1
        return {"path": saver.keep(image, job=job, name=str(number))}

    told = {name: getattr(batch, name) for name in TOLD}
    told["warnings"] = list(dict.fromkeys([*batch.warnings, *warnings]))
    return {
        **told,
        "images": [keep(image) for image in batch.images],
        "maps": [keep(image) for image in batch.maps],
        "beside": [[{"kind": kind, **keep(image)} for kind, image in row] for row in batch.beside],
    }


def unpacked(data: Mapping[str, Any]) -> Batch:
    """`packed` back again. The files are gone then. Raises OSError."""
    return Batch(
        images=[_opened(one) for one in data["images"]],
        maps=[_opened(one) for one in data["maps"]],
        beside=[[(one["kind"], _opened(one)) for one in row] for row in data["beside"]],
        **{name: data[name] for name in TOLD},
    )


def _opened(one: Mapping[str, Any]) -> Image.Image:
    path = Path(one["path"])
    with Image.open(path) as opened:
        opened.load()
        image = opened.copy()
    path.unlink(missing_ok=True)
    image.info.clear()
    return image
