"""Jobs that are taken along when one begins: which, how many, and that each stays a job of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from modules.folders import Folders
from modules.jobs import Job, Jobs
from modules.jobs.joined import count_joined
from modules.jobs.store import JobStore
from tests.jobs.test_service import until

RUNNER = "tests.jobs.saving_backend:build"
MOST = 4


def joining(kind: str, resolved: dict[str, Any], device: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """Jobs of the same "like" go together."""
    return (resolved["like"], resolved.get("pictures", 1), MOST) if "like" in resolved else None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    made = JobStore(tmp_path / "jobs.sqlite")
    yield made
    made.close()


def add(store: JobStore, owner: str = "local", priority: int = 0, **knobs: Any) -> Job:
    return store.submit("fake", {}, knobs, owner=owner, key=None, priority=priority)[0]


def taken(store: JobStore, workers: int = 1) -> list[str]:
    first = store.claim()
    assert first is not None
    return [job.id for job in store.claim_joined("device", lambda waiting: count_joined(first, waiting, joining, {}, workers), MOST)]


def test_those_that_come_next_go_along_whoever_asked(store: JobStore) -> None:
    first, second, third = add(store, like="a"), add(store, "ann", like="a"), add(store, "bob", like="a")
    assert taken(store) == [second.id, third.id]
    assert [store.get(job.id).state for job in (first, second, third)] == ["running"] * 3
    assert [store.get(job.id).attempts for job in (first, second, third)] == [1] * 3
    assert [e.data.get("state") for e in store.events(third.id)] == ["queued", "running"]


def test_none_is_overtaken(store: JobStore) -> None:
    add(store, like="a")
    other, late = add(store, like="b"), add(store, like="a")
    assert taken(store) == []
    assert store.queue_ids() == [other.id, late.id]


def test_the_order_is_that_of_priorities_and_what_is_held_or_late_stays(store: JobStore) -> None:
    low, first = add(store, like="a"), add(store, priority=1, like="a")
    held, late, next_one = (add(store, priority=1, like="a") for _ in range(3))
    store.order.hold(held.id)
    store.order.set_deadline(late.id, 1.0)
    assert taken(store) == [next_one.id, low.id]
    assert store.get(first.id).state == "running"
    assert {store.get(job.id).state for job in (held, late)} == {"queued"}


def test_no_more_than_the_limit_of_pictures(store: JobStore) -> None:
    add(store, like="a", pictures=2)
    second = add(store, like="a")
    add(store, like="a", pictures=2)
    add(store, like="a")
    assert taken(store) == [second.id]


def test_a_job_that_was_cut_off_before_is_neither_taken_along_nor_takes_any(store: JobStore) -> None:
    first, second = add(store, like="a"), add(store, like="a")
    store.claim()
    store.requeue(first.id, fault=None)
    assert taken(store) == []
    store.finish(first.id, "done")
    third = add(store, like="a")
    store.claim()
    store.requeue(second.id, fault=None)
    store.order.move(second.id, None)
    assert taken(store) == []
    assert store.queue_ids() == [second.id]
    assert store.get(third.id).state == "running"


def test_idle_workers_share_what_fits(store: JobStore) -> None:
    jobs = [add(store, like="a") for _ in range(4)]
    assert taken(store, workers=2) == [jobs[1].id]


def test_a_job_that_joins_nothing_is_alone(store: JobStore) -> None:
    add(store)
    add(store, like="a")
    assert taken(store) == []


# ---- through the supervisor and a worker process ------------------------------------------------------------------------


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks"


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    service = Jobs(Folders.at(tmp_path), {}, runner=RUNNER, joining=joining)
    service.pause()
    service.start()
    yield service
    service.stop()


def submit(jobs: Jobs, owner: str = "local", **knobs: Any) -> Job:
    return jobs.submit("fake", {}, {"like": "a", **knobs}, owner=owner)


def told(jobs: Jobs, job: Job) -> tuple[str, int, int]:
    """(state, jobs in the batch, attempt)."""
    ended = jobs.wait(job.id, 40)
    result = ended.result or {}
    return ended.state, result.get("together", 0), result.get("attempt", 0)


def test_each_has_its_own_end_and_story(jobs: Jobs) -> None:
    queued = [submit(jobs, owner=f"owner {n}") for n in range(6)]
    jobs.resume()
    assert [told(jobs, job) for job in queued] == [("done", 4, 1)] * 4 + [("done", 2, 1)] * 2
    for job in queued:
        assert [e.data.get("state") or e.type for e in jobs.events(job.id)] == ["queued", "running", "done"]


def test_a_member_that_is_cancelled_ends_alone(jobs: Jobs) -> None:
    first, second, third = submit(jobs), submit(jobs, ends_stopped=True), submit(jobs)
    jobs.resume()
    until(lambda: (live := jobs.live(second.id)) is not None and live.step == 1)
    assert jobs.cancel(second.id)
    assert [told(jobs, job)[0] for job in (first, second, third)] == ["done", "canceled", "done"]


def test_a_fault_of_one_is_its_own(jobs: Jobs) -> None:
    first, bad, third = submit(jobs), submit(jobs, fails=True), submit(jobs)
    jobs.resume()
    assert [told(jobs, job)[0] for job in (first, bad, third)] == ["done", "failed", "done"]


def test_a_crash_returns_all_and_each_is_tried_again_by_itself(jobs: Jobs, marks: Path) -> None:
    queued = [submit(jobs, dies_once_after="die"), submit(jobs), submit(jobs)]
    jobs.resume()
    until(lambda: jobs.get(queued[2].id).state == "running")
    assert jobs.cancel(queued[1].id)
    (marks / "die").touch()
    assert [told(jobs, job) for job in queued] == [("done", 1, 2), ("canceled", 0, 0), ("done", 1, 2)]


def test_a_stop_in_order_returns_all_and_no_attempt_is_lost(tmp_path: Path) -> None:
    service = Jobs(Folders.at(tmp_path), {}, runner=RUNNER, joining=joining)
    queued = [submit(service, waits_for="never"), submit(service)]
    service.start()
    until(lambda: service.get(queued[1].id).state == "running")
    service.stop()
    again = Jobs(Folders.at(tmp_path), {})
    assert [(again.get(job.id).state, again.get(job.id).attempts) for job in queued] == [("queued", 0)] * 2
    again.stop()
