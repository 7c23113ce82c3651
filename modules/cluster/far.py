"""The worker process on another machine: the very worker of a single one, but what it saves goes home.

Started by a post as `python -m modules.cluster.far`. The pictures of a job are written here without loss into a file of a moment, and
the head's own saver gives them name, place, format and text. Start reading at `FarSaver`.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import itertools
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from PIL import Image

from modules import infotext
from modules.faults import DiskFault
from modules.folders import Folders, write_atomic
from modules.jobs import worker
from modules.jobs.wire import Wire
from modules.jobs.worker import Runner
from modules.request import Picture, ResolvedRequest
from modules.saver import Processed, Saver

ANSWER_S = 300.0  # for saving one picture; the head may be busy, the line slow


class FarWire(Wire):
    """The wire of a worker far away: answers to what it saves are not orders."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        super().__init__(incoming, outgoing)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[threading.Event, dict[str, Any]]] = {}

    def messages(self) -> Iterator[dict[str, Any]]:
        for message in super().messages():
            if message.get("do") != "saved":
                yield message
            elif (waiting := self._waiting.get(message["number"])) is not None:
                waiting[1].update(message)
                waiting[0].set()

    def saved(self, **words: Any) -> Any:
        """Have the head save something; its answer. Raises DiskFault with its reason, or when none comes."""
        number, done, answer = next(self._numbers), threading.Event(), dict[str, Any]()
        self._waiting[number] = (done, answer)
        try:
            self.send({"say": "save", "number": number, **words})
            if not done.wait(ANSWER_S):
                raise DiskFault(f"The head did not save a picture within {ANSWER_S:.0f} s. Look at its log.")
        finally:
            del self._waiting[number]
        if answer.get("fault"):
            raise DiskFault(str(answer["fault"]))
        return answer["answer"]


class FarSaver(Saver):
    """Saves at the head's, with the arguments of `Saver`."""

    def __init__(self, folders: Folders, wire: FarWire) -> None:
        super().__init__(folders)
        self._wire = wire
        self._moment = folders.cache / "going-home"
        self._counter = itertools.count()

    def save(self, image: Image.Image, *, resolved: ResolvedRequest, index: int, job: str, **rest: Any) -> Picture:  # pyright: ignore[reportIncompatibleMethodOverride] - the same arguments, passed on
        text, extra = rest.pop("text", None), rest.pop("extra", None)
        text = infotext.write(resolved, index, extra=extra) if text is None else text
        words = {"resolved": resolved.to_data(), "index": index, "job": job, "text": text, **rest}
        return Picture(**self._wire.saved(what="save", words=words, **self._written(image)))

    def save_processed(self, work: Processed, *, settings: Mapping[str, Any], folder: Path, place: str, saved: bool = True) -> Path:
        about = {"parameters": work.parameters, "items": dict(work.items), "done": work.done, "name": work.name, "suffix": work.suffix}
        words = {"work": about, "settings": dict(settings), "folder": str(folder), "place": place, "saved": saved}
        return Path(self._wire.saved(what="save_processed", words=words, **self._written(work.image)))

    def save_input(self, image: Image.Image, settings: Mapping[str, Any]) -> str:
        return str(self._wire.saved(what="save_input", words={"settings": dict(settings)}, **self._written(image)))

    def keep(self, image: Image.Image, *, job: str, name: str) -> str:
        return str(self._wire.saved(what="keep", words={"job": job, "name": name}, **self._written(image)))

    def _written(self, image: Image.Image) -> dict[str, str]:
        """Where the picture lies until it is fetched, with the digest of the file."""
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        path = self._moment / f"{os.getpid()}-{next(self._counter)}.png"
        write_atomic(path, buffer.getvalue(), sync=False)
        return {"file": str(path), "sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}


class _Unwarmed:
    """A runner that loads no model before it is asked for one: which one the head's people like is not known here."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def warm(self, status: Any) -> None:
        status("Ready", model=None)


def main() -> None:
    """Entry of the process."""
    if (begun := worker.begin(FarWire)) is not None:
        wire, init = begun
        module, _, function = init["runner"].partition(":")
        folders = Folders.from_data(init["folders"])
        build = getattr(importlib.import_module(module), function)
        runner = _Unwarmed(build(folders, init["flags"], init["device_index"], saver=FarSaver(folders, wire)))
        worker.serve(wire, cast(Runner, runner))


if __name__ == "__main__":
    main()
