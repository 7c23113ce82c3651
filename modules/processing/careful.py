"""Memory before, during and after a run: the policy to begin with, the next one when memory runs out, and what is learnt of it.

Knows the bench, the slot and the book; knows nothing about stages. Start reading at `Careful.begin`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from modules.faults import OutOfMemory
from modules.hardware import policies
from modules.hardware.bench import Bench
from modules.hardware.plan import Need, peak
from modules.processing.careful_choice import choice_for
from modules.processing.memory_book import MemoryBook
from modules.processing.memory_need import spot_of
from modules.processing.quantising import quantisers_of
from modules.processing.slot import Slot
from modules.request import ResolvedRequest

NOTE = "memory policy"  # under which name the sentence about it stands among a run's notes
Made = TypeVar("Made")


def want_of_memory(error: BaseException) -> str:
    """Of which memory there was too little, in words; "" when the error is another one. torch says it in several ways."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return str(error).splitlines()[0] if str(error) else "out of memory"
    said = str(error)
    main = isinstance(error, RuntimeError) and ("can't allocate memory" in said or "DefaultCPUAllocator" in said)
    return "not enough main memory" if main else ""


@dataclass(kw_only=True)
class Careful:
    """bench, slot: of the worker; book: what is known of memory; release(): let go of everything, True when something else was held that
    may have been in the way. settle(): wait for those who work with a model that is about to be moved. ran_out: memory ran out in the
    present run.
    """

    bench: Bench
    slot: Slot
    book: MemoryBook
    release: Callable[[], bool]
    settle: Callable[[], object] = lambda: None
    ran_out: bool = False
    _need: Need | None = None

    def begin(self, resolved: ResolvedRequest) -> str:
        """Take the policy for a run; a sentence about it where it is not the fastest that the flags allow."""
        self.ran_out = False
        bench = self.bench
        self._need = self.book.counting.need(resolved, bench.dtype, bench.vae_dtype)
        choice = choice_for(resolved, self._need, self.book, bench.to_data() | {"room_bytes": bench.room_bytes()})
        self._need = self._need and self._need.on(bench.device.kind, choice.on_cpu)
        if (choice.policy, choice.on_cpu) != (bench.policy, bench.on_cpu):
            self.settle()
            self.slot.set_aside()
            bench.policy, bench.on_cpu = choice.policy, choice.on_cpu
        return choice.why

    def carried_out(
        self, resolved: ResolvedRequest, make: Callable[[], Made], stage: Callable[[], str], warn: Callable[[str], None], reason: str = ""
    ) -> Made:
        """What make() gives, asked again under the next policy as long as memory runs out. stage(): what was being made, in words.

        reason: of which memory there was too little already. Raises OutOfMemory when there is no policy left.
        """
        while True:
            if reason:
                self.settle()
                if not self.release():
                    self._step_down(resolved, reason)
                    policy = self.bench.policy
                    warn(f"Memory ran out while {stage()}; that was done again with the memory policy {policy}, from the same seed.")
            try:
                made = make()
            except (RuntimeError, MemoryError) as error:
                reason = want_of_memory(error)
                if not reason:
                    raise
            else:
                if self.ran_out:
                    self.book.note_ran_out(spot_of(resolved), self.bench.policy)
                return made

    def _step_down(self, resolved: ResolvedRequest, reason: str) -> None:
        self.ran_out = True
        small = quantisers_of(resolved.checkpoint, resolved.settings)
        while self.bench.step_down():
            if not any(policies.POLICIES.get(self.bench.policy).apart(name) for name in small):
                return
        largest = resolved.hires or resolved
        size = f"{resolved.batch_size} x {largest.width}x{largest.height}"
        raise OutOfMemory(
            f"There is not enough memory for {size} ({reason}), even with {self.bench.policy}. Make it smaller or fewer at once, or set "
            "Quantise UNet or transformer."
        )

    def ended(self, peak_bytes: int) -> None:
        """Learn from what a run needed. One in which memory ran out says nothing: it went through several policies."""
        if self._need is not None and peak_bytes and not self.ran_out:
            self.book.note_measured(self._need, self.bench.policy, peak_bytes - peak(self._need, self.bench.policy))
