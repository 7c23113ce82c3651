"""A worker that leads a job, and a second one that helps it, in this process, with the true words between them. Start reading at `Line`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from modules.cluster.fitting import fits
from modules.jobs.lending import Lending
from modules.jobs.records import Job, Live
from modules.jobs.work import work_of
from modules.jobs.worker import RunControl
from tests.model.conftest import FakeControl


class Runs(Protocol):
    """A runner as far as it is asked for pieces."""

    def run(self, job: dict[str, Any], control: Any) -> tuple[str, dict[str, Any]]: ...


class Slot:
    """Of a worker, as far as lending sees it. tell: what the supervisor says to it."""

    def __init__(self, tell: Any) -> None:
        self.status: dict[str, Any] = {"model": None, "device": {"kind": "cpu", "dtype": "float32"}}
        self.tell = tell

    def live_piece(self, piece: str) -> Live | None:
        return None


@dataclass
class Line:
    """The wire of a worker that leads a job, a supervisor at its end, and a second worker, which makes at most `most` pieces of a loan as
    soon as it is lent. made: id, kind and batch of each. stops: the job is stopped when those of the first loan have come.
    """

    other: Runs
    most: int = 2
    stops: bool = False
    made: list[tuple[str, str, int]] = field(default_factory=list[tuple[str, str, int]])
    loans: int = 0
    said: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _left: int = 0

    def __post_init__(self) -> None:
        times: dict[str, Any] = {"created_s": 0.0, "started_s": None, "finished_s": None}
        more: dict[str, Any] = {"owner": "ann", "key": None, "attempts": 1, "priority": 0, "result": None, "fault": None}
        self._job = Job(id="a", number=1, kind="txt2img", state="running", request={}, resolved={}, **times, **more)
        self.control = RunControl(self, self._job.id)  # type: ignore[arg-type]
        self.control.watched_until = float("inf")  # each step is told
        self._lending = Lending(self._help)
        self._lead, self._second = Slot(self.control.pieces.hear), Slot(lambda order: None)

    def send(self, message: dict[str, Any]) -> None:
        message = json.loads(json.dumps(message))
        self.said.append(message)
        if message["say"] in ("lend", "begun", "enough"):
            if message["say"] == "lend":
                self._left, self._second.status["model"] = self.most, message["model"]
                self.loans += 1
            self._lending.hear(self._lead, self._job, message)  # type: ignore[arg-type]

    def _help(self) -> None:
        while self._left and (piece := self._lending.take(self._second, fits)) is not None:  # type: ignore[arg-type]
            self._left -= 1
            work = json.loads(json.dumps(work_of(piece, None, lends=True)))  # type: ignore[arg-type]
            state, result = self.other.run(work, FakeControl())
            assert state == "done"
            self.made.append((work["id"], work["kind"], work["piece"]))
            self._lending.came(piece, json.loads(json.dumps(result)))
        self.control.interrupted = self.control.interrupted or self.stops

    @property
    def steps(self) -> int:
        return sum(message["say"] == "progress" for message in self.said)
