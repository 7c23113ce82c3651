"""Batches in the order that follows from the seed, read ahead on a thread; and the place in that order, from which one can go on.

Start reading at `Feed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from modules.faults import RequestFault
from modules.request.train import TrainConfig
from modules.train.company import Company
from modules.train.kept import Kept
from modules.train.trainee import Dataset, Example

AHEAD = 2  # batches


@dataclass(frozen=True)
class Position:
    """Where a training stands, between two steps of the optimizer.

    stage, stage_step: which stage, and its steps done; step: steps done over all stages; micro: batches done, which noise follows from;
    epoch, batch: the next batch is order(epoch)[batch].
    """

    stage: int = 0
    stage_step: int = 0
    step: int = 0
    micro: int = 0
    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Batch:
    """examples: this process's; rows: their places in the whole batch; instances, priors: counts in the whole batch.

    micro: its number; epoch: its epoch.
    """

    examples: list[Example]
    rows: tuple[int, ...]
    instances: int
    priors: int
    micro: int
    epoch: int


class Feed:
    """Batches from a position on. `place` is the position of the next one, without what the loop counts itself."""

    def __init__(self, config: TrainConfig, dataset: Dataset, kept: Kept, company: Company, start: Position) -> None:
        self._config = config
        self._dataset = dataset
        self._kept = kept
        self._company = company
        self._orders: dict[int, list[list[int]]] = {}
        self.place = start
        self._ahead: list[Future[Batch]] = []
        self._read_to = start
        self._reader: ThreadPoolExecutor | None = None

    @contextmanager
    def running(self) -> Iterator[Feed]:
        """Read ahead while inside."""
        with ThreadPoolExecutor(1, thread_name_prefix="pictures") as self._reader:
            try:
                yield self
            finally:
                for waiting in self._ahead:
                    waiting.cancel()

    def next(self) -> Batch:
        """The next batch; what is to be kept of it is encoded."""
        if self._reader is None:
            raise RuntimeError("a Feed is read inside of running()")
        while len(self._ahead) < AHEAD:
            at = self._skipped(self._read_to)
            self._read_to = replace(at, micro=at.micro + 1, batch=at.batch + 1)
            self._ahead.append(self._reader.submit(self._read, at))
        batch = self._ahead.pop(0).result()
        at = self._skipped(self.place)
        self.place = replace(at, micro=at.micro + 1, batch=at.batch + 1)
        return replace(batch, examples=self._kept.given(batch.examples))

    def order(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch. Raises RequestFault("pictures") when there are none."""
        found = self._orders.get(epoch)
        if found is None:
            found = self._dataset.order(epoch, self._config.seed)
            if not found:
                raise RequestFault("pictures", "there is nothing to train from: the session has no pictures that can be used")
            self._orders = {each: rows for each, rows in self._orders.items() if each >= epoch - 2} | {epoch: found}
        return found

    def share_of_epoch(self) -> float:
        """The epochs done, with the share of the running one."""
        return round(self.place.epoch + self.place.batch / len(self.order(self.place.epoch)), 4)

    def _skipped(self, at: Position) -> Position:
        """At the end of an epoch: the beginning of the next."""
        return replace(at, epoch=at.epoch + 1, batch=0) if at.batch >= len(self.order(at.epoch)) else at

    def _read(self, at: Position) -> Batch:
        indices = self.order(at.epoch)[at.batch]
        rows = self._company.share(indices)
        examples = [self._kept.example(self._dataset, indices[row], at.epoch) for row in rows]
        priors = sum(self._is_prior(indices, row, rows, examples, at.epoch) for row in range(len(indices)))
        return Batch(examples, tuple(rows), len(indices) - priors, priors, at.micro, at.epoch)

    def _is_prior(self, indices: list[int], row: int, mine: range, examples: list[Example], epoch: int) -> bool:
        if row in mine:
            return examples[row - mine.start].is_prior
        return self._config.prior_preservation and self._dataset.example(indices[row], epoch, pixels=False).is_prior
