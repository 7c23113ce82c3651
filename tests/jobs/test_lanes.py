"""Work on model files beside the pictures: a worker of its own that comes with the work and goes after it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.folders import Folders
from modules.jobs import Job, Jobs
from tests.jobs.test_service import RUNNER, submit, until


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    service = Jobs(Folders.at(tmp_path), {}, runner=RUNNER, files_runner=RUNNER, files_idle_s=0.5)
    service.start()
    yield service
    service.stop()


def work(jobs: Jobs, **knobs: object) -> Job:
    return jobs.submit("merge", {}, knobs, lane="files")


def test_files_and_pictures_run_side_by_side_and_nobody_takes_one_for_the_other(jobs: Jobs) -> None:
    long = work(jobs, steps=300, step_s=0.02)
    until(lambda: jobs.get(long.id).state == "running")
    assert jobs.wait(submit(jobs).id, 20).state == "done"
    assert jobs.get(long.id).state == "running"
    assert jobs.live() is None
    assert not jobs.interrupt()
    assert jobs.queued() == 0
    waiting = work(jobs)
    assert jobs.position(waiting.id) == (1, 1)
    until(lambda: (live := jobs.live(long.id)) is not None and live.step > 1)
    assert jobs.interrupt(long.id)
    assert jobs.wait(long.id, 10).state == "canceled"
    assert jobs.wait(waiting.id, 10).state == "done"


def test_the_worker_for_files_comes_with_the_work_and_goes_after_it(jobs: Jobs) -> None:
    assert jobs.files_worker()["state"] == "resting"
    for _ in range(2):
        assert jobs.wait(work(jobs).id, 20).attempts == 1
        until(lambda: jobs.files_worker()["state"] == "resting", 10)
        assert jobs.files_worker()["pid"] is None
    assert jobs.worker()["pid"] is not None


def test_a_worker_for_files_that_dies_is_replaced(jobs: Jobs) -> None:
    job = work(jobs, steps=100, step_s=0.02)
    until(lambda: jobs.get(job.id).state == "running" and jobs.files_worker()["pid"] is not None)
    os.kill(jobs.files_worker()["pid"], signal.SIGKILL)
    ended = jobs.wait(job.id, 30)
    assert (ended.state, ended.attempts) == ("done", 2)


def test_a_lane_that_nobody_runs_is_refused(jobs: Jobs) -> None:
    with pytest.raises(ValueError, match="no lane"):
        jobs.submit("merge", {}, {}, lane="fast")


def test_training_has_a_worker_of_its_own_that_may_ask_the_others_for_room(tmp_path: Path) -> None:
    service = Jobs(
        Folders.at(tmp_path), {}, runner="tests.jobs.room_backend:build", train_runner="tests.jobs.room_backend:build", train_idle_s=0.5
    )
    service.start()
    try:
        until(lambda: service.worker()["state"] == "idle")
        assert service.worker()["model"] == "held"
        asking = service.submit("train", {}, {"room": True}, lane="train")
        assert service.wait(asking.id, 20).result == {"room": True, "gave": 0}
        until(lambda: service.worker()["model"] is None)
        until(lambda: service.train_worker()["state"] == "resting", 10)
        picture = service.wait(service.submit("fake", {}, {}).id, 20)
        assert picture.result == {"room": None, "gave": 1}, "the device's worker let go of its model once, and lives"
    finally:
        service.stop()


def test_training_alone_is_not_kept_waiting_for_workers_that_are_not_there(tmp_path: Path) -> None:
    service = Jobs(Folders.at(tmp_path), {}, train_runner="tests.jobs.room_backend:build", train_idle_s=0.5)
    service.start(lanes=("train",))
    try:
        asking = service.submit("train", {}, {"room": True}, lane="train")
        assert service.wait(asking.id, 20).result == {"room": True, "gave": 0}
        assert service.worker()["state"] == "off"
    finally:
        service.stop()
