"""The worker process: `python -m modules.jobs.worker`. One a device; runs jobs, one at a time, and reports.

A runner that has only to save what it made gives the device back; that job's end is told by a thread of its own, in order.

Knows the conversation with the supervisor; knows nothing about what a job does: a runner does. The process ends at once
when the supervisor goes away, so that no second program can hold the device. Start reading at `serve`.
"""

from __future__ import annotations

import base64
import gc
import importlib
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from modules.faults import Cancelled, Fault
from modules.folders import Folders
from modules.jobs.pieces import Pieces
from modules.jobs.wire import Wire

WATCHED_S = 3.0
UNWATCHED_S = 0.25
SomeWire = TypeVar("SomeWire", bound=Wire)
ROOM_WAIT_S = 600.0

Outcome = tuple[str, dict[str, Any]]
End = Callable[[], Outcome]


class RunControl:
    """What a runner uses to report on its job and to learn that it should stop. Made anew for each job.

    interrupted: stop at the next step and keep the pictures; paused: it was for a pause, so that a job that can go on later ends with the
    state "paused" and waits; take_skip(): end the current batch only (asks once);
    watched: somebody looks at the progress, so previews are worth making. pieces: what other workers make of it, see `lend`.
    """

    def __init__(self, wire: Wire, job: str) -> None:
        self._wire = wire
        self.job = job
        self.interrupted = False
        self.paused = False
        self.skipped = False
        self.watched_until = 0.0
        self.pieces = Pieces()
        self._previews = 0
        self._told = (0.0, -1)
        self._room = threading.Event()

    @property
    def watched(self) -> bool:
        return time.monotonic() < self.watched_until

    def take_skip(self) -> bool:
        skipped, self.skipped = self.skipped, False
        return skipped

    def progress(self, *, fraction: float, step: int, steps: int, batch_no: int, batch_count: int, text: str = "") -> None:
        """fraction: 0..1 of the whole job; step of steps in batch batch_no (0-based) of batch_count."""
        where = {"fraction": fraction, "step": step, "steps": steps, "batch_no": batch_no, "batch_count": batch_count, "text": text}
        now = time.monotonic()
        if not self.watched and step < steps and batch_no == self._told[1] and now - self._told[0] < UNWATCHED_S:
            return  # nobody looks: a few reports a second are enough
        self._told = (now, batch_no)
        self._wire.send({"say": "progress", "job": self.job, **where})

    def preview(self, jpeg: bytes) -> None:
        self._previews += 1
        self._wire.send({"say": "preview", "job": self.job, "jpeg": base64.b64encode(jpeg).decode(), "number": self._previews})

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """A numbered, durable event: "picture", "warning" or "log"."""
        self._wire.send({"say": "event", "job": self.job, "type": kind, "data": data})

    def lend(
        self,
        count: int,
        *,
        model: str | None = None,
        kind: str | None = None,
        resolved: dict[str, Any] | None = None,
        each: dict[str, dict[str, Any]] | None = None,
        batches: dict[str, int] | None = None,
        share: float = 1.0,
    ) -> int:
        """Other workers may make so many pieces of this job but for the first one; where `begun` is told of one, from the next one on. What
        was lent before is over. Returns the first one's number: pieces are numbered through the whole job.

        model: title of the one that each needs. A piece is a job with a "piece" in it, its place among these; kind, resolved: of it, None:
        as of this job; each, batches: by place, as text, what is different in its resolved data, and another "piece" than its place.
        share: how much of the job's progress they all are.
        """
        first = self.pieces.name(count)
        work = {"model": model, "kind": kind, "resolved": resolved, "each": each, "batches": batches, "share": share}
        self._wire.send({"say": "lend", "job": self.job, "first": first, "end": first + count, **work})
        return first

    def enough(self) -> None:
        """No more of the pieces that were lent are needed."""
        self._wire.send({"say": "enough", "job": self.job})

    def begun(self, number: int) -> None:
        """This worker is at that piece itself, or has it."""
        self._wire.send({"say": "begun", "job": self.job, "number": number})

    def make_room(self, timeout_s: float = ROOM_WAIT_S) -> bool:
        """Have the workers of the devices put their models away, and wait for it; False when the time was up or the job is stopped.

        A worker does so after the job it has in hand.
        """
        self._room.clear()
        self._wire.send({"say": "room_wanted"})
        end = time.monotonic() + timeout_s
        while not self._room.wait(0.2):
            if self.interrupted or time.monotonic() > end:
                return False
        return True

    def room_made(self) -> None:
        """What `make_room` waits for has come."""
        self._room.set()

    def status(self, message: str, **facts: Any) -> None:
        """What the worker is doing, for people; facts (model=...) are kept until they change."""
        self._wire.send({"say": "status", "message": message, **facts})


Together = Callable[[list[dict[str, Any]], list[RunControl]], Iterator[tuple[str, End]]]


class Runner(Protocol):
    """What does the work. Built in the worker process from plain data."""

    def device(self) -> dict[str, Any]:
        """Probe the device; JSON-ready."""
        ...

    def warm(self, status: Any) -> None:
        """Get ready for the likely next job. Called once after the start; a fault here is reported, not fatal."""
        ...

    def run(self, job: dict[str, Any], control: RunControl) -> Outcome:
        """Do a job; returns (state, result) with state "done", "canceled" or "paused". Raises Fault, Cancelled."""
        ...

    def memory(self) -> dict[str, Any]:
        """Memory figures in the shape of A1111's /sdapi/v1/memory."""
        ...

    # Where there are such methods:
    # give_room() -> object: let go of what is kept for the next job, for the sake of another worker.
    # look_ahead(job or None) -> object: that job will be next, as things are. Called while another runs, on another thread; must be quick.
    # begin(job, control) -> End: as `run`, but back as soon as the device is free; calling the End waits for the rest, on another thread.
    # begin_joined(jobs, controls) -> iterator of (id, End): several jobs that may be made as one batch, each as soon as it is computed.


class Worker:
    """The loop. Reads orders on one thread, runs jobs on the main thread (some drivers insist on that)."""

    def __init__(self, wire: Wire, runner: Runner) -> None:
        self._wire = wire
        self._runner = runner
        self._orders: queue.Queue[dict[str, Any]] = queue.Queue()
        self._controls: dict[str, RunControl] = {}
        self._ends: queue.Queue[tuple[str, End] | None] = queue.Queue()
        self._telling = threading.Thread(target=self._tell_ends, daemon=True, name="ends")

    def listen(self) -> None:
        """Take orders until the supervisor is gone, then end the process at once."""
        for order in self._wire.messages():
            control = self._controls.get(order.get("job", ""))
            match order["do"]:
                case "watch" if control:
                    control.watched_until = time.monotonic() + WATCHED_S
                case "interrupt" if control:
                    control.interrupted = True
                case "pause" if control:
                    control.paused = control.interrupted = True
                case "skip" if control:
                    control.skipped = True
                case "room" if control:
                    control.room_made()
                case "lent" | "piece" if control:
                    control.pieces.hear(order)
                case "jobs":  # the controls exist from now on, so that an interrupt cannot come too early
                    self._controls |= {job["id"]: RunControl(self._wire, job["id"]) for job in order["jobs"]}
                    self._orders.put(order)
                case "ahead":
                    self._look_ahead(order["next"])
                case "quit" | "give_room":
                    self._orders.put(order)
                case _:
                    pass
        os._exit(0)

    def _look_ahead(self, job: dict[str, Any] | None) -> None:
        look: Callable[[dict[str, Any] | None], object] | None = getattr(self._runner, "look_ahead", None)
        try:
            if look is not None:
                look(job)
        except Exception:  # noqa: BLE001 - a convenience; that job says itself what is wrong with it
            traceback.print_exc()

    def serve(self) -> None:
        """Announce the device, warm up, then run jobs until told to quit."""
        self._telling.start()
        self._wire.send({"say": "ready", "pid": os.getpid(), "device": self._runner.device()})
        try:
            self._runner.warm(lambda message, **facts: self._wire.send({"say": "status", "message": message, **facts}))
        except Fault as fault:
            self._wire.send({"say": "status", "message": fault.message})
        self._wire.send({"say": "idle", "memory": self._runner.memory()})
        while True:
            order = self._orders.get()
            if order["do"] == "quit":
                self._ends.put(None)
                self._telling.join()
                return
            if order["do"] == "give_room":
                self._give_room()
                continue
            self._run(order["jobs"])
            self._wire.send({"say": "idle", "memory": self._runner.memory()})

    def _give_room(self) -> None:
        """Another worker needs memory: what this one keeps for the next job goes."""
        give: Callable[[], object] | None = getattr(self._runner, "give_room", None)
        if give is not None:
            give()
        self._wire.send({"say": "room_given", "memory": self._runner.memory()})

    def _run(self, jobs: list[dict[str, Any]]) -> None:
        together: Together | None = getattr(self._runner, "begin_joined", None)
        if len(jobs) == 1 or together is None:
            for job in jobs:
                self._run_one(job)
            return
        left = {job["id"]: self._controls[job["id"]] for job in jobs}
        failed: Exception = RuntimeError("the runner left this job out")
        try:
            for job_id, end in together(jobs, [*left.values()]):
                left.pop(job_id)
                self._end_later(job_id, end)
        except Exception as error:  # noqa: BLE001 - told where every end is told
            failed = error
        for job_id in left:
            self._end_later(job_id, _raising(failed))

    def _run_one(self, job: dict[str, Any]) -> None:
        begin: Callable[[dict[str, Any], RunControl], End] | None = getattr(self._runner, "begin", None)
        control = self._controls[job["id"]]
        if begin is None:
            self._tell_end(job["id"], lambda: self._runner.run(job, control))
            return
        try:
            end = begin(job, control)
        except Exception as error:  # noqa: BLE001 - told where every end is told
            end = _raising(error)
        self._end_later(job["id"], end)

    def _end_later(self, job_id: str, end: End) -> None:
        """The device is free of that job; the thread that tells ends does the rest."""
        self._wire.send({"say": "computed", "job": job_id})
        self._ends.put((job_id, end))

    def _tell_ends(self) -> None:
        """The thread that waits for pictures to be saved."""
        while (told := self._ends.get()) is not None:
            self._tell_end(*told)

    def _tell_end(self, job_id: str, end: End) -> None:
        answer: dict[str, Any]
        try:
            state, result = end()
            answer = {"state": state, "result": result, "fault": None}
        except Cancelled:
            answer = {"state": "canceled", "result": None, "fault": None}
        except Fault as fault:
            answer = {"state": "failed", "result": None, "fault": fault.data()}
        except Exception as error:  # noqa: BLE001 - whatever a job raises ends that job only, with its traceback in the log
            trace = traceback.format_exc()
            sys.stderr.write(trace)
            self._controls[job_id].event("log", {"text": trace[-8000:]})
            fault = Fault(f"{type(error).__name__}: {error}. The job's log has the details.")
            answer = {"state": "failed", "result": None, "fault": {**fault.data(), "kind": "unexpected"}}
        finally:
            self._controls.pop(job_id)
        self._wire.send({"say": "done", "job": job_id, **answer})


def _raising(error: Exception) -> End:
    """An end that is this error."""

    def end() -> Outcome:
        raise error

    return end


def build_runner(name: str, init: dict[str, Any]) -> Runner:
    """The runner named "package.module:function", called with (folders, flags, device_index)."""
    module, _, function = name.partition(":")
    build = getattr(importlib.import_module(module), function)
    return build(Folders.from_data(init["folders"]), init["flags"], init["device_index"])


def begin(wire_kind: type[SomeWire]) -> tuple[SomeWire, dict[str, Any]] | None:
    """(the wire, the first line on stdin, which says what to be) of a process that is to be a worker; None when nobody wants one."""
    private_out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes to the log, not into the conversation
    sys.stdout = sys.stderr
    _be_first_to_go()
    wire = wire_kind(sys.stdin.buffer, private_out)
    init = next(wire.messages(), None)
    return None if init is None else (wire, init)


def serve(wire: Wire, runner: Runner) -> None:
    """Run jobs until told to quit, or until whoever gives them is gone."""
    worker = Worker(wire, runner)
    threading.Thread(target=worker.listen, daemon=True, name="orders").start()
    gc.freeze()  # half a million objects of libraries stay: to look through them takes a third of a second each time memory is given back
    gc.enable()
    try:
        worker.serve()
    finally:
        gc.unfreeze()  # some libraries complain of what they still find when the process ends


def main() -> None:
    """Entry of the process."""
    if (begun := begin(Wire)) is not None:
        wire, init = begun
        gc.disable()  # until `serve`: importing leaves a few hundred objects of garbage, and looking for them takes a fifth of its time
        serve(wire, build_runner(init["runner"], init))


def _be_first_to_go() -> None:
    """When memory runs out, the kernel should end this process and not the page; and the page answers first."""
    score = Path("/proc/self/oom_score_adj")
    try:
        if score.exists():
            score.write_text("500")
        if hasattr(os, "nice"):
            os.nice(5)
    except OSError as error:
        sys.stderr.write(f"could not lower the worker's priority: {error}\n")


if __name__ == "__main__":
    main()
