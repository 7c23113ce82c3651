"""Pieces of a job that other workers of its lane make meanwhile. One worker leads the job and ends it; it takes the pieces as they come.

Which pieces there are is told by the worker that leads; they are given out from the last one on, while it works from the first one on.
What does not come back it makes itself, so nothing here needs to survive a crash. Knows slots by a few words; knows nothing about what a
piece is. Start reading at `Lending.hear`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from modules.jobs.records import Job, Live

COLD_FROM = 3  # so many pieces must be left for a worker that has first to load the model
MOST_FAULTS = 2  # of the pieces of one job; then it is left to the worker that leads it
SAME = ("kind", "dtype")  # of two devices, for pictures that come out the same
Fits = Callable[[str, dict[str, Any]], bool]


class Maker(Protocol):
    """A slot, as far as it matters here."""

    status: dict[str, Any]

    def tell(self, order: dict[str, Any]) -> None: ...

    def live_piece(self, piece: str) -> Live | None: ...


@dataclass(frozen=True, kw_only=True)
class Piece(Job):
    """A piece as a job in a slot's hand; no row of the store. of: id of the job; piece: its number among all pieces that this job ever had;
    batch: which of what its resolved data asks for, from 0."""

    of: str
    piece: int
    batch: int


@dataclass
class _Loan:
    """A job of which pieces may be made elsewhere. left: those that nobody has begun; out: those that are made elsewhere; came: those
    that the leading worker has but does not need yet. at: which one that worker is at."""

    job: Job
    lead: Maker
    offer: Mapping[str, Any]
    left: list[int]
    out: dict[int, Maker] = field(default_factory=dict[int, Maker])
    came: set[int] = field(default_factory=set[int])
    at: int = 0
    faults: int = 0

    def piece(self, number: int) -> Piece:
        offer, place = self.offer, number - self.offer["first"]
        own: dict[str, Any] = {f.name: getattr(self.job, f.name) for f in fields(Job)}
        own["id"], own["kind"] = f"{self.job.id}.{number}", offer.get("kind") or self.job.kind
        different = (offer.get("each") or {}).get(str(place), {})
        own["resolved"] = {**(offer.get("resolved") or self.job.resolved), **different}
        return Piece(**own, of=self.job.id, piece=number, batch=(offer.get("batches") or {}).get(str(place), place))


class Lending:
    """Of one lane; a job has one loan at a time. wake: called when there is something to be taken. Safe to use from several threads."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._loans: dict[str, _Loan] = {}

    def hear(self, lead: Maker, job: Job, message: Mapping[str, Any]) -> None:
        """The worker that leads a job says: "lend", which pieces others may make (those behind first, to before end; the rest as in
        `RunControl.lend`), in place of those lent before; "begun", that it is at a piece itself; "enough", that it needs no more of them.
        """
        if message["say"] != "begun":
            self.close(job.id)
        with self._lock:
            if message["say"] == "lend":
                first, end = message["first"], message["end"]
                self._loans[job.id] = _Loan(job, lead, message, [*range(first + 1, end)], at=first)
            elif (loan := self._loans.get(job.id)) is not None:
                loan.at = message["number"]
                loan.left = [number for number in loan.left if number > message["number"]]
                loan.came = {number for number in loan.came if number > message["number"]}
        if message["say"] == "lend":
            self._wake()

    def take(self, maker: Maker, fits: Fits | None) -> Piece | None:
        """A piece for a worker that has nothing else to do; None when there is none that it could make as the leading one would."""
        with self._lock:
            found = [loan for loan in self._loans.values() if loan.lead is not maker and loan.left and _suits(loan, maker)]
            for loan in sorted(found, key=lambda loan: -len(loan.left)):
                piece = loan.piece(loan.left[-1])
                if fits is None or fits(piece.kind, piece.resolved):
                    loan.left.pop()
                    loan.out[piece.piece] = maker
                    break
            else:
                return None
        loan.lead.tell({"do": "lent", "job": piece.of, "number": piece.piece})
        return piece

    def came(self, piece: Piece, result: dict[str, Any] | None) -> None:
        """A piece is made; result: None when it is not, for whatever reason."""
        with self._lock:
            loan = self._loans.get(piece.of)
            if loan is None or loan.out.pop(piece.piece, None) is None:
                return
            if result is not None:
                loan.came.add(piece.piece)
            else:
                loan.faults += 1
                again = {piece.piece} if piece.piece > loan.at else set[int]()
                loan.left = [] if loan.faults >= MOST_FAULTS else sorted({*loan.left} | again)
        loan.lead.tell({"do": "piece", "job": piece.of, "number": piece.piece, "result": result})
        self._wake()

    def close(self, job_id: str) -> None:
        """No more pieces are needed; those that are being made are stopped."""
        with self._lock:
            loan = self._loans.pop(job_id, None)
        for number, maker in [] if loan is None else loan.out.items():
            maker.tell({"do": "interrupt", "job": f"{job_id}.{number}"})

    def elsewhere(self, job_id: str) -> float:
        """How much of a job was made elsewhere and is not counted by the worker that leads it: 0 to 1."""
        with self._lock:
            loan = self._loans.get(job_id)
            if loan is None:
                return 0.0
            out, came, offer = {**loan.out}, len(loan.came), loan.offer
        lives = [maker.live_piece(f"{job_id}.{number}") for number, maker in out.items()]
        made = came + sum(live.step / live.steps for live in lives if live is not None and live.steps)
        return offer.get("share", 1.0) * made / (offer["end"] - offer["first"])


def _suits(loan: _Loan, maker: Maker) -> bool:
    """The same kind of device, and the model is loaded or worth loading."""
    own, other = loan.lead.status, maker.status
    same = all(own["device"].get(name) == other["device"].get(name) for name in SAME)
    model = loan.offer.get("model")
    return same and (model is None or other["model"] == model or len(loan.left) >= COLD_FROM)
