"""Whose turn it is where several workers share a lane: users by turns, jobs for which a model is loaded, and only jobs that fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.jobs.order import LOOKED_AT, WARM_AMONG, Taker
from modules.jobs.store import MAX_LOSSES, JobStore

SHARED = Taker(shares=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "jobs.sqlite")
    yield store
    store.close()


def submit(store: JobStore, *, owner: str = "ann", model: str = "pear", kind: str = "txt2img", priority: int = 0, **resolved: Any) -> str:
    data = {"checkpoint": {"title": model}, **resolved}
    return store.submit(kind, {}, data, owner=owner, key=None, priority=priority)[0].id


def claim(store: JobStore, taker: Taker | None) -> str | None:
    job = store.claim("device", taker)
    return job.id if job else None


def test_users_get_workers_by_turns(store: JobStore):
    anns = [submit(store) for _ in range(4)]
    bobs = [submit(store, owner="bob") for _ in range(2)]
    assert [claim(store, SHARED) for _ in range(6)] == [anns[0], bobs[0], anns[1], bobs[1], anns[2], anns[3]]
    assert claim(store, SHARED) is None


def test_nobody_is_behind_however_many_of_somebody_elses(store: JobStore):
    many = [submit(store) for _ in range(LOOKED_AT + 5)]
    bobs = submit(store, owner="bob")
    assert [claim(store, SHARED) for _ in range(3)] == [many[0], bobs, many[1]]


def test_one_worker_alone_keeps_the_order(store: JobStore):
    ids = [submit(store), submit(store), submit(store, owner="bob")]
    assert [claim(store, None) for _ in ids] == ids


def test_priority_comes_before_turns(store: JobStore):
    low, high, higher = submit(store, owner="bob"), submit(store, priority=1), submit(store, priority=1)
    assert [claim(store, SHARED) for _ in range(3)] == [high, higher, low]


def test_a_job_goes_where_its_model_is(store: JobStore):
    pear, apple = submit(store), submit(store, model="apple")
    assert claim(store, Taker(shares=True, model="apple")) == apple
    assert claim(store, Taker(shares=True, model="apple")) == pear, "better than waiting"


def test_nothing_is_preferred_far_down_the_queue(store: JobStore):
    ids = [submit(store) for _ in range(WARM_AMONG)]
    submit(store, model="apple")
    assert claim(store, Taker(shares=True, model="apple")) == ids[0]


def test_only_jobs_that_fit(store: JobStore):
    submit(store, kind="train")
    wanted = submit(store, size=3)
    taker = Taker(fits=lambda kind, data: kind == "txt2img" and data["size"] == 3)
    assert claim(store, taker) == wanted
    assert claim(store, taker) is None
    assert store.count("queued") == 1


def test_a_lost_machine_is_no_jobs_fault_until_it_happens_too_often(store: JobStore):
    job = submit(store)
    for n in range(MAX_LOSSES):
        assert claim(store, None) == job
        lost = store.requeue(job, fault={"kind": "worker_died", "message": f"gone {n}"}, counts=False)
        assert (lost.state, lost.attempts) == ("queued", 0)
    states: list[str] = []
    while claim(store, None):
        states.append(store.requeue(job, fault={"kind": "worker_died", "message": "gone"}, counts=False).state)
    assert states == ["queued", "parked"]
