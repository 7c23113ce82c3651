"""Pieces of a job that other workers make: who gets which, and what becomes of them when a worker dies or the job is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.folders import Folders
from modules.jobs import Jobs
from modules.jobs.lending import COLD_FROM, MOST_FAULTS, Lending, Piece
from modules.jobs.pieces import Pieces
from modules.jobs.records import Job, Live
from tests.jobs.test_service import until

RUNNER = "tests.jobs.lending_backend:build"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders.at(tmp_path)


@pytest.fixture
def jobs(folders: Folders) -> Iterator[Jobs]:
    """Two workers."""
    service = Jobs(folders, {}, runner=RUNNER)
    service.start(lanes=("device",))
    service.elsewhere({"second": service.plan})
    until(lambda: [worker["state"] for worker in service.workers()] == ["idle", "idle"])
    yield service
    service.stop()


def submit(jobs: Jobs, **knobs: Any) -> str:
    return jobs.submit("fake", {}, knobs).id


def pieces_of(jobs: Jobs, job_id: str) -> list[dict[str, Any]]:
    job = jobs.wait(job_id, 60)
    assert job.state == "done", job.fault
    return (job.result or {})["made"]


def test_two_workers_share_the_pieces_and_one_ends_the_job(jobs: Jobs, folders: Folders):
    job = submit(jobs, pieces=5, waits_for="made-3")
    made = pieces_of(jobs, job)
    result = jobs.get(job).result or {}
    assert [one["piece"] for one in made] == [0, 1, 2, 3, 4]
    assert made[0]["pid"] == result["pid"]
    assert (made[4]["pid"], made[4]["own"]) == (made[3]["pid"], 16), "the last ones first"
    assert made[4]["pid"] != result["pid"]
    assert [row.id for row in jobs.list()] == [job], "a piece is no job of its own"
    events = [(event.type, event.data.get("index")) for event in jobs.events(job)]
    assert [event for event in events if event[0] in ("picture", "warning")] == [("picture", n) for n in range(5)]


def test_a_job_that_lends_twice_has_each_piece_at_its_place(jobs: Jobs):
    made = pieces_of(jobs, submit(jobs, pieces=3, waits_for="made-2", then="made-5"))
    assert [one["piece"] for one in made] == [0, 1, 2, 3, 4, 5]
    assert made[3]["pid"] == made[0]["pid"]
    for number in (2, 5):
        assert (made[number]["own"], made[number]["place"]) == (4, 2)
        assert made[number]["pid"] != made[0]["pid"], "the second worker made it"


def test_a_worker_that_dies_costs_its_piece_and_nothing_else(jobs: Jobs, folders: Folders):
    made = pieces_of(jobs, job := submit(jobs, pieces=3, dies_at=2, waits_for="made-1"))
    assert [one["piece"] for one in made] == [0, 1, 2]
    assert (folders.data / "marks" / "died-2").exists()
    assert jobs.get(job).attempts == 1
    assert len([event for event in jobs.events(job) if event.type == "picture"]) == 3


def test_stopping_the_job_stops_its_pieces_and_keeps_those_that_came(jobs: Jobs, folders: Folders):
    marks = folders.data / "marks"
    job = submit(jobs, pieces=4, waits_for="never", holds=[2])
    until(lambda: (marks / "made-3").exists() and (marks / "piece-2").exists())
    until(lambda: (live := jobs.live(job)) is not None and live.fraction == pytest.approx(1.5 / 4))
    doing = [worker["doing"] for worker in jobs.workers()]
    assert sorted((one["job"], one["helps"]) for one in doing) == [(job, False), (job, True)]
    assert jobs.interrupt()
    ended = jobs.wait(job, 60)
    assert ended.state == "canceled"
    assert [one["piece"] for one in (ended.result or {})["made"]] == [3]
    until(lambda: (marks / "stopped-2").exists())
    assert pieces_of(jobs, submit(jobs, pieces=1)), "both go on"


def test_one_worker_alone_is_told_nothing_of_it(folders: Folders):
    service = Jobs(folders, {}, runner=RUNNER)
    service.start(lanes=("device",))
    job = service.wait(submit(service, pieces=2), 60)
    service.stop()
    assert (job.result or {})["lends"] is False
    assert not (folders.data / "marks" / "piece-1").exists()


class Maker:
    """A slot as far as lending sees it."""

    def __init__(self, model: str | None = "pear", kind: str = "cuda") -> None:
        self.status: dict[str, Any] = {"model": model, "device": {"kind": kind, "dtype": "float16"}}
        self.told: list[dict[str, Any]] = []

    def tell(self, order: dict[str, Any]) -> None:
        self.told.append(order)

    def live_piece(self, piece: str) -> Live | None:
        return None


def job(job_id: str = "a") -> Job:
    times: dict[str, Any] = {"created_s": 0.0, "started_s": None, "finished_s": None}
    more: dict[str, Any] = {"owner": "ann", "key": None, "attempts": 1, "priority": 0, "result": None, "fault": None}
    return Job(id=job_id, number=1, kind="txt2img", state="running", request={}, resolved={"steps": 3}, **times, **more)


def lent(end: int, lead: Maker, job_id: str = "a") -> Lending:
    lending = Lending(lambda: None)
    lending.hear(lead, job(job_id), {"say": "lend", "first": 0, "end": end, "model": "pear"})
    return lending


def number(piece: Piece | None) -> int | None:
    return None if piece is None else piece.piece


def test_pieces_are_given_out_from_the_last_one_to_where_the_leading_worker_is():
    lead, other = Maker(), Maker()
    lending = lent(4, lead)
    assert lending.take(lead, None) is None, "its own"
    assert number(lending.take(other, None)) == 3
    lending.hear(lead, job(), {"say": "begun", "number": 1})
    assert number(lending.take(other, None)) == 2
    assert lending.take(other, None) is None
    assert [order["number"] for order in lead.told] == [3, 2]


def test_only_a_worker_that_would_make_the_same_gets_one():
    lead = Maker()
    lending = lent(COLD_FROM, lead)
    assert lending.take(Maker(kind="cpu"), None) is None
    assert lending.take(Maker(model="apple"), None) is None, "too little is left to load a model for"
    assert lending.take(Maker(), lambda kind, resolved: False) is None
    assert number(lending.take(Maker(), lambda kind, resolved: resolved["steps"] == 3)) == COLD_FROM - 1
    assert number(lent(COLD_FROM + 1, lead).take(Maker(model="apple"), None)) == COLD_FROM


def test_a_job_whose_pieces_fail_is_left_to_its_own_worker():
    lead, other = Maker(), Maker()
    lending = lent(9, lead)
    for n in range(MOST_FAULTS):
        piece = lending.take(other, None)
        assert piece is not None
        assert piece.piece == 8, "it is tried again"
        lending.came(piece, None)
        assert lead.told[-1] == {"do": "piece", "job": "a", "number": 8, "result": None}, n
    assert lending.take(other, None) is None


def test_a_piece_that_comes_too_late_is_nobodys():
    lead, other = Maker(), Maker()
    lending = lent(3, lead)
    piece = lending.take(other, None)
    assert piece is not None
    lending.close("a")
    assert other.told == [{"do": "interrupt", "job": "a.2"}]
    told = len(lead.told)
    lending.came(piece, {"images": []})
    assert len(lead.told) == told


def test_what_is_lent_anew_ends_what_was_lent_before():
    lead, other = Maker(), Maker()
    lending = lent(3, lead)
    old = lending.take(other, None)
    assert old is not None
    again = {"say": "lend", "first": 3, "end": 6, "kind": "img2img", "resolved": {"steps": 9, "seed": 1}, "share": 0.5}
    lending.hear(lead, job(), {**again, "each": {"2": {"seed": 7}}, "batches": {"2": 0}})
    assert other.told == [{"do": "interrupt", "job": "a.2"}]
    lending.came(old, {"images": []})
    new = lending.take(other, None)
    assert new is not None
    assert (new.id, new.piece, new.batch, new.kind, new.resolved) == ("a.5", 5, 0, "img2img", {"steps": 9, "seed": 7})
    assert [order["do"] for order in lead.told] == ["lent", "lent"], "nothing of the old piece"
    assert lending.elsewhere("a") == 0.0
    lending.came(new, {})
    assert lending.elsewhere("a") == pytest.approx(0.5 / 3)
    assert number(lending.take(other, None)) == 4


def test_nothing_is_given_out_when_it_is_enough():
    lead, other = Maker(), Maker()
    lending = lent(4, lead)
    assert number(lending.take(other, None)) == 3
    lending.hear(lead, job(), {"say": "enough"})
    assert other.told == [{"do": "interrupt", "job": "a.3"}]
    assert lending.take(other, None) is None


def test_pieces_of_a_job_are_numbered_through():
    pieces = Pieces()
    assert [pieces.name(3), pieces.name(2), pieces.name(1)] == [0, 3, 5]


def test_a_worker_does_not_wait_for_ever():
    pieces = Pieces()
    pieces.hear({"do": "lent", "number": 1})
    assert pieces.wait(1, 0.0, lambda: False) is None
    pieces.hear({"do": "lent", "number": 2})
    assert pieces.wait(2, 60.0, lambda: True) is None, "stopped"
    pieces.hear({"do": "lent", "number": 3})
    pieces.hear({"do": "piece", "number": 3, "result": None})
    assert pieces.wait(3, 60.0, lambda: False) is None, "it will not come"
    pieces.hear({"do": "piece", "number": 1, "result": {"late": True}})
    assert pieces.there(1)
    assert pieces.wait(1, 60.0, lambda: False) == {"late": True}
