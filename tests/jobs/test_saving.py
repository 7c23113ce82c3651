"""Jobs that are being saved while the next one runs, through the real supervisor and worker process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.folders import Folders
from modules.jobs import Job, Jobs
from tests.jobs.test_service import until

RUNNER = "tests.jobs.saving_backend:build"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders.at(tmp_path)


@pytest.fixture
def jobs(folders: Folders) -> Iterator[Jobs]:
    service = Jobs(folders, {}, runner=RUNNER)
    service.start()
    yield service
    service.stop()


def submit(jobs: Jobs, **knobs: object) -> Job:
    return jobs.submit("fake", {}, knobs)


def told(jobs: Jobs, job: Job) -> tuple[str, int, int]:
    ended = jobs.wait(job.id, 40)
    result = ended.result or {}
    return ended.state, result.get("attempt", 0), result.get("beside", 0)


def test_the_next_job_runs_while_one_is_saved_and_neither_is_done_before_its_pictures(jobs: Jobs) -> None:
    first = submit(jobs, saves_after="second computed")
    second = submit(jobs, makes="second computed")
    assert told(jobs, first) == ("done", 1, 0)
    assert told(jobs, second) == ("done", 1, 1)
    for job in (first, second):
        assert [e.data.get("state") or e.type for e in jobs.events(job.id)] == ["queued", "running", "picture", "done"]
    ends = [e.job for e in jobs.changes(0) if e.type == "done"]
    assert ends == [first.id, second.id]


def test_interrupt_without_a_name_means_the_one_on_the_device(jobs: Jobs, folders: Folders) -> None:
    first = submit(jobs, saves_after="go")
    second = submit(jobs, waits_for="go")
    until(lambda: jobs.get(second.id).state == "running")
    live = jobs.live(first.id)
    assert live is not None
    assert live.saving
    current = jobs.live()
    assert current is not None
    assert current.job == second.id
    assert jobs.interrupt()
    assert (jobs._store.asked([first.id, second.id])) == {second.id: "interrupt"}
    (folders.data / "marks" / "go").touch()
    assert told(jobs, first)[0] == "done"


def test_a_job_that_fails_is_told_after_the_one_that_was_saving(jobs: Jobs) -> None:
    first, bad = submit(jobs, saves_after="computed"), submit(jobs, makes="computed", bug=True)
    assert jobs.wait(bad.id, 40).state == "failed"
    assert jobs.get(first.id).state == "done"


def test_a_crash_returns_both_and_each_is_tried_again_by_itself(jobs: Jobs, folders: Folders) -> None:
    first = submit(jobs, saves_after="never at the first try")
    second = submit(jobs, dies_once_after="die")
    until(lambda: jobs.get(second.id).state == "running")
    (folders.data / "marks" / "die").touch()
    until(lambda: jobs.get(first.id).attempts == 2)
    assert jobs.get(second.id).state == "queued"
    (folders.data / "marks" / "never at the first try").touch()
    assert told(jobs, first) == ("done", 2, 0)
    assert told(jobs, second) == ("done", 2, 0)


def test_a_program_that_stops_lets_pictures_be_saved(folders: Folders) -> None:
    jobs = Jobs(folders, {}, runner=RUNNER)
    jobs.start()
    first, second = submit(jobs, saves_after="computed"), submit(jobs, makes="computed", waits_for="never")
    until(lambda: jobs.get(second.id).state == "running")
    (folders.data / "marks" / "computed").touch()
    jobs.stop()
    again = Jobs(folders, {}, runner=RUNNER)
    assert again.get(first.id).state == "done"
    left = again.get(second.id)
    assert (left.state, left.attempts) == ("queued", 0)
    again.stop()


def test_the_worker_is_told_which_job_will_be_next(jobs: Jobs, folders: Folders) -> None:
    marks = folders.data / "marks"
    first, second = submit(jobs, waits_for="go"), submit(jobs, name="second")
    until((marks / "next is second").exists)
    submit(jobs, name="third")
    jobs.hold(second.id)
    until((marks / "next is third").exists)
    jobs.pause()
    until((marks / "next is nothing").exists)
    (marks / "go").touch()
    assert told(jobs, first)[0] == "done"
