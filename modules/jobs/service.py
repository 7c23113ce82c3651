"""`Jobs`: the one object through which jobs are submitted, read, cancelled and waited for. One a program.

Only one process at a time runs the queue of a data folder; others may submit to it and wait. Start reading at `Jobs.submit`.
"""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec

from modules.folders import Folders
from modules.jobs.bell import Bell, Sleeper
from modules.jobs.crew import Beside, Crew
from modules.jobs.holder import Holder
from modules.jobs.joined import Joining, never
from modules.jobs.lists import Filter
from modules.jobs.order import Order
from modules.jobs.process import Fits, WorkerPlan
from modules.jobs.records import DEVICE, FILES, FINISHED, LANES, TRAIN, Event, Job, Live, NewJob, Turn
from modules.jobs.store import JobStore

RUNNER = "modules.processing.runner:build"
FILES_RUNNER = "modules.upkeep.runner:build"
TRAIN_RUNNER = "modules.processing.train_runner:build"
FILES_IDLE_S = 20.0
TRAIN_STALL_S = 1800.0  # between two steps may lie a validation, samples and a saved state
TRAIN_FAREWELL_S = 30.0
TRAIN_IDLE_S = 5.0  # what it held of the device is surely free only when its process has ended
POLL_S = 0.5  # how soon something is seen that another process did to the queue
OWN_POLL_S = 1.0  # the same where this process runs the queue, so that most things ring the bell
P = ParamSpec("P")


class Jobs:
    """The queue of a data folder. `start` begins to run it here, unless another process already does.

    Each device has a worker that stays; work on model files has one of its own, and training another; they live only while there is some.
    What is asked without naming a job concerns the pictures: the lane of the devices.
    """

    def __init__(
        self,
        folders: Folders,
        flags: dict[str, Any],
        *,
        runner: str = RUNNER,
        files_runner: str = FILES_RUNNER,
        files_idle_s: float = FILES_IDLE_S,
        train_runner: str = TRAIN_RUNNER,
        train_idle_s: float = TRAIN_IDLE_S,
        joining: Joining = never,
        fits: Fits | None = None,
    ) -> None:
        """joining: which waiting jobs of the devices may be made as one batch; fits: which they take, see `WorkerPlan`."""
        self._holder = Holder(folders.cache)
        self._store = JobStore(folders.jobs_file, self._holder.alone)
        self._bell = Bell()
        beside = {
            FILES: Beside(runner=files_runner, idle_s=files_idle_s, hint="close other programs to free memory"),
            TRAIN: Beside(
                runner=train_runner,
                idle_s=train_idle_s,
                hint="take a preset for less memory; it goes on from its last saved state",
                stall_s=TRAIN_STALL_S,
                farewell_s=TRAIN_FAREWELL_S,
            ),
        }
        self._elsewhere = bool(flags.get("cluster"))  # jobs may run on other machines, and did not bring this process down
        self._crew = Crew(self._store, folders, flags, self._told, runner=runner, beside=beside, joining=joining, fits=fits)

    @property
    def owns_queue(self) -> bool:
        """This process runs the jobs."""
        return bool(self._crew.slots())

    def start(self, *, url: str = "", required: bool = False, lanes: Iterable[str] = LANES) -> bool:
        """Begin to run the jobs of these lanes; False when another process runs this queue. required=True raises SetupFault naming
        it instead.
        """
        if not self._holder.take(url=url, required=required):
            return False
        for job in self._store.list(states=("running",), limit=10_000):  # cut off when the last owner died
            fault = {"kind": "worker_died", "message": "The program ended while it ran this job."}
            self._store.requeue(job.id, fault=fault, counts=not self._elsewhere)
        self._store.prune()
        self._crew.start(lanes)
        return True

    def stop(self) -> None:
        """End the workers; queued and running jobs stay for the next start."""
        self._crew.stop()
        self._holder.give_back()
        self._store.close()

    def submit(
        self,
        kind: str,
        request: dict[str, Any],
        resolved: dict[str, Any],
        *,
        owner: str = "local",
        key: str | None = None,
        priority: int = 0,
        lane: str = DEVICE,
        deadline_s: float | None = None,
        held: bool = False,
    ) -> Job:
        """Queue a job durably. The same key gives the same job again, also after a restart. lane: one of `LANES`.

        priority, deadline_s, held: see `Job`. Raises ValueError for a lane that nobody runs.
        """
        if lane not in LANES:
            raise ValueError(f"there is no lane {lane!r}")
        job, new = self._store.submit(
            kind, request, resolved, owner=owner, key=key, priority=priority, lane=lane, deadline_s=deadline_s, held=held
        )
        if new:
            self._stirred(job.id)
        return job

    def submit_group(self, head: NewJob, members: Sequence[NewJob], *, owner: str = "local", turn: Turn | None = None) -> Job:
        """Queue jobs in this order and behind them the one that gathers what they make. The head's key works as in `submit`."""
        turn = turn or Turn()
        job, new = self._store.groups.submit(
            head, members, owner=owner, priority=turn.priority, deadline_s=turn.deadline_s, held=turn.held
        )  # fmt: skip
        if new:
            self._stirred(job.id)
        return job

    def members(self, group_id: str) -> builtins.list[Job]:
        """The jobs of a group in the order they were submitted, without the one that gathers."""
        return self._store.groups.members(group_id)

    def group(self, group_id: str) -> tuple[dict[str, int], str | None]:
        """(state -> how many of a group are in it, id of one that runs)."""
        return self._store.groups.counts(group_id)

    def of_keys(self, prefix: str) -> builtins.list[Job]:
        """The jobs whose keys begin so, newest first."""
        return self._store.groups.of_keys(prefix)

    def states(self, job_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """id -> {"state", "pictures", "fault", "seconds"}; ids that nobody knows are left out."""
        return self._store.groups.states(job_ids)

    def duplicate(self, id_or_key: str, owner: str, turn: Turn | None = None) -> Job:
        """Queue a job's request anew, with the same seeds: it gives the same pictures. Raises UnknownJob."""
        job, turn = self.get(id_or_key), turn or Turn()
        return self.submit(
            job.kind,
            job.request,
            job.resolved,
            owner=owner,
            lane=job.lane,
            priority=turn.priority,
            deadline_s=turn.deadline_s,
            held=turn.held,
        )

    def get(self, id_or_key: str) -> Job:
        """Raises UnknownJob."""
        return self._store.get(id_or_key)

    def named_inputs(self) -> set[str]:
        """References of the input pictures that jobs name."""
        return self._store.named_inputs()

    def list(
        self, *, states: Iterable[str] | None = None, owner: str | None = None, lane: str | None = None, limit: int = 100
    ) -> builtins.list[Job]:
        """Running and queued jobs in run order, then finished ones, newest first; of one of `LANES` or of all."""
        return self._store.list(states=states, owner=owner, lane=lane, limit=limit)

    def page(self, wanted: Filter, *, cursor: str | None = None, limit: int = 100) -> tuple[builtins.list[Job], str | None]:
        """`list` a page at a time: the jobs, and the cursor of the next page, None at the end. Raises RequestFault for a wrong cursor."""
        return self._store.lists.page(wanted, cursor=cursor, limit=limit)

    def events(self, job_id: str, after: int = 0) -> builtins.list[Event]:
        return self._store.events(job_id, after)

    def changes(self, after: int, limit: int = 100) -> builtins.list[Event]:
        """Events of all jobs in the order they were written, from the first whose serial number is above `after`."""
        return self._store.lists.changes(after, limit)

    def last_change(self) -> int:
        """Serial number of the latest event of all; 0 when there is none."""
        return self._store.lists.last_change()

    def wait(self, id_or_key: str, timeout_s: float | None = None) -> Job:
        """Block until the job has finished, or the time is up; returns it as it is then. Raises UnknownJob."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while not (job := self.get(id_or_key)).finished:
            left = POLL_S if end is None else end - time.monotonic()
            if left <= 0:
                break
            self._bell.wait(min(POLL_S, left))
        return job

    async def finished(self, id_or_key: str) -> Job:
        """The job, once it has finished; for async callers. Raises UnknownJob."""
        job_id, _ = await asyncio.to_thread(self._store.id_and_state, id_or_key)
        with self._bell.sleeper(job_id) as sleeper:
            while (await asyncio.to_thread(self._store.id_and_state, job_id))[1] not in FINISHED:
                await sleeper.wait(self._poll_s)
        return await asyncio.to_thread(self.get, job_id)

    async def wait_events(self, id_or_key: str, after: int, timeout_s: float) -> builtins.list[Event]:
        """Events of a job with a number above `after`, as soon as there are some; [] when the time is up or the job has ended.

        Raises UnknownJob.
        """
        job_id, state = await asyncio.to_thread(self._store.id_and_state, id_or_key)
        with self._bell.sleeper(job_id) as sleeper:
            return await self._come(sleeper, 0.0 if state in FINISHED else timeout_s, self.events, job_id, after)

    async def wait_changes(self, after: int, limit: int, timeout_s: float) -> builtins.list[Event]:
        """`changes` as soon as there are some; [] when the time is up."""
        with self._bell.sleeper(None) as sleeper:
            return await self._come(sleeper, timeout_s, self.changes, after, limit)

    async def _come(
        self, sleeper: Sleeper, timeout_s: float, read: Callable[P, builtins.list[Event]], *args: P.args, **named: P.kwargs
    ) -> builtins.list[Event]:
        end = time.monotonic() + timeout_s
        while not (found := await asyncio.to_thread(read, *args, **named)) and (left := end - time.monotonic()) > 0:
            if not await sleeper.wait(min(left, self._poll_s)) and left < self._poll_s:
                return []
        return found

    @property
    def _poll_s(self) -> float:
        return OWN_POLL_S if self.owns_queue else POLL_S

    def interrupt(self, id_or_key: str | None = None) -> bool:
        """Stop a job: a running one at its next step, keeping its pictures; a queued one at once. None: the running pictures.

        One that gathers what others make stops those first and then shows what there is; when none is left, itself.
        """
        job_id = self._find(id_or_key)
        if job_id is None:
            return False
        if self._stop_group(job_id):
            return True
        if self._store.cancel_queued(job_id):
            self._told(job_id)
            return True
        return self._ask(job_id, "interrupt")

    cancel = interrupt

    def skip(self, id_or_key: str | None = None) -> bool:
        """End the current batch of a running job, or of a group the job that runs; the next one goes on."""
        job_id = self._find(id_or_key)
        if job_id is not None and (member := self.group(job_id)[1]) is not None:
            job_id = member
        return job_id is not None and self._ask(job_id, "skip")

    def set_aside(self, id_or_key: str) -> bool:
        """Pause a job that can go on later: a running one stops at its next step and waits, held; a queued one is held.

        False when it has ended. One that cannot go on later stops as `interrupt` has it. Raises UnknownJob.
        """
        job_id = self._store.id_and_state(id_or_key)[0]
        return self.hold(job_id) or self._ask(job_id, "pause")

    def move(self, id_or_key: str, before: str | None) -> bool:
        """Put a queued job right before another one of its lane, whose priority it takes; None: behind all.

        False when either does not wait (any more). Raises UnknownJob, and RequestFault for itself or for another lane.
        """
        other = None if before is None else self._store.id_and_state(before)[0]
        return self._reorder(id_or_key, Order.move, other)

    def set_priority(self, id_or_key: str, priority: int) -> bool:
        """Higher ones first; the job goes behind those that have it already. False when it does not wait. Raises UnknownJob."""
        return self._reorder(id_or_key, Order.set_priority, priority)

    def set_deadline(self, id_or_key: str, deadline_s: float | None) -> bool:
        """By when a queued job must have begun, in seconds since 1970; None: whenever. False when it does not wait. Raises UnknownJob."""
        return self._reorder(id_or_key, Order.set_deadline, deadline_s)

    def hold(self, id_or_key: str) -> bool:
        """A queued job does not begin until it is released. False when it does not wait. Raises UnknownJob."""
        return self._reorder(id_or_key, Order.hold)

    def release(self, id_or_key: str) -> bool:
        """Undo `hold`; the job keeps its place. False when it does not wait. Raises UnknownJob."""
        return self._reorder(id_or_key, Order.release)

    @property
    def paused(self) -> bool:
        return self._store.paused()

    def pause(self) -> None:
        """No further job begins; the running one goes on. Holds over a restart."""
        self._store.set_paused(True)
        self._told("")

    def resume(self) -> None:
        self._store.set_paused(False)
        self._stirred("")

    def live(self, id_or_key: str | None = None) -> Live | None:
        """What the running pictures (or that job, if it runs) are doing. Tells the worker that somebody is looking."""
        return self._crew.live(self._find(id_or_key) if id_or_key is not None else None)

    def live_of(self, job_id: str) -> Live | None:
        """`live` of a job known by its id; reads nothing from the disk."""
        return self._crew.live(job_id)

    def position(self, id_or_key: str) -> tuple[int, int] | None:
        """(place, length) of a queued job in the queue of its lane, counted from 1; None when it does not wait."""
        return self._store.order.position(self._store.id_and_state(id_or_key)[0])

    def queued(self, lane: str = DEVICE, owner: str | None = None) -> int:
        """How many jobs of a lane wait, of one owner or of all."""
        return self._store.order.length(lane, owner)

    def ended(self, owner: str | None = None) -> dict[str, int]:
        """How many jobs ended in each state, of one owner or of all."""
        return self._store.lists.ended(owner)

    def forget(self, ended_before_s: float, owner: str | None = None) -> int:
        """Forget the jobs that ended before a time (seconds since 1970), of an owner or of all; pictures stay. Returns how many went."""
        gone = self._store.forget(ended_before_s, owner)
        self._told("")
        return gone

    def worker(self) -> dict[str, Any]:
        """State of the first worker: state, pid, device, model, memory, message."""
        return self._crew.first()

    def workers(self) -> builtins.list[dict[str, Any]]:
        return self._crew.devices()

    def files_worker(self) -> dict[str, Any]:
        """State of the worker for model files, in the form of `worker`; "resting" while there is no work for it."""
        return self._crew.beside(FILES)

    def train_worker(self) -> dict[str, Any]:
        """State of the worker for training, in the form of `worker`; "resting" while there is no work for it."""
        return self._crew.beside(TRAIN)

    def elsewhere(self, plans: Mapping[str, WorkerPlan]) -> None:
        """See `Crew.elsewhere`."""
        self._crew.elsewhere(plans)

    @property
    def plan(self) -> WorkerPlan:
        """Of a worker on a device here."""
        return self._crew.plan

    def _find(self, id_or_key: str | None) -> str | None:
        if id_or_key is not None:
            return self._store.id_and_state(id_or_key)[0]
        if (current := self._crew.current()) is not None:
            return current
        running = self._store.list(states=("running",), lane=DEVICE, limit=1)
        return running[0].id if running else None

    def _stop_group(self, job_id: str) -> bool:
        """Something of its group was still to be made."""
        waiting, running = self._store.groups.stop(job_id)
        for member in running:
            self._ask(member, "interrupt")
        for member in waiting:
            self._told(member)
        return bool(waiting or running)

    def _ask(self, job_id: str, what: str) -> bool:
        asked = self._store.ask_running(job_id, what)
        if asked:
            self._crew.nudge(job_id)
        return asked

    def _reorder(self, id_or_key: str, change: Callable[Concatenate[Order, str, P], bool], *args: P.args, **named: P.kwargs) -> bool:
        job_id = self._store.id_and_state(id_or_key)[0]
        changed = change(self._store.order, job_id, *args, **named)
        self._stirred(job_id)
        return changed

    def _stirred(self, job_id: str) -> None:
        """The queue has changed: the workers may have something to do, and somebody may wait for it."""
        self._crew.nudge()
        self._told(job_id)

    def _told(self, job_id: str) -> None:
        self._bell.ring(job_id)
