"""Memory over time: what the program's processes and the device hold, sampled by a thread that costs next to nothing.

An hour is kept finely and a day coarsely, in memory alone. Start reading at `Watch`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from modules.machine import sensors
from modules.machine.sensors import Card

EVERY_S = 5.0
HOUR = int(3600 / EVERY_S)
COARSE = 24  # fine samples that become one coarse one, of which each figure is the highest
DAY = int(86400 / EVERY_S / COARSE)
LOOKED_S = 60.0  # so long after somebody looked, the driver's tool is asked too
ASK_EVERY_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Bytes, at a time in seconds since 1970. page: the web process; workers: all processes under it; machine: all that is in use.

    device: of the card, by everybody; None where nobody knows.
    """

    time_s: float
    page: int
    workers: int
    machine: int
    device: int | None = None


class Watch:
    """memory: what each worker reported last, in the shape of /sdapi/v1/memory. also: called after each sample, on the thread."""

    def __init__(self, memory: Callable[[], Sequence[Mapping[str, Any]]], *, also: Callable[[], object] | None = None) -> None:
        self._memory = memory
        self._also = also
        self._process = psutil.Process()
        self._fine: deque[Sample] = deque(maxlen=HOUR)
        self._coarse: deque[Sample] = deque(maxlen=DAY)
        self._lock = threading.Lock()
        self._looked = self._asked = 0.0
        self._cards: list[Card] = []
        self._ending = threading.Event()

    def start(self) -> None:
        """Begin to sample."""
        threading.Thread(target=self._run, daemon=True, name="memory-watch").start()

    def stop(self) -> None:
        """No further sample."""
        self._ending.set()

    def looked(self) -> None:
        """Somebody looks at the figures: they may cost a little more for a while."""
        self._looked = time.monotonic()

    def cards(self) -> list[Card]:
        """What the driver's tool said lately. Asks it when that is too long ago."""
        if time.monotonic() - self._asked > ASK_EVERY_S or not self._asked:
            self._asked = time.monotonic()
            self._cards = sensors.cards()
        return self._cards

    def samples(self, span: str) -> list[dict[str, Any]]:
        """JSON-ready, old ones first. span: "hour" or "day"."""
        with self._lock:
            if not self._fine:
                self._fine.append(self._take())
            return [asdict(sample) for sample in (self._fine if span == "hour" else [*self._coarse, *list(self._fine)[-1:]])]

    def step(self) -> None:
        """Take one sample."""
        if time.monotonic() - self._looked < LOOKED_S:
            self.cards()
        with self._lock:
            self._fine.append(self._take())
            last = list(self._fine)[-COARSE:]
            if not self._coarse or last[-1].time_s - self._coarse[-1].time_s >= EVERY_S * COARSE:
                self._coarse.append(highest(last))
        if self._also is not None:
            self._also()

    def _run(self) -> None:
        while not self._ending.wait(EVERY_S if self._fine else 0.0):
            self.step()

    def _take(self) -> Sample:
        machine = psutil.virtual_memory()
        return Sample(
            time_s=round(time.time(), 1),
            page=_held(self._process),
            workers=sum(_held(child) for child in self._process.children(recursive=True)),
            machine=machine.total - machine.available,
            device=self._device(),
        )

    def _device(self) -> int | None:
        fresh = [card.used_bytes for card in self._cards if card.used_bytes is not None]
        if fresh and time.monotonic() - self._asked < 2 * ASK_EVERY_S:
            return sum(fresh)
        told = [one["cuda"]["system"]["used"] for one in self._memory() if "system" in one.get("cuda", {})]
        return sum(told) if told else None


def highest(samples: Sequence[Sample]) -> Sample:
    """One sample for several: the latest time, the highest of each figure."""
    known = [s.device for s in samples if s.device is not None]
    return Sample(
        time_s=samples[-1].time_s,
        page=max(s.page for s in samples),
        workers=max(s.workers for s in samples),
        machine=max(s.machine for s in samples),
        device=max(known) if known else None,
    )


def _held(process: psutil.Process) -> int:
    """Main memory of a process in bytes; 0 when it has just ended or may not be asked."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
