"""One slot: a thread that keeps a worker process alive, gives it the next job, and writes down what it says.

Knows processes and the store; knows nothing about what a job does. The worker may be killed at any moment: the job it
ran is queued again once, then parked. Start reading at `Slot.run`.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, cast

from modules.faults import UnknownJob, WorkerDied
from modules.jobs.hand import Hand, Run
from modules.jobs.joined import count_joined
from modules.jobs.lending import Lending, Piece
from modules.jobs.order import Taker
from modules.jobs.process import WorkerPlan, start_worker
from modules.jobs.records import DEVICE, Job, Live
from modules.jobs.store import JobStore
from modules.jobs.wire import Wire
from modules.jobs.work import work_of

STALL_S = 120.0
STALL_STEPS = 20
SAVE_S = 2.0  # that pictures have for being saved when the program ends


class Slot:
    """Runs jobs on one device until `stop`. `changed` is called after every change that somebody may wait for.

    wants_room: called when the job in hand needs memory that models of other workers hold. idle: how many slots of the lane have nothing
    to do, this one counted in; shares: other slots take jobs of this lane too. lending: pieces of jobs, where slots share them.
    """

    def __init__(
        self,
        store: JobStore,
        plan: WorkerPlan,
        index: int,
        changed: Callable[[str], None],
        wants_room: Callable[[Slot], None] | None = None,
        idle: Callable[[], int] = lambda: 1,
        shares: Callable[[], bool] = lambda: False,
        lending: Lending | None = None,
    ) -> None:
        self._store = store
        self._plan = plan
        self._changed = changed
        self._wants_room = wants_room
        self._idle = idle
        self._shares = shares
        self._lending = lending or Lending(lambda: None)
        self._giving: list[Callable[[Slot], None]] = []
        self._index = index
        self._inbox: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: Wire | None = None
        self._life = 0
        self._stopping = threading.Event()
        self._hand = Hand()
        self._foreseen: str | None = None
        self._ready = False
        self._lost = ""  # why a worker on another machine is gone, when no job can be to blame
        self._deaths = 0
        self._idle_since = time.monotonic()
        self.status: dict[str, Any] = {"state": "starting", "pid": None, "device": {}, "model": None, "memory": {}, "message": "Starting…"}
        self.status |= plan.about
        if plan.idle_s is not None:
            self.status |= {"state": "resting", "message": ""}
        self._thread = threading.Thread(target=self.run, name=f"slot-{plan.lane}-{index}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the worker. A job it is running goes back to the queue and does not lose an attempt."""
        self._stopping.set()
        self.nudge()
        self._thread.join(timeout_s + (self._plan.farewell_s if self._hand else 0.0))

    def nudge(self) -> None:
        """There may be something to do."""
        self._inbox.put((self._life, {"say": "nudge"}))

    def live(self, job_id: str | None) -> Live | None:
        """What that job does, or, for None, the one that keeps the device busy; None when it is not in hand."""
        run = self._hand.current() if job_id is None else self._hand.get(job_id)
        if run is None:
            return None
        self.tell({"do": "watch", "job": run.job.id})
        return run.live

    def doing(self) -> dict[str, Any] | None:
        """See `Hand.doing`."""
        return self._hand.doing()

    def live_piece(self, piece: str) -> Live | None:
        """What it does of another slot's job."""
        run = self._hand.get(piece)
        return None if run is None else run.live

    def idle(self) -> bool:
        """It could begin a job."""
        return self._ready and not self._hand.computed()

    def running(self) -> str | None:
        """Id of the job that keeps the device busy, else of one that is being saved."""
        run = self._hand.current()
        return run.job.id if run else None

    def has(self, job_id: str) -> bool:
        """That job is in hand."""
        return self._hand.get(job_id) is not None

    def tell(self, order: dict[str, Any]) -> None:
        """Send an order; a worker that is just dying does not hear it."""
        wire = self._wire
        if wire is not None:
            with contextlib.suppress(OSError, ValueError):
                wire.send(order)

    def give_room(self, given: Callable[[Slot], None]) -> None:
        """Have the worker put its model away, after the job in hand. given: called then, on any thread; at once without a worker."""
        self._giving.append(given)
        if self._wire is None:
            self._room_given()
        else:
            self.tell({"do": "give_room"})

    def _room_given(self) -> None:
        giving, self._giving = self._giving, []
        for given in giving:
            given(self)

    def run(self) -> None:
        """The slot's thread."""
        while not self._stopping.is_set():
            for job_id in self._store.order.expire():
                self._changed(job_id)
            if self._process is None and self._wanted():
                self._spawn()
            if self._ready and self._hand.free() and not self._store.paused():
                self._begin_next()
            self._take_message(timeout_s=0.5 if self._hand else 1.0)
            self._watch_over()
            self._foresee()
        self._end_worker()

    def _wanted(self) -> bool:
        """Is there a reason for a worker to live?"""
        if self._plan.idle_s is None:
            return True
        return not self._store.paused() and self._store.order.ready(self._plan.lane)

    def _spawn(self) -> None:
        if self._deaths:
            self._stopping.wait(min(30.0, 0.5 * 2 ** min(self._deaths - 1, 6)))
            if self._stopping.is_set():
                return
        self._life += 1
        self._ready = False
        self._foreseen = None
        try:
            self._process = start_worker(self._plan)
        except OSError as error:  # a full disk, no more processes: it may get better, and the jobs wait
            self._deaths += 1
            self.status |= {"state": "dead", "pid": None, "message": f"The worker cannot be started ({error}); it is tried again."}
            return
        wire = Wire(cast(BinaryIO, self._process.stdout), cast(BinaryIO, self._process.stdin))
        with contextlib.suppress(OSError, ValueError):  # first of all: what other threads tell it must come later
            about = {"runner": self._plan.runner, "folders": self._plan.folders, "flags": self._plan.flags, "device_index": self._index}
            wire.send({**about, **self._plan.more})
        self._wire = wire
        self.status |= {"state": "starting", "pid": self._process.pid, "message": "Starting the worker…", "model": None}
        threading.Thread(target=self._listen, args=(self._wire, self._life), daemon=True, name=f"worker-{self._index}").start()

    def _listen(self, wire: Wire, life: int) -> None:
        with contextlib.suppress(OSError, ValueError):
            for message in wire.messages():
                self._inbox.put((life, message))
        self._inbox.put((life, {"say": "gone"}))

    def _begin_next(self) -> None:
        taker = Taker(fits=self._plan.fits, model=self.status["model"], shares=self._shares())
        plain = taker.fits is None and not taker.shares
        job = self._store.claim(self._plan.lane, None if plain else taker, untried=bool(self._hand))
        if job is None:
            job = self._lending.take(self, self._plan.fits)
        if job is None:
            self._rest()
            return
        jobs = [job, *([] if isinstance(job, Piece) else self._joined(job))]
        for one in jobs:
            self._hand.add(one, self.status["message"])
        self.status |= {"state": "busy"}
        self.tell({"do": "jobs", "jobs": [work_of(one, self._store, lends=self._shares()) for one in jobs]})
        for one in jobs:
            self._changed(one.id)

    def _joined(self, first: Job) -> list[Job]:
        """The jobs that are made together with this one."""
        joining, device = self._plan.joining_fit, self.status["device"]
        own = joining(first.kind, first.resolved, device)
        if own is None or first.attempts > 1 or self._store.order.next(self._plan.lane) is None:
            return []
        workers = self._idle()
        return self._store.claim_joined(self._plan.lane, lambda waiting: count_joined(first, waiting, joining, device, workers), own[2])

    def _rest(self) -> None:
        """End a worker that has had nothing to do for long enough."""
        if self._hand or self._plan.idle_s is None or self._process is None or time.monotonic() - self._idle_since < self._plan.idle_s:
            return
        self._life += 1  # whatever it still says is no longer listened to
        self._ready = False
        self._end_process(patience_s=1.0)
        self.status |= {"state": "resting", "pid": None, "message": ""}

    def _take_message(self, timeout_s: float) -> None:
        try:
            life, message = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            return
        if message["say"] == "nudge" or life != self._life:
            return
        match message["say"]:
            case "ready":
                self.status |= {"device": message["device"], "message": "Getting ready…"}
            case "status":
                self.status |= {k: v for k, v in message.items() if k != "say"}
                for run in self._hand.computed():
                    run.set(text=message["message"])
            case "idle":
                self._ready = True
                self._idle_since = time.monotonic()
                self.status |= {"state": "busy" if self._hand else "idle", "memory": message["memory"]}
            case "about":
                self.status |= {"about": message["about"]}
            case "lost":
                self._lost = message["message"]
            case "gone":
                self._worker_gone()
            case "room_given":
                self.status |= {"model": None, "memory": message["memory"]}
                self._room_given()
            case "room_wanted" if self._wants_room is not None:
                self._wants_room(self)
            case _:
                self._take_run_message(message)
        self._changed("")

    def _take_run_message(self, message: dict[str, Any]) -> None:
        run = self._hand.get(message.get("job"))
        if run is None:
            return
        match message["say"]:
            case "progress":
                run.take_progress({k: v for k, v in message.items() if k not in ("say", "job")})
            case "preview":
                run.take_preview(message)
            case "lend" | "begun" | "enough":
                self._lending.hear(self, run.job, message)
            case "event" if isinstance(run.job, Piece):
                pass  # whoever leads the job says what there is to be said of it
            case "event":
                self._store.add_event(run.job.id, message["type"], message["data"])
                self._changed(run.job.id)
            case "computed":
                run.set(saving=True)
            case "done":
                self._take_end(run, message)
            case _:
                pass

    def _take_end(self, run: Run, message: dict[str, Any]) -> None:
        self._deaths = 0
        self._hand.pop(run.job.id)
        self._lending.close(run.job.id)
        if isinstance(run.job, Piece):
            self._lending.came(run.job, message["result"] if message["state"] == "done" else None)
        elif message["state"] == "paused":
            self._store.requeue(run.job.id, fault=None, counts=False, held=True)
        else:
            self._store.finish(run.job.id, message["state"], result=message["result"], fault=message["fault"])
        if self._ready and not self._hand:
            self.status |= {"state": "idle"}
        self._changed(run.job.id)

    def _watch_over(self) -> None:
        """Pass on words left in the store by other processes, and end a worker that has stopped in the middle of its steps."""
        if not self._hand:
            return
        for job_id, asked in self._store.asked(run.job.id for run in self._hand).items():
            run = self._hand.get(job_id)
            if run is None or asked in run.live.flags:
                continue
            run.set(flags=run.live.flags | {asked})
            self.tell({"do": asked, "job": job_id})
            if asked != "skip":
                self._lending.close(job_id)
            else:
                self._store.clear_asked(job_id, "skip")
                run.set(flags=run.live.flags - {"skip"})
        if any(run.stalled(self._plan.stall_s or STALL_S, STALL_STEPS) for run in self._hand):
            self.status |= {"message": "The worker stopped answering and is started again."}
            self._kill()

    def _foresee(self) -> None:
        """Tell a worker that is in the middle of a job, and has loaded what that one needs, which one will be next."""
        if self._plan.lane != DEVICE or not any(run.live.step for run in self._hand.computed()):
            return
        job_id = self._store.order.next(self._plan.lane) if not self._store.paused() else None
        if job_id == self._foreseen:
            return
        self._foreseen = job_id
        try:
            job = None if job_id is None else self._store.get(job_id)
        except UnknownJob:  # forgotten meanwhile
            return
        self.tell({"do": "ahead", "next": None if job is None else {"kind": job.kind, "resolved": job.resolved}})

    def _worker_gone(self) -> None:
        process, self._process, self._wire = self._process, None, None
        code = process.wait() if process else None
        self._deaths += 1
        self._ready = False
        self._room_given()
        lost, self._lost = self._lost, ""
        self.status |= {"state": "dead", "pid": None, "message": lost or f"The worker ended (exit {code}); starting another one."}
        for run in self._hand.clear():
            fault = WorkerDied(
                lost
                or f"The worker process ended while it ran this job (exit {code}). See {self._plan.log.name}; if it happens again, "
                f"{self._plan.hint}.",
                exit_code=code,
            )
            self._put_back(run, fault.data(), counts=not lost)
            self._changed(run.job.id)

    def _put_back(self, run: Run, fault: dict[str, Any] | None, *, counts: bool) -> None:
        """It was cut off."""
        if isinstance(run.job, Piece):
            self._lending.came(run.job, None)
        else:
            self._lending.close(run.job.id)
            self._store.requeue(run.job.id, fault=fault, counts=counts)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _end_worker(self) -> None:
        busy = bool(self._hand)
        if busy:
            self._let_save()
        for run in self._hand.clear():
            self._put_back(run, None, counts=False)
        self._end_process(patience_s=0.01 if busy else 0.3)
        self.status |= {"state": "off", "pid": None, "message": ""}

    def _let_save(self) -> None:
        """A job that can go on later stops as for a pause; what it says then is not written down, as it goes on at the next start.

        One whose pictures are being saved ends as it would have.
        """
        end = time.monotonic() + self._plan.farewell_s
        if self._plan.farewell_s and (running := self.running()):
            self.tell({"do": "pause", "job": running})
        elif len(self._hand.computed()) < len([*self._hand]):
            end = time.monotonic() + SAVE_S
        while (left := end - time.monotonic()) > 0:
            try:
                life, message = self._inbox.get(timeout=left)
            except queue.Empty:
                return
            if life != self._life or message["say"] == "nudge":
                continue
            run = self._hand.get(message.get("job"))
            if message["say"] == "gone" or (message["say"] == "done" and (run is None or not run.saving)):
                return
            if run is not None and run.saving:
                self._take_run_message(message)
            if not self._plan.farewell_s and all(not one.saving for one in self._hand):
                return

    def _end_process(self, patience_s: float) -> None:
        """Ask the worker to quit; end it when it does not in time."""
        self.tell({"do": "quit"})
        process, self._process, self._wire = self._process, None, None
        if process is None:
            return
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
