"""Jobs through the real store, supervisor and worker process, with the runner of tests/faults/backend.py."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.faults import SetupFault, UnknownJob
from modules.folders import Folders
from modules.jobs import Jobs
from modules.jobs import supervisor as supervision

RUNNER = "tests.faults.backend:build"


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    service = Jobs(Folders.at(tmp_path), {}, runner=RUNNER)
    service.start()
    yield service
    service.stop()


def submit(jobs: Jobs, owner: str = "local", key: str | None = None, **knobs: object):
    return jobs.submit("fake", {}, knobs, owner=owner, key=key)


def until(what, timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_job_runs_and_tells_its_story_in_numbered_events(jobs: Jobs) -> None:
    job = jobs.wait(submit(jobs, pictures=2).id, 20)
    assert job.state == "done"
    events = jobs.events(job.id)
    assert [e.number for e in events] == list(range(1, len(events) + 1))
    assert [e.data.get("state") or e.type for e in events] == ["queued", "running", "picture", "picture", "done"]
    assert jobs.events(job.id, after=3) == events[3:]


def test_garbage_is_not_looked_for_among_what_importing_left(jobs: Jobs) -> None:
    job = jobs.wait(submit(jobs).id, 20)
    assert job.result is not None
    assert job.result["frozen"] > 1000


def test_fifty_jobs_from_five_clients_all_done_in_order_none_doubled(jobs: Jobs) -> None:
    slowest: list[float] = []
    running = submit(jobs, steps=50, step_s=0.02)
    until(lambda: jobs.get(running.id).state == "running")

    def client(name: str) -> None:
        for n in range(10):
            began = time.perf_counter()
            submit(jobs, owner=name, key=f"{name}-{n}", steps=1)
            slowest.append(time.perf_counter() - began)

    clients = [threading.Thread(target=client, args=(f"client {i}",)) for i in range(5)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    until(lambda: not jobs.list(states=("queued", "running"), limit=100), 60)
    assert len(slowest) == 50
    for i in range(5):
        rows = sorted(jobs.list(owner=f"client {i}"), key=lambda j: j.number)
        assert [j.key for j in rows] == [f"client {i}-{n}" for n in range(10)]
        assert {j.state for j in rows} == {"done"}
        assert {j.attempts for j in rows} == {1}
        orders = [j.result["order"] for j in rows if j.result]
        assert orders == sorted(orders)


def test_the_same_key_is_the_same_job_also_when_a_thousand_ask_at_once(jobs: Jobs) -> None:
    found: set[str] = set()
    threads = [threading.Thread(target=lambda: found.update(submit(jobs, key="once").id for _ in range(100))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert len(jobs.list()) == 1


def test_interrupt_stops_at_the_next_step_and_keeps_what_was_made(jobs: Jobs) -> None:
    job = submit(jobs, pictures=3, steps=100, step_s=0.02)
    until(lambda: (live := jobs.live(job.id)) is not None and live.step > 2)
    asked = time.monotonic()
    assert jobs.interrupt()
    ended = jobs.wait(job.id, 20)
    assert ended.state == "canceled"
    assert time.monotonic() - asked < 1.5
    assert ended.result is not None
    assert [p["index"] for p in ended.result["pictures"]] == [0]


def test_an_interrupt_that_comes_right_after_the_start_is_not_lost(jobs: Jobs) -> None:
    for _ in range(20):
        job = submit(jobs, pictures=50, steps=20, step_s=0.01)
        until(lambda job=job: jobs.get(job.id).state == "running")
        jobs.interrupt(job.id)
        assert jobs.wait(job.id, 10).state == "canceled"


def test_skip_ends_one_batch_only(jobs: Jobs) -> None:
    job = submit(jobs, pictures=2, steps=200, step_s=0.01)
    until(lambda: (live := jobs.live(job.id)) is not None and live.step > 2)
    began = time.monotonic()
    assert jobs.skip()
    until(lambda: (live := jobs.live(job.id)) is not None and live.batch_no == 1)
    assert time.monotonic() - began < 1.5
    assert jobs.wait(job.id, 20).state == "done"


def test_a_queued_job_is_canceled_at_once(jobs: Jobs) -> None:
    first, second = submit(jobs, steps=100, step_s=0.02), submit(jobs)
    until(lambda: jobs.get(first.id).state == "running")
    assert jobs.position(second.id) == (1, 1)
    assert jobs.cancel(second.id)
    assert jobs.get(second.id).state == "canceled"
    assert not jobs.cancel(second.id)
    jobs.interrupt(first.id)
    assert jobs.wait(first.id, 20).state == "canceled"


def test_pause_holds_the_queue_and_resume_lets_it_go(jobs: Jobs) -> None:
    jobs.pause()
    job = submit(jobs)
    time.sleep(0.7)
    assert jobs.get(job.id).state == "queued"
    jobs.resume()
    assert jobs.wait(job.id, 20).state == "done"


def test_a_fault_fails_the_job_with_words_and_the_next_one_runs(jobs: Jobs) -> None:
    bad, bug, good = submit(jobs, fail_at=1), submit(jobs, bug_at=1), submit(jobs)
    assert jobs.wait(bad.id, 20).fault == {"kind": "blank_picture", "message": "There is no picture. Try another sampler."}
    broken = jobs.wait(bug.id, 20)
    assert broken.state == "failed"
    assert broken.fault is not None
    assert "Traceback" not in broken.fault["message"]
    assert any("ZeroDivisionError" in e.data.get("text", "") for e in jobs.events(bug.id))
    assert jobs.wait(good.id, 20).state == "done"


def test_a_worker_that_dies_is_replaced_and_its_job_is_made_again_without_redoing_pictures(jobs: Jobs) -> None:
    job = submit(jobs, pictures=3, steps=30, step_s=0.01)
    until(lambda: len([e for e in jobs.events(job.id) if e.type == "picture"]) == 1)
    os.kill(jobs.worker()["pid"], signal.SIGKILL)
    ended = jobs.wait(job.id, 30)
    assert (ended.state, ended.attempts) == ("done", 2)
    assert ended.result is not None
    assert [p["attempt"] for p in ended.result["pictures"]] == [1, 2, 2]


def test_a_job_that_kills_its_worker_twice_is_parked_and_the_next_one_runs(jobs: Jobs) -> None:
    poison, good = submit(jobs, die_at=1), submit(jobs)
    parked = jobs.wait(poison.id, 30)
    assert (parked.state, parked.attempts) == ("parked", 2)
    assert parked.fault is not None
    assert parked.fault["kind"] == "worker_died"
    assert jobs.wait(good.id, 30).state == "done"


def test_a_worker_that_hangs_in_its_steps_is_replaced(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "STALL_S", 1.0)
    job = submit(jobs, hang_at=2, steps=4)
    assert jobs.wait(job.id, 40).state == "parked"


def test_a_worker_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    folders = Folders.at(tmp_path)
    folders.logs.parent.mkdir(parents=True, exist_ok=True)
    folders.logs.write_text("a file where the log folder should be")
    service = Jobs(folders, {}, runner=RUNNER)
    service.start()
    job = submit(service)
    until(lambda: "cannot be started" in service.worker()["message"])
    folders.logs.unlink()
    assert service.wait(job.id, 30).state == "done"
    service.stop()


def test_live_gives_progress_and_previews_only_to_who_looks(jobs: Jobs) -> None:
    job = submit(jobs, steps=100, step_s=0.02)
    until(lambda: (live := jobs.live()) is not None and live.preview is not None and live.eta_s is not None)
    live = jobs.live(job.id)
    assert live is not None
    assert 0 < live.fraction < 1
    assert live.steps == 100
    jobs.interrupt()
    jobs.wait(job.id, 20)
    assert jobs.live() is None


def test_waiting_async(jobs: Jobs) -> None:
    async def many() -> list[str]:
        ended = await asyncio.gather(*(jobs.finished(submit(jobs).id) for _ in range(20)))
        return [j.state for j in ended]

    assert asyncio.run(many()) == ["done"] * 20


def test_an_orderly_stop_keeps_the_running_job_without_costing_an_attempt(tmp_path: Path) -> None:
    first = Jobs(Folders.at(tmp_path), {}, runner=RUNNER)
    first.start()
    job = submit(first, steps=100, step_s=0.02)
    until(lambda: first.get(job.id).state == "running")
    first.stop()
    second = Jobs(Folders.at(tmp_path), {}, runner=RUNNER)
    assert (second.get(job.id).state, second.get(job.id).attempts) == ("queued", 0)
    second.start()
    assert second.wait(job.id, 30).state == "done"
    second.stop()


def test_only_one_runs_the_queue_but_others_may_submit_wait_and_cancel(jobs: Jobs, tmp_path: Path) -> None:
    other = Jobs(Folders.at(tmp_path), {}, runner=RUNNER)
    assert not other.start()
    with pytest.raises(SetupFault, match="Another copy"):
        other.start(required=True)
    assert other.wait(submit(other).id, 20).state == "done"
    long = submit(other, steps=500, step_s=0.02)
    until(lambda: other.get(long.id).state == "running")
    other.interrupt(long.id)
    assert other.wait(long.id, 20).state == "canceled"
    other.stop()


def test_an_unknown_job_is_said_to_be_unknown(jobs: Jobs) -> None:
    with pytest.raises(UnknownJob):
        jobs.get("nobody")
