"""What the CPU does for jobs while the device goes on: it decodes the pictures of one batch and reads the prompts of the next one.

`modules.processing.overlap` says whether. Pictures are decoded on the line on which they are saved, so that their order, events and faults
are those of one after another. Nothing is moved that is being worked with: the worker's own thread waits before it moves a model. Memory
that runs out is dealt with between two batches, when `turn` is free. Start reading at `Behind.come`, then `follow`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from modules.processing.batch import Batch, Drawn
from modules.processing.careful import Careful, want_of_memory
from modules.processing.job import Job
from modules.processing.line import Line
from modules.processing.memory_main import main_need
from modules.processing.overlap import Overlap, is_plain, overlap_of, reads_alike
from modules.processing.slot import LoadedModel
from modules.processing.together import texts_of
from modules.request import ResolvedRequest

_log = logging.getLogger(__name__)


class Behind:
    """One a worker. line: on which pictures are saved. overlap: as `overlap_of`.

    turn: held by who draws, and by who changes the memory policy while others wait. now: what the present job's stages overlap with.
    All but `next_is` is for the thread that runs the jobs.
    """

    def __init__(self, line: Line, careful: Careful, overlap: Callable[..., Overlap] = overlap_of) -> None:
        self.turn = threading.RLock()
        self.now = Overlap()
        self._line = line
        self._careful = careful
        self._overlap = overlap
        self._reader = Line()
        self._put = self._done = 0  # batches to be decoded: written by the worker's thread, and by the line
        self._next: Mapping[str, Any] | None = None
        self._asked: tuple[object, int] | None = None
        careful.settle = self.drain

    @property
    def busy(self) -> bool:
        """Pictures are being decoded, or will be."""
        return self._put != self._done

    def drain(self) -> None:
        """Until nobody else works with a model. Nothing overlaps until the next job has begun. Not for the holder of `turn`."""
        self.now = Overlap()
        if not self._line.here:
            self._reader.wait()
            if self.busy:
                self._line.wait()

    def come(self, resolved: ResolvedRequest, at_hand: Callable[[], bool]) -> None:
        """A job comes. What is still decoded goes on beside it when that shares nothing with it. at_hand(): its model is on the device."""
        self.read_up()
        if self.busy and not (is_plain(resolved) and at_hand()):
            self.drain()

    def begin(self, resolved: ResolvedRequest, *, lends: bool) -> None:
        """The job begins, under its memory policy. lends: others make batches of it, and pictures are taken in as they come."""
        self._asked = None
        self._decide(resolved, lends=lends)
        if self.busy and not self.now.decode:  # it asks the VAE itself
            self.drain()
            self._decide(resolved, lends=lends)

    def _decide(self, resolved: ResolvedRequest, *, lends: bool) -> None:
        with self.turn:  # nobody changes the policy meanwhile
            now = self._decided(resolved) if is_plain(resolved) else Overlap()
            self.now = replace(now, decode=now.decode and not lends)

    def _decided(self, resolved: ResolvedRequest) -> Overlap:
        bench = self._careful.bench
        need = main_need(self._careful.book.counting, resolved, bench.policy, bench.on_cpu, bench.dtype, bench.vae_dtype)
        return self._overlap(
            str(resolved.settings.get("overlap_stages")), bench.device.kind, bench.policy, bench.on_cpu,
            need and need.work_bytes, int(bench.memory()["ram"]["free"]),
        )  # fmt: skip

    def follow(self, run: Job, made: Batch | Drawn, keep: Callable[[Batch], None]) -> None:
        """Have the pictures of a batch kept in their turn; those that are latents still are decoded before that."""
        if isinstance(made, Batch):
            run.after(lambda: keep(made))
            return
        run.behind = True
        run.later(lambda: keep(self._pictures(run, made)))
        self._put += 1
        self._line.put(self._passed)

    def _passed(self) -> None:
        self._done += 1

    def _pictures(self, run: Job, drawn: Drawn) -> Batch:
        """On the line. Memory that runs out is dealt with when the device is between two batches."""
        reason = ""
        model = drawn.model()
        if model is not None and model is self._careful.slot.present:
            try:
                return drawn.pictures(model)
            except (RuntimeError, MemoryError) as error:
                reason = want_of_memory(error)
                if not reason:
                    raise
        del model
        with self.turn:
            self.now = Overlap()  # the policy changes, or has changed
            return self._careful.carried_out(run.resolved, drawn.pictures, lambda: drawn.kept.stage, run.warn, reason)

    def next_is(self, job: Mapping[str, Any] | None) -> None:
        """The job that will be next as things are, as data; None for none. Comes back at once."""
        self._next = job if job is not None and (job.get("resolved") or {}).get("all_prompts") else None

    def look(self, resolved: ResolvedRequest, batch_no: int) -> None:
        """A step of this batch is done: have the prompts of what comes next read, once."""
        if not self.now.texts:
            return
        within = batch_no + 1 < resolved.n_iter
        what: tuple[Any, int] = (resolved, batch_no + 1) if within else (self._next, 0)
        model, before = self._careful.slot.present, self._asked
        if what[0] is None or model is None or (before is not None and before[0] is what[0] and before[1] == what[1]):
            return
        self._asked = what
        self._reader.put(lambda: self._read(model, resolved, *what))

    def _read(self, model: LoadedModel, now: ResolvedRequest, asked: Any, batch_no: int) -> None:
        """On a thread of its own, so that prompts need not wait for pictures."""
        try:
            wanted = asked if isinstance(asked, ResolvedRequest) else ResolvedRequest.from_data(asked["resolved"])
            if reads_alike(wanted, now):
                texts_of(model, wanted, batch_no)
        except Exception:  # noqa: BLE001 - a convenience: the batch reads its prompts itself, and says what is wrong
            _log.exception("reading prompts ahead")

    def read_up(self) -> None:
        """Until prompts that are being read are read."""
        self._reader.wait()
