"""Jobs that belong together: queued whole, gathered behind the others, stopped together, and never forgotten half-way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.folders import Folders
from modules.jobs import Jobs, NewJob, new_id
from modules.jobs.store import JobStore
from tests.jobs.test_order import plans_of
from tests.jobs.test_service import RUNNER, until


def group(count: int, key: str | None = None, **knobs: object) -> tuple[NewJob, list[NewJob]]:
    members = [NewJob(id=new_id(), kind="fake", request={}, resolved=dict(knobs), key=f"cell:{n}:{new_id()}") for n in range(count)]
    return NewJob(id=new_id(), kind="fake", request={}, resolved={"gathers": [one.id for one in members]}, key=key), members


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    service = Jobs(Folders.at(tmp_path_factory.mktemp("groups")), {}, runner=RUNNER)
    service.start()
    yield service
    service.stop()


def test_a_group_comes_whole_in_its_order_and_the_same_key_is_the_same_group(store: JobStore) -> None:
    head, members = group(3, key="once")
    job, new = store.groups.submit(head, members, owner="x")
    assert new
    assert store.queue_ids() == [*(one.id for one in members), head.id]
    assert [one.id for one in store.groups.members(job.id)] == [one.id for one in members]
    again, new = store.groups.submit(*group(3, key="once"), owner="x")
    assert (again.id, new) == (head.id, False)
    assert len(store.queue_ids()) == 4
    assert store.groups.counts(head.id) == ({"queued": 3}, None)


def test_the_job_that_gathers_waits_for_those_that_run(store: JobStore) -> None:
    head, members = group(2)
    store.groups.submit(head, members, owner="x")
    first, second = store.claim(), store.claim()
    assert (first and first.id, second and second.id) == tuple(one.id for one in members)
    assert store.claim() is None
    assert not store.order.ready()
    other, _ = store.submit("fake", {}, {}, owner="x", key=None)
    claimed = store.claim()
    assert claimed is not None
    assert claimed.id == other.id, "others pass it"
    for one in members:
        store.finish(one.id, "done", result={"pictures": [{"path": one.id}], "seconds": {"total": 1.0}})
    claimed = store.claim()
    assert claimed is not None
    assert claimed.id == head.id
    told = store.groups.states([one.id for one in members])
    assert [told[one.id]["pictures"][0]["path"] for one in members] == [one.id for one in members]


def test_nothing_of_a_group_is_forgotten_while_it_is_under_way(store: JobStore) -> None:
    head, members = group(2)
    store.groups.submit(head, members, owner="x")
    alone, _ = store.submit("fake", {}, {}, owner="x", key=None)
    for job_id in (members[0].id, alone.id):
        store.finish(job_id, "done", result={})
    assert store.forget(time.time() + 1) == 1
    assert store.get(members[0].id).state == "done"
    for job_id in (members[1].id, head.id):
        store.finish(job_id, "done", result={})
    assert store.forget(time.time() + 1) == 3


def test_every_question_about_groups_goes_through_an_index(store: JobStore) -> None:
    head, members = group(2)
    store.groups.submit(head, members, owner="x")
    groups = store.groups
    plans = plans_of(
        store, lambda: (groups.members(head.id), groups.counts(head.id), groups.of_keys("cell:1:"), groups.stop(head.id), store.claim())
    )
    assert len(plans) > 4
    assert not [plan for plan in plans if "SCAN jobs" in plan and "INDEX" not in plan], plans


def test_the_worker_is_given_what_the_others_made(jobs: Jobs) -> None:
    head, members = group(2, steps=1)
    job = jobs.submit_group(head, members)
    done = jobs.wait(job.id, 20)
    assert done.state == "done"
    assert [jobs.get(one.id).state for one in members] == ["done", "done"]
    assert all((jobs.get(one.id).finished_s or 0) <= (done.started_s or 0) for one in members)


def test_stopping_the_one_that_gathers_stops_the_others_and_lets_it_show_what_there_is(jobs: Jobs) -> None:
    head, members = group(4, steps=60, step_s=0.02)
    jobs.submit_group(head, members)
    until(lambda: jobs.group(head.id)[1] is not None)
    assert jobs.skip(head.id)
    assert jobs.cancel(head.id)
    done = jobs.wait(head.id, 20)
    assert done.state == "done", "it was not stopped itself"
    assert {jobs.get(one.id).state for one in members} <= {"done", "canceled"}
    assert jobs.get(members[-1].id).state == "canceled"
    assert not jobs.cancel(head.id)
