"""The job store alone: states, attempts, order, versions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from modules.faults import SetupFault
from modules.jobs.store import JobStore


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite")


def add(store: JobStore, priority: int = 0, key: str | None = None) -> str:
    return store.submit("fake", {"a": "é\n"}, {}, owner="x", key=key, priority=priority)[0].id


def test_the_queue_is_first_come_first_served_within_a_priority(store: JobStore) -> None:
    ids = [add(store), add(store), add(store, priority=5)]
    assert store.queue_ids() == [ids[2], ids[0], ids[1]]
    assert [job.id for job in (store.claim(), store.claim(), store.claim()) if job] == [ids[2], ids[0], ids[1]]
    assert store.claim() is None


def test_a_finished_job_stays_as_it_is(store: JobStore) -> None:
    job = add(store)
    store.claim()
    store.finish(job, "done", result={"pictures": []})
    store.finish(job, "failed", fault={"kind": "x"})
    store.requeue(job, fault=None)
    assert (store.get(job).state, store.get(job).fault) == ("done", None)
    assert not store.cancel_queued(job)


def test_a_job_is_tried_twice_then_parked_and_keeps_its_place(store: JobStore) -> None:
    first, second = add(store), add(store)
    store.claim()
    assert store.requeue(first, fault={"kind": "worker_died"}).state == "queued"
    assert store.queue_ids() == [first, second]
    store.claim()
    parked = store.requeue(first, fault={"kind": "worker_died"})
    assert (parked.state, parked.attempts, parked.fault) == ("parked", 2, {"kind": "worker_died"})


def test_a_job_asked_to_stop_is_not_tried_again(store: JobStore) -> None:
    job = add(store)
    store.claim()
    assert store.ask_running(job, "interrupt")
    assert store.requeue(job, fault={"kind": "worker_died"}).state == "canceled"


def test_a_skip_that_was_left_takes_no_interrupt_back(store: JobStore) -> None:
    job = add(store)
    store.claim()
    assert store.ask_running(job, "skip")
    assert store.ask_running(job, "interrupt")
    assert store.ask_running(job, "skip")
    store.clear_asked(job, "skip")
    assert store.asked([job]) == {job: "interrupt"}
    assert store.requeue(job, fault=None).state == "canceled"


def test_a_job_whose_worker_died_before_it_skipped_is_tried_again(store: JobStore) -> None:
    job = add(store)
    store.claim()
    store.ask_running(job, "skip")
    assert store.requeue(job, fault={"kind": "worker_died"}).state == "queued"


def test_request_text_comes_back_as_it_was(store: JobStore) -> None:
    assert store.get(add(store, key="k")).request == {"a": "é\n"}
    assert store.get("k").key == "k"


def test_a_store_of_a_newer_version_is_refused_with_words(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    JobStore(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(SetupFault, match="newer version"):
        JobStore(path)


def test_a_file_that_is_no_database_is_refused_with_words(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"not a database, surely" * 100)
    with pytest.raises(SetupFault, match="cannot be read"):
        JobStore(path)
    assert path.read_bytes().startswith(b"not a database")


def test_old_finished_jobs_are_forgotten_but_waiting_ones_never(store: JobStore) -> None:
    ids = [add(store) for _ in range(6)]
    for _ in range(4):
        job = store.claim()
        assert job is not None
        store.finish(job.id, "done", result={})
    assert store.prune(keep=2) == 2
    assert [job.id for job in store.list()] == [ids[4], ids[5], ids[3], ids[2]]
    assert store.events(ids[0]) == []
    assert store.events(ids[3]) != []


def test_lanes_do_not_wait_for_each_other(store: JobStore) -> None:
    picture = add(store)
    merge = store.submit("merge", {}, {}, owner="x", key=None, priority=0, lane="files")[0].id
    assert store.queue_ids("files") == [merge]
    assert (store.count("queued"), store.count("queued", "files")) == (1, 1)
    claimed = store.claim("files")
    assert claimed is not None
    assert (claimed.id, claimed.lane) == (merge, "files")
    assert [job.id for job in store.list(lane="device")] == [picture]
