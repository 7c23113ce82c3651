"""Owns the loaded captioners, apart from the picture models: at most two; their memory is given back when pictures need it or they rest.

Start reading at `CaptionerSlot.take`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch

from modules.caption import tagger
from modules.caption.installed import Installed, describe, weight_files
from modules.caption.loading import Captioner, load
from modules.caption.onnx_files import must_be_exported
from modules.caption.ranking import Ranker
from modules.faults import ModelFault, OutOfMemory
from modules.folders import Folders
from modules.hardware.bench import Bench
from modules.processing.slot import free_unused
from modules.request.caption import ONNX, QUANTISED, CaptionModel

MOST = 2  # a captioner and what ranks words for it
NEED = 2.0  # times the size of its files a captioner may take: half precision can become float32
IDLE_S = 120.0
PLENTY = 0.5  # pictures begin beside loaded captioners only while this share of the memory is free
AUTO = "auto"


class CaptionerSlot:
    """device: torch's name; dtype: what "auto" means there; dtypes: number types that work on it.

    memory(): (free, total) bytes of the device; make_room(): puts the picture models away, True when there were any.
    idle_s: seconds of rest after which the captioners go, unless they are to be kept.
    """

    def __init__(
        self,
        *,
        device: str,
        dtype: str,
        dtypes: tuple[str, ...],
        memory: Callable[[], tuple[int, int]],
        make_room: Callable[[], bool],
        idle_s: float = IDLE_S,
    ) -> None:
        self._device = device
        self._dtype = dtype
        self._dtypes = dtypes
        self._memory = memory
        self._make_room = make_room
        self._idle_s = idle_s
        self._held: dict[tuple[Any, ...], Captioner] = {}
        self._rankers: dict[tuple[Any, ...], Ranker] = {}
        self._lock = threading.Lock()  # against the timer; jobs come one at a time
        self._timer: threading.Timer | None = None

    @classmethod
    def of(cls, bench: Bench, make_room: Callable[[], bool]) -> Self:
        """The slot of a worker's bench."""

        def main_memory() -> tuple[int, int]:
            figures = bench.memory()["ram"]
            return figures["free"], figures["total"]

        def memory() -> tuple[int, int]:
            figures = bench.memory()
            there = figures["cuda"].get("system") or figures["ram"]
            return there["free"], there["total"]

        device = bench.device
        if "interrogate" in bench.use_cpu:
            return cls(device="cpu", dtype="float32", dtypes=("float32",), memory=main_memory, make_room=make_room)
        return cls(device=device.torch_name, dtype=bench.dtype, dtypes=device.dtypes, memory=memory, make_room=make_room)

    @property
    def names(self) -> list[str]:
        """Of what is loaded, the oldest first."""
        return [captioner.installed.name for captioner in self._held.values()]

    def dtype(self, precision: str) -> tuple[str, str]:
        """(the number type for a precision asked for, a warning or "")."""
        wanted = self._dtype if precision in (AUTO, *QUANTISED) else precision
        if wanted in self._dtypes or wanted == self._dtype:
            return wanted, ""
        return self._dtype, f"{wanted} does not work on this device, so {self._dtype} was taken."

    @contextmanager
    def at_work(self, *, keep: bool) -> Iterator[None]:
        """While a job runs nothing goes by itself. keep: nor afterwards; else the time of rest begins."""
        self._stop_timer()
        try:
            yield
        finally:
            if not keep and self._held:
                self._timer = threading.Timer(self._idle_s, self._rested)
                self._timer.daemon = True
                self._timer.start()

    def take(self, model: CaptionModel, precision: str, status: Callable[[str], None]) -> Captioner:
        """A captioner on the device, loaded only if it is not there. Raises ModelFault, OutOfMemory."""
        found = describe(Path(model.path), model.name)
        if found.kind != model.kind:
            raise ModelFault(f"{model.name} is another model than when the job was made. Ask again.")
        dtype, _ = self.dtype(precision)
        kept = kept_as(found, model.backend, precision)
        key = (*_key(found, dtype), model.backend, kept)
        if key not in self._held:
            status(f"Loading the captioner {model.name}…")
            while len(self._held) >= MOST:
                self._drop(next(iter(self._held)))
            free, _ = self._memory()
            if free < NEED * found.size_bytes:
                self._make_room()
            self._held[key] = self._loaded(found, dtype, kept, model.backend)
        self._held[key] = self._held.pop(key)  # the newest last
        return self._held[key]

    def ranker(self, scorer: Captioner, folders: Folders) -> Ranker:
        """What ranks words with a loaded scorer, kept as long as it."""
        key = (*_key(scorer.installed, scorer.dtype), scorer.precision)
        if key not in self._rankers:
            self._rankers[key] = Ranker(scorer, folders.cache / "word-vectors")
        return self._rankers[key]

    def give_way(self) -> None:
        """Pictures are about to be made: go, unless there is plenty of room."""
        free, total = self._memory()
        if free < PLENTY * total:
            self.release()

    def release(self) -> bool:
        """Let go of every captioner and give the memory back; False when there were none."""
        self._stop_timer()
        return self._drop_all()

    def make_room(self) -> bool:
        """Put the picture models away. False when there were none."""
        return self._make_room()

    def _loaded(self, found: Installed, dtype: str, kept: str, backend: str) -> Captioner:
        for again in (True, False):
            try:
                return load(found, device=self._device, dtype=dtype, precision=kept, backend=backend)
            except (torch.OutOfMemoryError, MemoryError) as error:
                reason = (str(error) or "out of memory").splitlines()[0]
            if not again or not (self._make_room() or self._drop_all()):
                break
            free_unused()
        raise OutOfMemory(f"There is not enough memory for {found.name} ({reason}). Take a smaller captioner, or precision float16.")

    def _drop(self, key: tuple[Any, ...]) -> None:
        self._held.pop(key, None)
        self._rankers.pop(key, None)
        free_unused()

    def _drop_all(self) -> bool:
        held = bool(self._held)
        for key in list(self._held):
            self._drop(key)
        return held

    def _stop_timer(self) -> None:
        with self._lock:  # a timer that has just gone off is through with it, or finds that it is not wanted
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _rested(self) -> None:
        """On the timer's thread. A job that began meanwhile has taken the timer away."""
        with self._lock:
            if self._timer is not threading.current_thread():
                return
            self._held.clear()
            self._rankers.clear()
        free_unused()


def kept_as(found: Installed, backend: str, precision: str) -> str:
    """How the weights are kept where that is not as they are computed with; for ONNX which of the exported files is taken.

    Raises ModelFault when nothing was exported, or not in that precision.
    """
    if backend != ONNX or found.kind == tagger.ID:
        return precision if precision in QUANTISED else ""
    there = must_be_exported(found).precisions
    wanted = there[-1] if precision == AUTO else precision
    if wanted not in there:
        raise ModelFault(f"{found.name} was exported to ONNX in {' and '.join(there)}, not in {precision}. Take one of those.")
    return wanted


def _key(found: Installed, dtype: str) -> tuple[Any, ...]:
    files = tuple((path.name, path.stat().st_mtime_ns) for path in weight_files(found.path, found.name))
    return (found.path, dtype, files)
