"""The workers of a queue: one slot a device, and beside them one for model files and one for training, which live only while there is work.

Knows slots; knows nothing about waiting or locks. Start reading at `Crew.start`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modules.folders import Folders
from modules.jobs.joined import Joining, never
from modules.jobs.lending import Lending
from modules.jobs.process import Fits, WorkerPlan
from modules.jobs.records import DEVICE, Live
from modules.jobs.store import JobStore
from modules.jobs.supervisor import Slot

_OFF: dict[str, Any] = {"state": "off", "pid": None, "device": {}, "model": None, "memory": {}, "message": ""}


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A worker that lives only while its lane has work. runner: "module:function"; idle_s: how long it stays without any.

    hint: what a person may try when it dies under a job. stall_s, farewell_s: see `WorkerPlan`.
    """

    runner: str
    idle_s: float
    hint: str
    stall_s: float | None = None
    farewell_s: float = 0.0


class Crew:
    """Empty until `start`. told: called with the id of a job to which something happened. beside: lane -> its worker."""

    def __init__(
        self,
        store: JobStore,
        folders: Folders,
        flags: dict[str, Any],
        told: Callable[[str], None],
        *,
        runner: str,
        beside: Mapping[str, Beside],
        fits: Fits | None = None,
        joining: Joining = never,
    ) -> None:
        self._store = store
        self._told = told
        self._plan = WorkerPlan(
            runner=runner,
            folders=folders.to_data(),
            flags=flags,
            program=folders.program,
            log=folders.logs / "worker.log",
            joining=joining,
            fits=fits,
        )
        self._plans_beside = {
            lane: dataclasses.replace(
                self._plan,
                runner=one.runner,
                log=folders.logs / f"{lane}.log",
                lane=lane,
                idle_s=one.idle_s,
                hint=one.hint,
                stall_s=one.stall_s,
                farewell_s=one.farewell_s,
                fits=None,
                joining=never,
            )
            for lane, one in beside.items()
        }
        first = flags.get("device_id")
        self._first_device = int(first) if first is not None else 0
        self._all_devices = first is None
        self._devices: list[Slot] = []
        self._far: dict[str, Slot] = {}
        self._lending = Lending(self.nudge)
        self._beside: dict[str, Slot] = {}

    def start(self, lanes: Iterable[str]) -> None:
        """Begin to run these lanes; the other devices follow when the first worker has told how many there are."""
        wanted = frozenset(lanes)
        for lane, plan in self._plans_beside.items():
            if lane in wanted:
                self._beside[lane] = Slot(self._store, plan, 0, self._heard, self._make_room)
                self._beside[lane].start()
        if DEVICE in wanted:
            self._add(self._first_device)

    def stop(self) -> None:
        """End the workers; what they ran goes back to the queue."""
        for slot in self.slots():
            slot.stop()
        self._devices.clear()
        self._far.clear()
        self._beside.clear()

    def slots(self) -> list[Slot]:
        """Those of the devices here, those elsewhere, then those beside them."""
        return [*self._devices, *self._far.values(), *self._beside.values()]

    def elsewhere(self, plans: Mapping[str, WorkerPlan]) -> None:
        """The workers that there can be on other machines, by name. Those that are not named any more are ended, their jobs go back."""
        for name in [name for name in self._far if name not in plans]:
            self._far.pop(name).stop()
        for name, plan in plans.items():
            if name not in self._far:
                self._far[name] = self._maker(plan, 0)
                self._far[name].start()

    @property
    def plan(self) -> WorkerPlan:
        """Of a worker on a device here."""
        return self._plan

    def nudge(self, job_id: str | None = None) -> None:
        """There may be something to do, for all or for the one that runs this job."""
        for slot in self.slots():
            if job_id is None or slot.has(job_id):
                slot.nudge()

    def live(self, job_id: str | None) -> Live | None:
        """What that job does, or, for None, the running pictures. Tells the worker that somebody is looking."""
        found = (slot.live(job_id) for slot in (self._makers() if job_id is None else self.slots()))
        live = next((live for live in found if live is not None), None)
        more = self._lending.elsewhere(live.job) if live is not None else 0.0
        if live is None or not more:
            return live
        return _further(live, more)

    def current(self) -> str | None:
        """Id of the pictures that are being made, of those of the first device that makes any."""
        return next((running for slot in self._makers() if (running := slot.running()) is not None), None)

    def _makers(self) -> list[Slot]:
        """Those that make pictures, here and elsewhere."""
        return [*self._devices, *self._far.values()]

    def devices(self) -> list[dict[str, Any]]:
        """State of each device's worker: state, pid, device, model, memory, message, doing (see `Hand.doing`).

        And of those elsewhere node, host, address, card, place, and about: what lies there.
        """
        return [{**slot.status, "doing": slot.doing()} for slot in self._makers()]

    def first(self) -> dict[str, Any]:
        """State of the first device's worker."""
        return self.devices()[0] if self._devices else {**_OFF}

    def beside(self, lane: str) -> dict[str, Any]:
        """State of the worker of a lane beside the devices; "resting" while there is no work for it."""
        slot = self._beside.get(lane)
        return dict(slot.status) if slot else {**_OFF}

    def _make_room(self, asking: Slot) -> None:
        """Every device's worker puts its model away, at once or after the job in hand; the one that asks hears when all have."""
        waiting = [*self._devices]
        left = {id(slot) for slot in waiting}

        def given(slot: Slot) -> None:
            left.discard(id(slot))
            if not left:
                asking.tell({"do": "room", "job": asking.running()})

        if not waiting:
            asking.tell({"do": "room", "job": asking.running()})
        for slot in waiting:
            slot.give_room(given)

    def _add(self, index: int) -> None:
        slot = self._maker(self._plan, index)
        self._devices.append(slot)
        slot.start()

    def _maker(self, plan: WorkerPlan, index: int) -> Slot:
        return Slot(self._store, plan, index, self._heard, idle=self._idle, shares=lambda: len(self._makers()) > 1, lending=self._lending)

    def _idle(self) -> int:
        """Devices whose worker could begin a job."""
        return sum(slot.idle() for slot in self._makers())

    def _heard(self, job_id: str) -> None:
        if self._all_devices and len(self._devices) == 1 and (count := self._devices[0].status["device"].get("count", 1)) > 1:
            for index in range(1, count):
                self._add(index)
        if job_id:
            self._told(job_id)


def _further(live: Live, more: float) -> Live:
    """With what others have made of the job; the time that is left is taken to shrink as the work that is left does."""
    fraction = min(1.0, live.fraction + more)
    eta_s = live.eta_s and live.eta_s * (1 - fraction) / max(1 - live.fraction, 1e-6) * live.fraction / fraction
    return dataclasses.replace(live, fraction=fraction, eta_s=eta_s)
